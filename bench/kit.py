"""Tools of every family: whole processes, the STS and the daemon they run against, and what the kernel counted."""

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
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))  # the tests' own STS and daemon

from world.daemon import Daemon, Home, role  # noqa: E402

ACCOUNT = "123456789012"
LATENCY_MS = 50.0
"""What a call of STS takes within a region, TLS included."""
PLACE = {"AWS_REGION": "us-west-2", "AWS_DEFAULT_REGION": "us-west-2", "AWS_EC2_METADATA_DISABLED": "true"}


def say(line: str) -> None:
    """A line about the progress."""
    print(f"bench: {line}", file=sys.stderr, flush=True)


def interleaved(runs: int, *measured: Callable[[], float]) -> list[float]:
    """The median of each, taken in turns: what disturbs the machine disturbs all of them."""
    taken: list[list[float]] = [[] for _ in measured]
    for _ in range(runs):
        for one, values in zip(measured, taken, strict=True):
            values.append(one())
    return [statistics.median(values) for values in taken]


def seconds_of(argv: Sequence[str], environment: Mapping[str, str]) -> float:
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
    return took


def output_of(argv: Sequence[str], environment: Mapping[str, str]) -> str:
    """What a command prints."""
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=True).stdout


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

    def granted(self) -> int:
        """Calls of AssumeRole that it has granted."""
        with urllib.request.urlopen(f"{self.url}/_calls", timeout=10) as answer:  # noqa: S310 (our own, on loopback)
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


def entry(profile: str) -> str:
    """The configuration of one role."""
    return role(profile, f"arn:aws:iam::{ACCOUNT}:role/{profile}")


@contextmanager
def home_of(server: Sts, count: int) -> Iterator[Home]:
    """A home whose configuration keeps `count` roles."""
    with tempfile.TemporaryDirectory(prefix="assumed-bench-") as path:
        home = Home(Path(path))
        home.add_source(server.access_key_id, server.secret_access_key)
        home.configure(*map(entry, names(count)))
        yield home


@contextmanager
def daemon_of(server: Sts, count: int) -> Iterator[Daemon]:
    """A daemon that has delivered `count` roles."""
    with home_of(server, count) as home, Daemon(home, AWS_ENDPOINT_URL_STS=server.url) as daemon:
        wait_for(lambda: delivered(home) == count, within=60 + count / 10, every=0.05)
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


def cpu_seconds(pid: int) -> float:
    """CPU time of every thread that lives, to the nanosecond (Linux's /proc/PID/stat counts in ticks of 10 ms)."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


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
