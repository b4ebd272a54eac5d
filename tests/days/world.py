"""Whole days in seconds: the real loop, scheduler, store and credentials file in a world whose time the test moves.

There are no threads. The world has the three clocks of a real machine: `wall` can be stepped, `boot` counts
everything, `mono` stops during a suspend, as every wait of a real process does. AWS's own clock is always right.
APScheduler runs on its in-line executor: it is called again after the wait that it returns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.base import BaseScheduler
from freezegun.api import FrozenDateTimeFactory

from assumed.aws.files import AwsFiles
from assumed.aws.sts import Answer
from assumed.config import HostFacts, load, read
from assumed.credentials.file import CredentialsFile, WriteResult
from assumed.credentials.merge import KeptProfile
from assumed.engine.events import Due
from assumed.engine.state import Order, State
from assumed.errors import RenewalFailed
from assumed.model import FailureKind, Instant, Role, Session
from assumed.runtime.delivery import Delivery
from assumed.runtime.effects import Engine, Outside, Renewer
from assumed.runtime.loop import BEAT, Loop
from assumed.runtime.reload import ConfigWatch
from assumed.runtime.scheduler import JOB_DEFAULTS, Scheduler
from assumed.store import Store

AWS_START = 1_800_000_000.0


class InlineScheduler(BaseScheduler):  # type: ignore[misc]
    """APScheduler without a thread: `run_due` does what its thread would do, and returns when to call again."""

    def __init__(self) -> None:
        super().__init__(timezone=UTC, executors={"default": DebugExecutor()}, job_defaults=JOB_DEFAULTS)
        self.due_at_mono: float | None = None
        self.woken = True

    def wakeup(self) -> None:
        self.woken = True

    def shutdown(self, wait: bool = True) -> None:
        super().shutdown(wait)

    def run_due(self, mono: float) -> None:
        """Run what is due by the wall clock; the next check follows after a wait that a suspend does not shorten."""
        self.woken = False
        wait = self._process_jobs()
        self.due_at_mono = None if wait is None else mono + float(wait)


class RecordingFile(CredentialsFile):
    """The real file; each published content is recorded, so readers need not parse it 10^5 times."""

    published: dict[str, Session]

    def write(self, kept: Any, config_id: str, remove_orphans: bool, held: Any = ()) -> WriteResult:
        result = super().write(kept, config_id, remove_orphans, held)
        self.published = {k.profile: k.session for k in kept if isinstance(k, KeptProfile) and k.session is not None}
        return result


@dataclass
class Signs:
    """Sources that can always sign; real ones are tested elsewhere."""

    def ready(self, root: Role) -> bool:
        return True

    def forget(self, name: str) -> None:
        return None

    def resolve(self, root: Role, profile: object) -> bool:
        return False

    def client(self, root: Role, role: Role, parent: Session | None) -> object:
        return None


@dataclass
class World:
    """One machine, one AWS."""

    frozen: FrozenDateTimeFactory
    home: Path
    toml: str
    beat: float = BEAT
    is_scheduler_dead: bool = False
    hangs: bool = False
    """Whether threads that ask STS never come back."""
    life: float = 3600.0
    wall_error: float = 0.0
    mono: float = 0.0
    slept: float = 0.0
    down: bool = False
    denied: set[str] = field(default_factory=set)
    calls: list[tuple[float, str, bool]] = field(default_factory=list)
    """(boot time, profile, whether it was granted)"""
    events: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.config_path = self.home / "config.toml"
        self.config_path.write_text(self.toml)
        self._set_time()
        self.scheduler = InlineScheduler()
        self.loop = self._assemble()
        self.scheduler.start()
        self.loop.open()
        self.loop.tick()
        self._wake_at = self.mono + self.loop.wait()

    @property
    def boot(self) -> float:
        return self.mono + self.slept

    def now(self) -> Instant:
        return Instant(AWS_START + self.boot + self.wall_error, self.boot, "boot-1", slept=self.slept)

    def left(self, profile: str) -> float:
        """Seconds left, by AWS's clock, of what a reader of the profile gets now."""
        session = self.file.published.get(profile)
        return -1.0 if session is None else session.expiration - (AWS_START + self.boot)

    def run(self, seconds: float, look: Callable[[], None] | None = None) -> None:
        """Let this much waking time pass; `look` is called after each event."""
        end = self.mono + seconds
        while True:
            self._settle()
            if look:
                look()
            due = None if self.is_scheduler_dead else self.scheduler.due_at_mono
            at = min(t for t in (self._wake_at, due, end) if t is not None)
            if at >= end:
                self._advance(end - self.mono)
                return
            self._advance(at - self.mono)
            if at == self._wake_at:
                self._tick()

    def suspend(self, seconds: float) -> None:
        """Close the lid: nothing runs, no wait gets shorter."""
        self.slept += seconds
        self._set_time()

    def step(self, seconds: float) -> None:
        """Step the wall clock."""
        self.wall_error += seconds
        self._set_time()

    def _settle(self) -> None:
        """Let the scheduler and the loop react to each other until both only wait for time."""
        while True:
            due = None if self.is_scheduler_dead else self.scheduler.due_at_mono
            if (self.scheduler.woken and not self.is_scheduler_dead) or (due is not None and due <= self.mono):
                self.scheduler.run_due(self.mono)
            elif not self.loop.engine.inbox.empty() or self._wake_at <= self.mono:
                self._tick()
            else:
                return

    def _tick(self) -> None:
        self.loop.tick()
        self._wake_at = self.mono + self.loop.wait()

    def _advance(self, seconds: float) -> None:
        self.mono += max(0.0, seconds)
        self._set_time()

    def _set_time(self) -> None:
        self.frozen.move_to(datetime.fromtimestamp(AWS_START + self.boot + self.wall_error, UTC).replace(tzinfo=None))

    def _ask(self, client: object, order: Order, now: Callable[[], Instant]) -> Answer:
        """STS: a session of `life` seconds by AWS's clock, or a failure."""
        profile = order.role.profile
        granted = not self.down and profile not in self.denied
        self.calls.append((self.boot, profile, granted))
        if self.down:
            raise RenewalFailed(FailureKind.UNREACHABLE, "EndpointConnectionError", "no route", "wait")
        if profile in self.denied:
            raise RenewalFailed(FailureKind.DENIED, "AccessDenied", "not authorized", "mend the policy")
        aws = AWS_START + self.boot
        session = Session(
            profile=profile,
            access_key_id=f"ASIATEST{len(self.calls)}",
            secret_access_key="secret-of-a-test",
            session_token="token-of-a-test",
            expiration=aws + self.life,
            issued_at=aws,
            life=min(self.life, order.role.duration_seconds),
            received=now(),
            principal_arn=f"arn:aws:sts::123456789012:assumed-role/{profile}/s",
            identity=order.identity,
            request=order.request,
        )
        return Answer(session, offset=aws - now().wall, capped=False)

    def _assemble(self) -> Loop:
        environ = {"HOME": str(self.home)}
        config = load(self.toml, self.config_path, environ, host=HostFacts("natan", "laptop"))
        state = self.home / "assumed"
        self.file = RecordingFile(config.credentials_file, state, monotonic=lambda: self.mono)
        self.file.published = {}
        files = AwsFiles(config.credentials_file, self.home / "aws-config", environ, {})

        def parse(text: str) -> Any:
            return load(text, self.config_path, environ, host=HostFacts("natan", "laptop"))

        def log(level: str, event: str, **facts: Any) -> None:
            self.events.append((level, event))

        def put(message: Any) -> None:
            self.loop.engine.inbox.put(message)

        sources: Any = Signs()
        renewer = Renewer(sources, self._ask, self.now, put, log, lambda order: True, lambda order: True)
        outside = Outside(
            now=self.now,
            sources=sources,
            scheduler=Scheduler(self.scheduler, lambda profile: put(Due(profile)), lambda: self.now().wall),
            store=Store(state),
            renew=lambda ask: None if self.hangs else put(renewer.result(ask)),
            log=log,
            manager=lambda *lines: None,
            reconfigure=lambda level, form: None,
            reclaim=lambda: (False, None),
            watch=lambda: "",
        )
        delivery = Delivery(self.file, config.config_id, files.region_of, lambda role: "", log, lambda: self.now().wall)
        return Loop(Engine(ConfigWatch(config, read, parse), files, delivery, outside, State("machine")), self.beat)
