"""One life of the daemon: the real keeper, timetable, store and files over stand-ins for what has threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from assumed.aws.files import AwsFiles
from assumed.aws.sts import Answer, Order, Pacer, assume
from assumed.config import read
from assumed.credentials.command import process_command
from assumed.credentials.config_file import ConfigFile
from assumed.credentials.file import CredentialsFile
from assumed.engine.book import Book
from assumed.events import News
from assumed.files import make_private_dir
from assumed.metrics.counters import Tally
from assumed.model import Instant, Role
from assumed.paths import state_dir
from assumed.runtime import main
from assumed.runtime.assembly import Assembly, document
from assumed.runtime.delivery import Delivery
from assumed.runtime.desk import Desk
from assumed.runtime.loop import BEAT, Keeper
from assumed.runtime.ports import Ports
from assumed.runtime.reload import ConfigWatch
from assumed.runtime.renewals import Call
from assumed.runtime.start import parser_of, usable_config
from assumed.runtime.watcher import Watcher
from assumed.store import Store

from .aws import Fate, SimSources, Sts
from .clock import Clock
from .disk import Disk
from .polite import PlanWatch
from .timetable import Job, SimScheduler

WIDE = 1.2
"""Heartbeats: shorter quiet stretches than this are not skipped."""


class SimPath(type(Path())):  # type: ignore[misc]
    """A path whose `unlink` goes through the simulated disk: the session store removes files by it."""

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

    call: Call
    fate: Fate
    begun_t: float


@dataclass(slots=True)
class Host:
    """What a daemon needs of the world."""

    clock: Clock
    sts: Sts
    disk: Disk
    config_path: Path
    home: Path
    later: Callable[[float, Callable[[], None]], None]
    say: Callable[..., None]
    begin: Callable[[Daemon, Job], bool]
    sources: Callable[[Daemon], SimSources]


class Daemon:
    """From start to death. Raises what the real main function would at the start."""

    def __init__(self, host: Host) -> None:
        self.host = host
        clock = host.clock
        self.flights: dict[str, Flight] = {}
        self.beaten_at = clock.mono
        self.pacer = Pacer()
        SimPath.disk = host.disk
        config, error = usable_config(host.config_path)
        directory = state_dir(config.credentials_file)
        make_private_dir(directory)
        self.scheduler = SimScheduler(lambda: clock.wall, lambda: clock.mono, lambda job: host.begin(self, job))
        self.timetable = PlanWatch(cast("Any", self.scheduler), self._run, lambda: clock.wall, time=lambda: clock.t)
        self.keeper = self._keeper(config, SimPath(directory))
        if error is not None:
            self.keeper.desk.watch.error = error
        else:
            main._remember(self.assembly, config)
        main._sweep(self.assembly)
        self.wake_at = clock.mono
        self.quiet_beats = 0
        self._begun: Call | None = None

    def _keeper(self, config: Any, directory: Path) -> Keeper:
        host = self.host
        file = CredentialsFile(config.credentials_file, directory, monotonic=lambda: host.clock.mono)
        store = Store(directory)
        files = AwsFiles(config.credentials_file, host.home / "aws-config", {}, {})
        delivery = Delivery(file, config.config_id, files.region_of, command_of, host.say, lambda: host.clock.wall)
        desk = Desk(
            ConfigWatch(config, read, parser_of(config.path)), files, delivery, Book("machine"), cast("Ports", None)
        )
        sources = host.sources(self)
        sources.post = desk.inbox.put
        sources.flights = self.flights
        desk.ports = Ports(
            now=host.clock.now,
            sources=sources,
            timetable=self.timetable,
            store=store,
            ask=ask,
            say=host.say,
            ready=lambda line: None,
            reloading=lambda: None,
            alive=self._alive,
            reconfigured=lambda level, form: None,
            stand=lambda: (False, None),
            watch=lambda: None,
        )
        keeper = Keeper(desk)
        self.assembly = Assembly(
            keeper,
            self.timetable,
            Watcher(lambda: None),
            cast("Any", sources),
            file,
            ConfigFile(host.home / "aws-config", config.credentials_file, directory),
            store,
            News(host.say, lambda: host.clock.wall),
            Tally(),
            cast("Any", None),
        )
        return keeper

    def _alive(self, line: str) -> None:
        self.beaten_at = self.host.clock.mono
        self.quiet_beats += 1

    def _run(self, profile: str) -> None:
        self._begun = self.keeper.renewals.begin(profile)

    def begun(self, job: Job) -> Call | None:
        """Let a worker run a job up to its question to STS."""
        self._begun = None
        job.func(*job.args)
        return self._begun

    def open(self) -> None:
        """As `Keeper.run` begins."""
        self.keeper.open()
        self.tick()

    def tick(self) -> None:
        """One turn of `Keeper.run`'s loop."""
        beats = self.quiet_beats
        self.keeper.tick()
        if self.quiet_beats == beats:
            self.quiet_beats = 0
        # A microsecond at least, as in any real loop: sums of floats may fall short of what they were computed for.
        self.wake_at = self.host.clock.mono + max(1e-6, self.keeper.wait())

    def settle(self) -> None:
        """Let scheduler and keeper answer each other until both only wait for time."""
        mono, inbox = self.host.clock.mono, self.keeper.desk.inbox
        for _ in range(5000):
            due = self.scheduler.due_at_mono
            if self.scheduler.woken or (due is not None and due <= mono):
                self.scheduler.run_due()
            elif not inbox.empty() or self.wake_at <= mono:
                self.tick()
            else:
                return
        raise AssertionError("I6: keeper and scheduler never come to rest")

    def next_mono(self) -> float:
        """When time makes something due."""
        due = self.scheduler.due_at_mono
        return self.wake_at if due is None else min(due, self.wake_at)

    def skip(self, until_t: float) -> None:
        """Pass over heartbeats that would find nothing new, up to the last but one before `until_t`.

        Sound, because a beat is a function of the clock and of what the last one saw: after one that nothing had
        happened before, with no write, edit, source or conflict pending, no call in flight and nobody touching a file
        until then, the next does the same: it looks at the same files, and puts the same jobs at the same times.
        What it would mend if a job were lost, it no longer mends: skipping makes the world harsher, not milder. The
        clock's sample goes along, so that the stretch does not look like a suspend.
        """
        clock, keeper, desk = self.host.clock, self.keeper, self.keeper.desk
        due = self.scheduler.due_at_mono
        limit = until_t if due is None else min(until_t, clock.at(due))
        beats = int((limit - clock.t) / BEAT - WIDE)
        quiet = self.quiet_beats >= 1 and keeper.is_ready and not self.flights and desk.inbox.empty()
        pending = desk.delivery.due_at is not None or keeper.lookout.next_look() is not None or desk.delivery._conflicts
        if beats < 1 or not quiet or pending:
            return
        clock.t += beats * BEAT
        keeper._sample = clock.now()
        keeper._beat_at += beats * BEAT
        self.beaten_at += beats * BEAT
        self.wake_at = clock.mono + keeper.wait()

    def status(self) -> dict[str, Any]:
        """What `assumed status --json` would print."""
        return document(self.assembly)

    def stop(self) -> None:
        """SIGTERM."""
        self.keeper.close()
        self.timetable.stop()


def command_of(role: Role) -> str:
    """The line of a profile that is delivered by process."""
    return process_command(["/opt/assumed/bin/assumed", "credential-process", role.profile])


def ask(client: Fate, order: Order, now: Callable[[], Instant]) -> Answer:
    """The real request to STS, over the simulated client. The pacing was done, and the question put, when the call
    began: until the client has been asked, the clock reads as it did then."""
    return assume(client, order, lambda: now() if client.asked else order.started)
