"""A machine whose clocks can be moved: a home, its STS (always right), the daemon, and its observers."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Self

from process.kit import arn, key_of
from process.shim import Clocks
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.sts_rules import Call
from world.waiting import eventually

SABOTAGE = [sys.executable, str(Path(__file__).with_name("sabotage.py")), "APScheduler"]


@dataclass
class Machine:
    """Times are seconds of `time.monotonic`. The daemon runs inside the context."""

    path: Path
    library: Path
    session_seconds: float
    wrong_by: int = 0
    """Seconds by which its wall clock is ahead initially."""
    slept: float = 0.0
    """Seconds that passed only at AWS."""
    beats: list[float] = field(default_factory=list)
    expired: list[float] = field(default_factory=list)
    """When a reader found an expired session."""
    asked: list[tuple[float, Call]] = field(default_factory=list)
    """Every call to STS, with its time."""
    _stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.home = Home(self.path)
        self.clocks = Clocks(self.library, self.path / "offset", wall=self.wrong_by)
        self.sts = FakeSts(clock=self.aws_now)
        self.sts.rule("*", session_seconds=self.session_seconds)
        self.home.add_source(self.sts.source.access_key_id, self.sts.source.secret_access_key)
        self.home.configure(role("a", arn("a")), role("b", arn("b"), deliver="process"))
        self._watcher = threading.Thread(target=self._watch, name="watcher", daemon=True)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.sts)
            self._manager = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            self._manager.bind(str(self.path / "notify"))
            self._manager.settimeout(0.05)
            self.environment = {
                "AWS_ENDPOINT_URL_STS": self.sts.url,
                "NOTIFY_SOCKET": str(self.path / "notify"),
                **self.clocks.environment,
            }
            self._watcher.start()
            stack.callback(self._watcher.join)
            stack.callback(self._stop.set)
            self.daemon = stack.enter_context(Daemon(self.home, under=SABOTAGE, **self.environment))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def aws_now(self) -> float:
        """POSIX seconds at AWS."""
        return time.time() + self.slept

    def is_right(self) -> bool:
        """Whether its wall clock agrees with AWS."""
        return self.clocks.wall == self.slept

    def pass_over(self, seconds: int, boot: bool) -> float:
        """Let time pass in which nothing runs; `boot`: the machine knows that it slept. Returns when the time is
        over."""
        self.slept += seconds
        self.clocks.move(wall=seconds, boot=seconds if boot else 0)
        return time.monotonic()

    def wait_for_beat(self, within: float = 45.0) -> float:
        """The time of the next heartbeat."""
        seen = len(self.beats)
        eventually(lambda: len(self.beats) > seen, within, saying="a heartbeat")
        return self.beats[seen]

    def due(self, profile: str) -> float:
        """When the daemon plans to renew a role, if its clocks are right."""
        at = datetime.fromisoformat(self.daemon.role(profile)["next_renewal"]).timestamp()
        return time.monotonic() + at - self.aws_now()

    def calls(self, profile: str, since: float) -> list[tuple[float, Call]]:
        """The calls for a role since then, with their times."""
        return [(at, call) for at, call in self.asked if call.role_arn == arn(profile) and at >= since]

    def left(self, access_key_id: str) -> float:
        """Seconds left of a session, by AWS's clock."""
        return (self.sts.key(access_key_id).expiration or 0.0) - self.aws_now()

    def served_by_process(self, profile: str) -> float | None:
        """Seconds left, by AWS's clock, of what `credential-process` prints; None if it refuses."""
        done = self.home.assumed("credential-process", profile, **self.environment)
        return None if done.returncode else self.left(json.loads(done.stdout)["AccessKeyId"])

    def _watch(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                if b"WATCHDOG=1" in self._manager.recv(65536):
                    self.beats.append(time.monotonic())
            self.asked += [(time.monotonic(), call) for call in self.sts.calls[len(self.asked) :]]
            with contextlib.suppress(FileNotFoundError):
                key = key_of(self.home, "a")
                if key and self.left(key) <= 0:
                    self.expired.append(time.monotonic())
