"""A machine, its users and AWS for a month: one thread, one seed, every step checked."""

from __future__ import annotations

import heapq
import itertools
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from assumed.aws import sts
from assumed.credentials.snapshot import signature_of
from assumed.engine.events import Ask, Refresh
from assumed.engine.schedule import spread, when_healthy
from assumed.errors import ConfigError, FileRefused
from assumed.runtime.inbox import Hint, Wanted

from .aws import CANARY, SimSources, Sts
from .checks import FIND, FLOOR, SLACK, Expectations, Obstacle, Violation
from .clock import Clock, PacerClock
from .daemon import Daemon, Flight, Host
from .disk import Disk, Killed, in_place_of_os
from .people import Person, Spec, toml
from .polite import Begun, Politeness
from .readers import Readers, Torn, foreign

HELD = 10.0
"""Seconds after its renewal point that a role may take: its source is resolved first, its job is queued."""
DAY, HOUR, MINUTE = 86400.0, 3600.0, 60.0


@dataclass(slots=True)
class Figures:
    """What was observed."""

    calls: int = 0
    steps: int = 0
    role_seconds: float = 0.0
    least_left: float = float("inf")
    """For one-hour sessions, while nothing hindered the role."""
    longest_gap: float = 0.0
    """Waking seconds between two heartbeats."""


