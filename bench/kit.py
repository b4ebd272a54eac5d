"""Tools of every family: whole processes, the STS and the daemons they run against, and what the kernel counted."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from world.daemon import DEFAULTS, Daemon, Home, role

from . import ROOT
from .rows import Row, Target

ACCOUNT = "123456789012"
LATENCY_MS = 50.0
"""What a call of STS takes within a region, TLS included."""
PLACE = {"AWS_REGION": "us-west-2", "AWS_DEFAULT_REGION": "us-west-2", "AWS_EC2_METADATA_DISABLED": "true"}
Figures = Mapping[str, float]


def say(line: str) -> None:
    """A line about the progress."""
    print(f"bench: {line}", file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Taken:
    """Figures of this version, of the one it is compared with (if any), and of floors and peers, from one run."""

    ours: Figures
    before: Figures = field(default_factory=dict)
    theirs: Figures = field(default_factory=dict)
    runs: int = 1

    def row(
        self, figure: str, unit: str, key: str, beside: str = "", *, target: Target | None = None, note: str = ""
    ) -> Row:
        """The figure that was measured as `key`, beside one other."""
        ours, before, theirs = self.ours[key], self.before.get(key), self.theirs.get(beside)
        return Row(figure, unit, ours, before, beside, theirs, target, self.runs, note)


@dataclass(frozen=True, slots=True)
class Bench:
    """How much is measured, and of which versions."""

    quick: bool
    against: str | None = None
    """The interpreter of an environment in which another version of assumed is installed."""

    @property
    def versions(self) -> list[str]:
        """The interpreters that run assumed: this one first."""
        return [sys.executable, *([self.against] if self.against else [])]

    def take(
        self, runs: int, ours: Callable[[str], Figures], theirs: Mapping[str, Callable[[], float]] | None = None
    ) -> Taken:
        """The median of each, taken in turns: what disturbs the machine disturbs all of them."""
        versions = {python: list[Figures]() for python in self.versions}
        others = {name: list[float]() for name in theirs or {}}
        for _ in range(runs):
            for python, figures in versions.items():
                figures.append(ours(python))
            for name, values in others.items():
                values.append((theirs or {})[name]())
        medians = [_medians(figures) for figures in versions.values()]
        beside = {name: statistics.median(values) for name, values in others.items()}
        return Taken(medians[0], medians[1] if self.against else {}, beside, runs)

    @contextmanager
    def daemons(self, server: Sts, count: int) -> Iterator[dict[str, Daemon]]:
        """A daemon of each version, each with a home of its own."""
        with ExitStack() as stack:
            yield {python: stack.enter_context(daemon_of(server, count, python)) for python in self.versions}


def _medians(figures: Sequence[Figures]) -> Figures:
    return {key: statistics.median(one[key] for one in figures) for key in figures[0]}


def milliseconds_of(argv: Sequence[str], environment: Mapping[str, str]) -> float:
    """Wall time of one whole process, its output thrown away. Raises RuntimeError when it fails."""
    void = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, void, number) for number in range(3)]
    try:
        began = time.perf_counter()
        pid = os.posix_spawn(argv[0], list(argv), dict(environment), file_actions=actions)
        _, status = os.waitpid(pid, 0)
        took = time.perf_counter() - began
    finally:
        os.close(void)
    if status:
        raise RuntimeError(f"{' '.join(argv)} ended with {os.waitstatus_to_exitcode(status)}")
    return took * 1000


def program(name: str) -> str | None:
    """Where a program lies: beside this interpreter, else on PATH."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.is_file() else shutil.which(name)


