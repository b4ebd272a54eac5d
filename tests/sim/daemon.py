"""One life of the daemon: the real loop, engine, scheduler, store and files; only what has threads is replaced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from assumed.aws.files import AwsFiles
from assumed.aws.sts import Answer, Pacer, assume
from assumed.config import read
from assumed.credentials.file import CredentialsFile
from assumed.credentials.process import ConfigFile, process_command
from assumed.engine.decide import EARLY
from assumed.engine.events import Ask, Due
from assumed.engine.state import Order, State
from assumed.errors import FileRefused
from assumed.files import make_private_dir
from assumed.model import Instant, Role
from assumed.paths import state_dir
from assumed.runtime.delivery import Delivery
from assumed.runtime.effects import Engine, Outside, Renewer
from assumed.runtime.loop import BEAT, Loop
from assumed.runtime.reload import ConfigWatch
from assumed.runtime.scheduler import Scheduler
from assumed.runtime.start import parser_of, usable_config
from assumed.snapshot import document
from assumed.store import Store

from .aws import Fate, SimSources, Sts
from .clock import Clock
from .disk import Disk
from .polite import Plan
from .timetable import SimScheduler

WIDE = 1.2
"""Heartbeats: shorter quiet stretches than this are not skipped."""


class SimPath(type(Path())):  # type: ignore[misc]
    """A path whose `unlink` goes through the simulated disk: the session store removes files with it."""

    disk: Disk

    def unlink(self, missing_ok: bool = False) -> None:
        try:
            SimPath.disk.unlink(self)
        except FileNotFoundError:
            if not missing_ok:
                raise


@dataclass(slots=True)
class Flight:
    """A call in flight."""

    call: Ask
    fate: Fate
    begun_t: float


@dataclass(slots=True)
class Host:
    """What a daemon needs from the world."""

    clock: Clock
    sts: Sts
    disk: Disk
    config_path: Path
    home: Path
    later: Callable[[float, Callable[[], None]], None]
    say: Callable[..., None]
    begin: Callable[[Daemon, Ask], None]
    sources: Callable[[Daemon], SimSources]


class Daemon:
    """From start to death. Raises what the real main function would raise at startup."""

    def __init__(self, host: Host) -> None:
        self.host = host
        clock = host.clock
        self.flights: dict[str, Flight] = {}
        self.beaten_at = clock.mono
        self.pacer = Pacer()
        self.plan = Plan()
        SimPath.disk = host.disk
        config, error = usable_config(host.config_path)
        directory = state_dir(config.credentials_file)
        make_private_dir(directory)
        self.scheduler = SimScheduler(lambda: clock.wall, lambda: clock.mono)
        self.loop = self._loop(config, SimPath(directory))
        engine = self.loop.engine
        if error is not None:
            engine.config.error = error
        else:
            try:
                engine.outside.store.keep_config(config.text)
            except FileRefused as refusal:
                host.say("error", "config.not_remembered", message=refusal.message)
        for files in (engine.outside.store, self.file, self.config_file):
            try:
                files.sweep()
            except FileRefused:
                continue
        self.wake_at = clock.mono
        self.quiet_beats = 0

    def _loop(self, config: Any, directory: Path) -> Loop:
        host = self.host
        self.file = CredentialsFile(config.credentials_file, directory, monotonic=lambda: host.clock.mono)
        self.config_file = ConfigFile(host.home / "aws-config", config.credentials_file, directory)
        files = AwsFiles(config.credentials_file, host.home / "aws-config", {}, {})
        delivery = Delivery(self.file, config.config_id, files.region_of, command_of, host.say, lambda: host.clock.wall)
        sources = host.sources(self)
        outside = Outside(
            now=host.clock.now,
            sources=cast("Any", sources),
            scheduler=Scheduler(cast("Any", self.scheduler), self._due, lambda: host.clock.wall),
            store=Store(directory),
            renew=lambda ask: host.begin(self, ask),
            log=host.say,
            manager=self._notified,
            reconfigure=lambda level, form: None,
            reclaim=lambda: (False, None),
            watch=lambda: "",
        )
        watch = ConfigWatch(config, read, parser_of(config.path))
        engine = Engine(watch, files, delivery, outside, State("machine"))
        sources.post = engine.inbox.put
        sources.flights = self.flights
        put, received = engine.inbox.put, self._is_received
        self.renewer = Renewer(cast("Any", sources), ask, host.clock.now, put, host.say, received, received)
        return Loop(engine)

    def _is_received(self, order: Order) -> bool:
        return True  # a call in flight has already been received

    def _due(self, profile: str) -> None:
        self.loop.engine.inbox.put(Due(profile))

    def _notified(self, *lines: str) -> None:
        if "WATCHDOG=1" in lines:
            self.beaten_at = self.host.clock.mono
            self.quiet_beats += 1

    def open(self) -> None:
        """Like the start of `Loop.run`."""
        self.loop.open()
        self.tick()

    def tick(self) -> None:
        """One turn of `Loop.run`."""
        beats = self.quiet_beats
        self.loop.tick()
        if self.quiet_beats == beats:
            self.quiet_beats = 0
        now = self.host.clock.now()
        planned = {profile: one.due_in(now) for profile, one in self.loop.snapshot.planned.items()}
        waiting = {
            p: left for p, left in planned.items() if left < float("inf") and (left > EARLY or p in self.loop._due)
        }
        self.plan.update(waiting, self.host.clock.t)
        # At least a microsecond, as in any real loop: sums of floats may fall short of their target.
        self.wake_at = self.host.clock.mono + max(1e-6, self.loop.wait())

    def settle(self) -> None:
        """Let scheduler and loop react to each other until both only wait for time."""
        mono, inbox = self.host.clock.mono, self.loop.engine.inbox
        for _ in range(5000):
            due = self.scheduler.due_at_mono
            if self.scheduler.woken or (due is not None and due <= mono):
                self.scheduler.run_due()
            elif not inbox.empty() or self.wake_at <= mono:
                self.tick()
            else:
                return
        raise AssertionError("I6: loop and scheduler never come to rest")

    def next_mono(self) -> float:
        """When time next makes something due."""
        due = self.scheduler.due_at_mono
        return self.wake_at if due is None else min(due, self.wake_at)

    def skip(self, until_t: float) -> None:
        """Skip heartbeats that would find nothing new, up to the last but one before `until_t`.

        This is sound because a heartbeat is a function of the clock and of what the last one saw. After one before
        which nothing happened, with no write, edit, source or conflict pending, no call in flight and no file access
        until then, the next one does the same: it checks the same files, and puts the same jobs at the same times. It
        no longer repairs lost jobs, so skipping makes the world harsher, not milder. The clock's sample is updated as
        well, so that the gap does not look like a suspend.
        """
        clock, loop, engine = self.host.clock, self.loop, self.loop.engine
        due = self.scheduler.due_at_mono
        limit = until_t if due is None else min(until_t, clock.at(due))
        beats = int((limit - clock.t) / BEAT - WIDE)
        quiet = self.quiet_beats >= 1 and loop.is_ready and not self.flights and engine.inbox.empty()
        pending = (
            engine.delivery.due_at is not None or loop.files.next_look() is not None or engine.delivery.conflicts._open
        )
        if beats < 1 or not quiet or pending:
            return
        clock.t += beats * BEAT
        loop._sample = clock.now()
        loop._beat_at += beats * BEAT
        self.beaten_at += beats * BEAT
        self.wake_at = clock.mono + loop.wait()

    def status(self) -> dict[str, Any]:
        """What `assumed status --json` would print."""
        return document(self.loop.snapshot, self.host.clock.now())

    def stop(self) -> None:
        """SIGTERM."""
        self.loop.close()
        self.loop.engine.outside.scheduler.stop()


def command_of(role: Role) -> str:
    """The line of a profile that is delivered by process."""
    return process_command(["/opt/assumed/bin/assumed", "credential-process", role.profile])


def ask(client: Fate, order: Order, now: Callable[[], Instant]) -> Answer:
    """The real request to STS through the simulated client. Pacing happened, and the answer was decided, when the call
    began: until the client is called, the clock reads as it did then."""
    return assume(client, order, lambda: now() if client.asked else order.started)