@dataclass
class World:
    """Everything. `run` raises Violation at the first broken promise."""

    home: Path
    specs: list[Spec]
    seed: int = 0
    clock: Clock = field(default_factory=Clock)
    refreshable: set[str] = field(default_factory=set)
    hinting: float = 0.9
    """The probability that the watcher reports an edit; the heartbeat must find the others."""

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.sts = Sts(self.clock, self.random)
        self.pacer_clock = PacerClock(self.clock)
        self.disk = Disk(self.random, lambda: self.clock.t, self.home / "grave")
        self.disk.after_op = self._after_op
        self.config_path = self.home / "config.toml"
        self.credentials = self.home / ".aws" / "credentials"
        self.credentials.parent.mkdir(mode=0o700)
        self.state = self.credentials.parent / "assumed"
        self.person = Person(self.credentials, self.random, {s.profile for s in self.specs})
        self.person.begin()
        self.readers = Readers(self.credentials, self.state, self.sts.grants)
        self.expected = Expectations()
        self.polite = Politeness()
        self.figures = Figures()
        self.daemon: Daemon | None = None
        self.trouble_since: float | None = None
        self.hanging: set[str] = set()
        self.refusing: set[str] = set()
        self.logins: dict[str, int] = {}
        self.writers: list[Any] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = itertools.count()
        self._edit_by = 0.0
        self._counted_t = 0.0
        self.config_saved_t = 0.0
        self._names = itertools.count(1)
        self.log: list[tuple[float, str, str, dict[str, Any]]] = []
        self.config_path.write_text(toml(self.specs))
        self.expected.want(self.specs, 0.0, self.start_time())

    # -- time ------------------------------------------------------------------------------------------------

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Schedule an event; if it falls into a suspend, it happens at its end."""
        heapq.heappush(self._events, (self.clock.t + seconds, next(self._serial), what))

    def run(self, seconds: float) -> None:
        """Let this much time pass."""
        with self._inside():
            self._run(self.clock.t + seconds)

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """The daemon's disk and environment."""
        with pytest.MonkeyPatch.context() as patch, in_place_of_os(self.disk):
            patch.setenv("HOME", str(self.home))
            patch.setattr(sts, "time", self.pacer_clock)
            yield

    def _run(self, end: float) -> None:
        clock, events = self.clock, self._events
        while True:
            self._settle()
            self._look()
            self.figures.steps += 1
            coming = min(events[0][0], end) if events else end
            if self.daemon is not None:
                self.daemon.skip(coming)
                coming = min(coming, clock.at(self.daemon.next_mono()))
            # At least a microsecond: sums of floats may fall short of their target.
            clock.t = max(clock.t + 1e-6, coming)
            while events and events[0][0] <= clock.t:
                heapq.heappop(events)[2]()
                self._something_happened()
            if clock.t >= end:
                break

    def count(self) -> None:
        """Add this much time for this many roles, asleep or awake."""
        self.figures.role_seconds += (self.clock.t - self._counted_t) * len(self.expected.kept)
        self._counted_t = self.clock.t

    def _something_happened(self) -> None:
        if self.daemon is not None:
            self.daemon.quiet_beats = 0

    def suspend(self, seconds: float) -> None:
        """Close the lid and open it again."""
        obstacle = Obstacle("suspend", 42.0 + self.sts.slow * 2)
        self.begin(obstacle)
        self.clock.sleep(seconds)
        self._something_happened()
        self.polite.jumped(self.clock.t)
        self.end(obstacle)

    def step_clock(self, seconds: float) -> None:
        """Set the wall clock wrong."""
        self.clock.wall_error += seconds
        self._something_happened()
        self.polite.jumped(self.clock.t)

    def set_clock_right(self) -> None:
        """NTP, or a person with a watch."""
        if self.clock.wall_error:
            self.step_clock(-self.clock.wall_error)
        for obstacle in [o for o in self.expected.standing if o.kind == "clock"]:
            self.end(obstacle)

    # -- the daemon's life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """A daemon starts. If it cannot (a full disk), it is restarted as by systemd."""
        if self.daemon is not None:
            return
        self.disk.revive()
        self.polite.busy, self.polite.reset_t = 0, self.clock.t
        self.polite.jump_t = self.clock.t
        host = Host(
            self.clock,
            self.sts,
            self.disk,
            self.config_path,
            self.home,
            self.later,
            self.say,
            self._begin,
            self._sources,
        )
        try:
            with self._inside():
                daemon = Daemon(host)
                self.daemon = daemon
                self._guarded(daemon.open)
        except FileRefused:
            self.daemon = None
            self.later(10.0, self.start)
        except (ConfigError, ValueError) as error:
            raise Violation(f"promise 10: the daemon does not start: {error}") from error
        self._nothing_left_over()

    def die(self) -> None:
        """Nothing of the daemon runs any more."""
        self.daemon = None
        self.disk.dead = True

    def start_time(self) -> float:
        """Seconds that a start may take until every role is fresh."""
        return 30.0 + (len(self.specs) / 10 + 2) * (0.5 + self.sts.slow)

    def _guarded(self, what: Callable[[], None]) -> None:
        try:
            what()
        except Killed:
            self.killed()

    def killed(self) -> None:
        """The disk has killed the daemon: faults decide what happens next."""
        self.die()

    def orderly(self, what: Callable[[], None]) -> None:
        """Let the daemon act outside the normal run of time."""
        with self._inside():
            self._guarded(what)

    def _sources(self, daemon: Daemon) -> SimSources:
        def later(seconds: float, what: Callable[[], None]) -> None:
            self.later(seconds, lambda: what() if self.daemon is daemon else None)

        return SimSources(
            self.clock, self.random, self.refreshable, self.hanging, self.refusing, later, lambda message: None, {}
        )

    def _settle(self) -> None:
        daemon = self.daemon
        if daemon is not None:
            self._guarded(daemon.settle)

    def _begin(self, daemon: Daemon, call: Ask) -> None:
        """The daemon calls STS."""
        profile, t = call.order.role.profile, self.clock.t
        planned = daemon.loop._planned.get(profile)
        decision = planned.decision if planned is not None else None
        in_time = decision is not None and decision.reason == "scheduled" and decision.due_in > -2
        due = daemon.plan.due.pop(profile, None)
        if profile in daemon.flights:
            raise Violation(f"I5: two calls for {profile} in flight")
        held = self._held_back(daemon, profile)
        if held > HELD:
            raise Violation(f"promise 4: {profile} was held back for {held:.0f} s, and nothing stood in its way")
        self._old_keys_are_gone(profile, call.order.identity)
        self.pacer_clock.slept = 0.0
        daemon.pacer.wait(call.order.role.source())
        fate, latency = self.sts.receive(call)
        self.figures.calls += 1
        wrong = self.polite.began(Begun(t, profile, call.order.role.source(), in_time), due, self.trouble_since)
        if wrong:
            raise Violation(wrong)
        daemon.flights[profile] = Flight(call, fate, t)

        def arrive() -> None:
            if self.daemon is daemon:
                daemon.loop.engine.inbox.put(daemon.renewer.result(call))
                del daemon.flights[profile]
                self.polite.ended(self.clock.t)

        self.later(self.pacer_clock.slept + latency, arrive)

    def _held_back(self, daemon: Daemon, profile: str) -> float:
        """Seconds since a role's renewal point, whatever the plan made of its neighbours' failures; 0 if it is or was
        hindered."""
        kept, known, now = self.expected.kept.get(profile), daemon.loop.engine.state, self.clock.now()
        facts = known.states.get(profile)
        since = min(self.clock.t - max(self.polite.jump_t + 30, self.polite.full_t), self.clock.mono - self._edit_by)
        if kept is None or kept.obstacles or facts is None or facts.session is None:
            return 0.0
        share = spread(known.machine, profile, facts.session.access_key_id)
        due_in = when_healthy(facts.session, known.requests[profile], share, now).due_in
        return min(-due_in, since, self.clock.mono - kept.recover_at)

    # -- what others do ----------------------------------------------------------------------------------------

    def hint(self) -> None:
        """The watcher may notice the change."""
        daemon = self.daemon
        if daemon is not None and self.random.random() < self.hinting:
            self.later(0.002, lambda: daemon.loop.engine.inbox.put(Hint()))

    def begin(self, obstacle: Obstacle) -> Obstacle:
        """An obstacle for roles begins."""
        self.expected.begin(obstacle, self.clock.t, self.clock.mono)
        return obstacle

    def end(self, obstacle: Obstacle) -> None:
        """It is over."""
        self.expected.end(obstacle, self.clock.t, self.clock.mono)

    def edited(self) -> None:
        """A person or another program has written the credentials file."""
        if self.person.orphaned or self.daemon is None:
            self.accept_what_is_there()
        self.polite.reset_t = self.clock.t
        self._edit_by = self.clock.mono + FIND
        obstacle = Obstacle("edit", FIND, blind=True)
        self.begin(obstacle)
        self.end(obstacle)
        self.hint()

    def logged_in(self, source: str) -> None:
        """A person has logged in: a file that the source depends on has changed."""
        self.logins[source] = self.logins.get(source, 0) + 1
        # A key that is not in the credentials file, which would take precedence. Another file each time, because the
        # kernel's clock would not distinguish two logins.
        sections = (f"[profile {name}]\nlogin = {count}\n" for name, count in sorted(self.logins.items()))
        temp = self.home / "aws-config.swp"
        temp.write_text("".join(sections))
        temp.rename(self.home / "aws-config")
        self.hint()

    def configure(self, specs: list[Spec]) -> None:
        """A person saves another configuration."""
        self.count()
        self.specs = specs
        self.polite.reset_t = self.clock.t
        self.config_path.write_text(toml(specs))
        self.expected.want(specs, self.clock.mono, FIND + self.start_time())
        self.hint()

    def config_busy(self) -> bool:
        """Whether the configuration was just saved, is broken, or no daemon reads it: people also make one edit at a
        time."""
        return self.clock.t < self.config_saved_t + 2 * MINUTE or self.daemon is None

    def next_serial(self) -> int:
        """A new number."""
        return next(self._names)

    def accept_what_is_there(self) -> None:
        """The process that held an unfinished edit is dead."""
        person = self.person
        person.orphaned = person.torn_since is not None
        if not person.orphaned:
            person.accepted = [foreign(person.read(), person.kept)]

    def expect_what_is_parked(self) -> None:
        """An edit that the daemon held when it died must be in the file after the next start."""
        person = self.person
        for parked in self._parked_edits():
            text = parked.read_text()
            if text and person.torn_since is None and foreign(text, person.kept) not in person.accepted:
                person.accepted.append(foreign(text, person.kept))

    def _parked_edits(self) -> list[Path]:
        """Parked files that are neither the daemon's own nor what it had read; the others go with its next write."""
        parked = self.credentials.parent.glob(".*.parked")
        return [path for path in parked if signature_of(path.stat()).tag() not in path.name]

    def refresh(self, profiles: list[str]) -> None:
        """`assumed refresh`."""
        if self.daemon is not None:
            self.daemon.loop.engine.inbox.put(Refresh(tuple(profiles)))

    def readers_ask(self) -> None:
        """SDKs call `credential-process` for every profile; it asks the daemon where it finds nothing."""
        if self.daemon is not None:
            for profile in self.expected.kept:
                self.daemon.loop.engine.inbox.put(Wanted(profile))

    def say(self, level: str, event: str, **facts: Any) -> None:
        """The log: I3 is checked on its input, before anything is masked."""
        if CANARY in repr(facts):
            raise Violation(f"I3: a secret in the log: {event}")
        if event == "role.renewal_crashed":
            raise Violation(f"a renewal crashed: {facts['exc_info']!r}") from facts["exc_info"]
        self.log.append((self.clock.t, level, event, facts))
        if len(self.log) > 400:
            del self.log[:200]

    # -- the invariants ------------------------------------------------------------------------------------------

    def _after_op(self, op: str, where: str) -> None:
        if where == str(self.credentials):
            if op in {"rename", "exchange", "write", "unlink", "create"}:
                self._readers_see_whole_files()
                self._foreign_bytes_stay(published=True)
                if self.random.random() < 0.2:
                    self.hint()
        elif where.endswith(".json"):
            self.readers.store_changed()

    def _readers_see_whole_files(self) -> bool:
        try:
            changed = self.readers.refresh()
        except Torn as torn:
            if self.person.torn_since is not None:
                return False
            raise Violation(f"I1: a reader found half a file: {torn}") from torn
        if changed:
            name = self.readers.incoherent(self.expected.kept, CANARY)
            if name:
                raise Violation(f"I1: [{name}] is of two sessions")
        return changed

    def _foreign_bytes_stay(self, published: bool = False) -> None:
        """I2. A pending edit may be there or not yet; a published file never contains half of one."""
        person = self.person
        if person.torn_since is not None and (not published or self.clock.t - person.torn_since >= 0.95):
            return
        found = foreign(self.readers.text, person.kept)
        if found == person.accepted[-1]:
            if not published or len(person.accepted) == 1:
                return
        elif found not in person.accepted:
            raise Violation(f"I2: what is not ours has changed: {found} instead of {person.accepted}")
        elif not published and len(person.accepted) > 1 and self._all_found():
            raise Violation(f"I2: an edit was lost: {person.accepted[-1]} never came to {found}")
        if self._all_found():
            del person.accepted[:-1]

    def _all_found(self) -> bool:
        mono = self.clock.mono
        return (
            self.daemon is not None
            and mono > self._edit_by
            and not self.expected.standing
            and mono > self.expected.writes_blocked_until
        )

    def _old_keys_are_gone(self, profile: str, identity: str) -> None:
        """Promise 5: before STS is called for a changed role, its old session has left every reader."""
        if self.clock.mono < self._edit_by or self.person.torn_since is not None:
            return
        self.readers.refresh()
        for key_id in (self.readers.in_file(profile), self.readers.in_store(profile)):
            grant = self.sts.grants.get(key_id or "")
            if grant is not None and grant.profile == profile and grant.identity != identity:
                raise Violation(f"promise 5: {profile} is asked for while {key_id} of its old self is still served")

    def _nothing_left_over(self) -> None:
        if self.daemon is None or self.disk.faults:
            return
        left = [*self.state.rglob("*.tmp"), *self.credentials.parent.glob("*.tmp")]
        if left:
            raise Violation(f"a start left {left[0].name} of a killed writer")

    def _look(self) -> None:
        mono = self.clock.mono
        if (self.person.torn_since is None and self._readers_see_whole_files()) or (
            self.person.torn_since is None and len(self.person.accepted) > 1
        ):
            self._foreign_bytes_stay()
        daemon = self.daemon
        if daemon is not None:
            self.figures.longest_gap = max(self.figures.longest_gap, mono - daemon.beaten_at)
            if mono - daemon.beaten_at > 31.0:
                raise Violation(f"I8: no heartbeat for {mono - daemon.beaten_at:.0f} s")
            late = self.polite.late(daemon.plan.due, self.clock.t)
            if late:
                raise Violation(late)
        self._roles_are_fresh(mono)
        self._removed_are_gone(mono)

    def _roles_are_fresh(self, mono: float) -> None:
        t, aws = self.clock.t, self.clock.aws
        for profile, kept in self.expected.kept.items():
            if kept.obstacles == 0 and mono > kept.recover_at:
                kept.good_t, kept.blind = t, False
            elif kept.blind:
                continue
            in_store = kept.spec.deliver == "process"
            key_id = self.readers.in_store(profile) if in_store else self.readers.in_file(profile)
            grant = self.sts.grants.get(key_id or "")
            if grant is None:
                raise Violation(f"promise 4: a reader of {profile} finds {key_id or 'nothing'}")
            left = grant.expires - aws
            if left < FLOOR * grant.life - (t - kept.good_t) - SLACK:
                since = f"{t - kept.good_t:.0f} s after all was well"
                raise Violation(f"I4: {profile} has {left:.0f} s of {grant.life:.0f} s left, {since}")
            if kept.good_t == t and grant.life == HOUR:
                self.figures.least_left = min(self.figures.least_left, left)

    def _removed_are_gone(self, mono: float) -> None:
        for profile, by in list(self.expected.gone.items()):
            quiet = self.daemon is not None and not self.expected.standing
            if mono > by and quiet and mono > self.expected.writes_blocked_until:
                if self.readers.in_file(profile) in self.sts.grants or self.readers.in_store(profile):
                    raise Violation(f"{profile} has left the configuration, and its session is still served")
                del self.expected.gone[profile]

    def calm_down(self) -> None:
        """Nothing happens any more: every obstacle ends, and then every role must become fresh (I7)."""
        deadline = self.clock.t + 60 * HOUR
        self.set_clock_right()
        self.disk.kill_in, self.disk.kill_after, self.disk.before_op = None, "", None
        while self.clock.t < deadline and (self.expected.standing or self.daemon is None):
            self.run(10 * MINUTE)
        recovered = max((k.recover_at for k in self.expected.kept.values()), default=0.0)
        self.run(max(0.0, recovered - self.clock.mono) + 5 * MINUTE)
        if self.expected.standing or self.daemon is None:
            raise Violation(
                f"the world has not come to rest: {[o.kind for o in self.expected.standing]}, {self.daemon}"
            )
        if left := self._parked_edits():
            raise Violation(f"{left[0].name} was never merged")
        for role in self.daemon.status()["roles"]:
            # A role requested early and refused is retried when it is due; until then it counts as failing.
            early = role["state"] == "failing" and (role["left_seconds"] or 0) > 0.5 * (role["life_seconds"] or 1)
            if role["state"] != "fresh" and not early:
                raise Violation(f"I7: status says {role['state']} of {role['profile']}: {role['last_error']}")

    def close(self) -> None:
        """Release the world's resources."""
        for writer in self.writers:
            if writer.rest and writer.fd is not None:
                os.close(writer.fd)