class Sts:
    """The tests' STS in a process of its own: its work is not ours."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        self.url: str = facts["url"]
        self.access_key_id: str = facts["access_key_id"]
        self.secret_access_key: str = facts["secret_access_key"]
        self.end = process.terminate

    def granted(self) -> int:
        """Calls of AssumeRole that it has granted."""
        with urllib.request.urlopen(f"{self.url}/_calls", timeout=30) as answer:  # noqa: S310 (our own, on loopback)
            return int(json.load(answer)["ok"])

    def environment(self) -> dict[str, str]:
        """Variables with which a client signs and finds it."""
        keys = {"AWS_ACCESS_KEY_ID": self.access_key_id, "AWS_SECRET_ACCESS_KEY": self.secret_access_key}
        return {**os.environ, **PLACE, **keys, "AWS_ENDPOINT_URL_STS": self.url}


@contextmanager
def sts(latency_ms: float = LATENCY_MS, session_seconds: float | None = None) -> Iterator[Sts]:
    """A running STS."""
    argv = [sys.executable, str(ROOT / "tests/world/fake_sts.py"), "--latency-ms", str(latency_ms)]
    if session_seconds is not None:
        argv += ["--session-seconds", str(session_seconds)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Sts(process)
        finally:
            process.terminate()


def names(count: int) -> list[str]:
    """The profiles of a daemon that keeps `count` roles."""
    return [f"kept-{number:04d}" for number in range(count)]


def roles_of(count: int) -> str:
    """How many roles, in words."""
    return f"{count:,} role{'s' * (count != 1)}"


def entry(profile: str, **keys: str) -> str:
    """The configuration of one role."""
    return role(profile, f"arn:aws:iam::{ACCOUNT}:role/{profile}", **keys)


@contextmanager
def home_of(server: Sts, count: int, python: str, sources: bool = False) -> Iterator[Home]:
    """A home whose configuration keeps `count` roles; `sources`: each by a source of its own."""
    with tempfile.TemporaryDirectory(prefix="assumed-bench-") as path:
        home = Home(Path(path), python)
        home.add_source(server.access_key_id, server.secret_access_key)
        for profile in names(count) if sources else ():
            home.add_source(server.access_key_id, server.secret_access_key, f"source-{profile}")
        own = {profile: {"source_profile": f"source-{profile}"} if sources else {} for profile in names(count)}
        home.configure(*(entry(profile, **keys) for profile, keys in own.items()), defaults=DEFAULTS)
        yield home


@contextmanager
def daemon_of(server: Sts, count: int, python: str, sources: bool = False) -> Iterator[Daemon]:
    """A daemon that has delivered `count` roles."""
    with home_of(server, count, python, sources) as home, Daemon(home, AWS_ENDPOINT_URL_STS=server.url) as daemon:
        wait_for(lambda: delivered(home) == count, within=120 + count / 5, every=0.05)
        yield daemon


def delivered(home: Home) -> int:
    """How many profiles with a session the credentials file holds."""
    try:
        return home.credentials.read_bytes().count(b"\naws_session_token")
    except FileNotFoundError:
        return 0


def wait_for(what: Callable[[], bool], within: float, every: float = 0.002) -> None:
    """Until it is so. Raises TimeoutError."""
    deadline = time.monotonic() + within
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within} s")
        time.sleep(every)


def percentile(values: Sequence[float], share: float) -> float:
    """What so large a share of the values stays below."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def cpu_seconds(pid: int) -> float:
    """CPU time of the process, ended threads included, to the nanosecond: the clock of clock_getcpuclockid(3).
    (/proc/PID/stat counts in ticks of 10 ms, /proc/PID/task forgets threads.)"""
    return time.clock_gettime((~pid << 3) | 2)


def wakeups(pid: int) -> int:
    """How often a thread of the process went to sleep by itself, and so was woken."""
    return sum(
        int(line.split()[1])
        for path in Path(f"/proc/{pid}/task").glob("*/status")
        for line in path.read_text().splitlines()
        if line.startswith("voluntary_ctxt_switches")
    )


def resident_mb(pid: int | str) -> float:
    """Resident memory in MB of 10^6 bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024 / 1e6
