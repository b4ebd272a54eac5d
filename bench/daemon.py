"""What a daemon costs: its start, a renewal, memory, an hour of nothing, an edit; and how fast it answers meanwhile."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from world.daemon import Daemon, Home

from .kit import (
    LATENCY_MS,
    Bench,
    Figures,
    Sts,
    Taken,
    cpu_seconds,
    daemon_of,
    delivered,
    entry,
    home_of,
    milliseconds_of,
    names,
    percentile,
    resident_mb,
    roles_of,
    say,
    sts,
    wait_for,
    wakeups,
)
from .rows import Row, Target

WORKERS, CALLS_A_SECOND = 10, 100
"""As promised: the calls to one endpoint that may be under way at once, and the pace of one source."""
CLIENT = "import boto3; client = boto3.client('sts')"
RESIDENT = f"""{CLIENT}
print(next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmRSS')) * 1024 / 1e6)
"""
CALLS = f"""
import sys, time; {CLIENT}
seconds, pause = float(sys.argv[1]), float(sys.argv[2])
def call(): client.assume_role(RoleArn='arn:aws:iam::123456789012:role/bare', RoleSessionName='bench')
for _ in range(20): call()
print('ready', flush=True)
calls, began, end = 0, time.process_time(), time.monotonic() + seconds
while time.monotonic() < end:
    time.sleep(pause)
    call()
    calls += 1
print((time.process_time() - began) / calls)
"""
HOUR = 3600.0
BEAT = 30.0
"""Seconds: a window of that length holds one heartbeat."""
SETTLED = 7.0
"""Seconds after its start at which a daemon has nothing left to confirm (it reads its configuration again after 5)."""
ASK_EVERY = 0.1
"""Seconds between two status documents that are asked for while something else goes on."""
WRITES_A_SECOND = 20


# -- start -------------------------------------------------------------------------------------------------------------


def start(bench: Bench) -> Iterator[Row]:
    """From the start of the process to every profile delivered."""
    with sts() as server:
        client = [sys.executable, "-c", CLIENT]
        environment = server.environment()
        for count, runs in ((1, 1), (10, 1)) if bench.quick else ((1, 7), (10, 5), (100, 3), (1000, 1)):
            figure = f"start to all fresh, {roles_of(count)}"
            say(figure)
            seconds, rest = divmod(count - 1, CALLS_A_SECOND)  # the first hundred may be asked for at once
            least = seconds + math.ceil((rest + 1) / WORKERS) * LATENCY_MS / 1000
            floor = f"boto3 + client, {count:,} calls"
            taken = bench.take(
                runs,
                lambda python, count=count: {"start": _start(server, count, python)},
                {floor: lambda least=least: milliseconds_of(client, environment) / 1000 + least},
            )
            note = f"STS answers after {LATENCY_MS:.0f} ms; {WORKERS} calls at once, {CALLS_A_SECOND} a second at most"
            yield taken.row(figure, "s", "start", floor, target=Target(1.1), note=note)


def _start(server: Sts, count: int, python: str) -> float:
    """Seconds from spawning `assumed run` to the last profile in the credentials file."""
    with home_of(server, count, python) as home:
        daemon = Daemon(home, AWS_ENDPOINT_URL_STS=server.url)
        seen = (0, 0)

        def complete() -> bool:
            nonlocal seen
            status = home.credentials.stat()
            now = (status.st_ino, status.st_mtime_ns)
            if now == seen:
                return False
            seen = now
            return delivered(home) == count

        began = time.perf_counter()
        try:
            daemon.start(answering=False)
            wait_for(complete, within=60 + count / 10)
            return time.perf_counter() - began
        finally:
            daemon.stop()


# -- renewals ----------------------------------------------------------------------------------------------------------


def renewal(bench: Bench) -> Iterator[Row]:
    """CPU of one renewal, everything included; also while another program writes a file beside the configuration."""
    roles, seconds, life = (20, 3.0, 10.0) if bench.quick else (100, 20.0, 10.0)
    beside = "assume_role of one boto3 client"
    note = (
        f"{roles} roles, sessions of {life:.0f} s, {seconds:.0f} s, all included; as many bare calls at the same time"
    )
    with sts(0, life) as server, bench.daemons(server, roles) as daemons:
        say(f"renewals of {roles} roles for {seconds:.0f} s, twice")
        time.sleep(life)  # the first sessions end together; from their second renewal on they have drifted apart
        taken = _renewals(daemons, seconds, life * 0.55 / roles, beside)
        yield taken.row("CPU of one renewal", "ms", "cpu", beside, target=Target(1.4, 1.2), note=note)
        with _written([daemon.home for daemon in daemons.values()]):
            taken = _renewals(daemons, seconds, life * 0.55 / roles, beside)
        figure = f"the same, a file beside written {WRITES_A_SECOND} times a second"
        yield taken.row(figure, "ms", "cpu", beside, target=Target(1.4, 1.2), note=note)


def _renewals(daemons: dict[str, Daemon], seconds: float, pause: float, beside: str) -> Taken:
    """Of all versions in the same seconds, bare calls too: what a call costs depends on what else the machine does, and
    on whether its code is still in the processor's caches."""
    with sts(latency_ms=0) as another:
        argv = [sys.executable, "-c", CALLS, str(seconds), str(pause)]
        with subprocess.Popen(argv, env=another.environment(), stdout=subprocess.PIPE, text=True) as bare:
            assert bare.stdout is not None
            bare.stdout.readline()
            began = [(cpu_seconds(d.pid), len(d.events("role.renewed"))) for d in daemons.values()]
            theirs = float(bare.stdout.readline())
            ended = [(cpu_seconds(d.pid), len(d.events("role.renewed"))) for d in daemons.values()]
    cost = [{"cpu": (b[0] - a[0]) / max(1, b[1] - a[1]) * 1000} for a, b in zip(began, ended, strict=True)]
    return Taken(cost[0], cost[1] if len(cost) > 1 else {}, {beside: theirs * 1000}, ended[0][1] - began[0][1])


@contextmanager
def _written(homes: list[Home]) -> Iterator[None]:
    """Another program writes a file beside the configuration of each home."""
    end = threading.Event()

    def write() -> None:
        while not end.wait(1 / WRITES_A_SECOND):
            for home in homes:
                home.config.with_name("notes.txt").write_text(str(time.time()))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


# -- memory ------------------------------------------------------------------------------------------------------------


def memory(bench: Bench) -> Iterator[Row]:
    """Resident memory after every role has been renewed once, beside a client of boto3 that does nothing."""
    beside = "boto3.client('sts')"
    whole = ((1, False, 1.25), (100, False, 1.3), (1000, False, 1.5), (240, True, None))
    with sts(latency_ms=0) as server:
        for count, sources, limit in whole[:1] if bench.quick else whole:
            figure = f"memory, {roles_of(count)}" + (" with a source each" if sources else "")
            say(figure)
            target = Target(limit, 1.0) if limit else Target(80.0, of="ours")
            taken = bench.take(
                1,
                lambda python, count=count, sources=sources: {"rss": _resident(server, count, python, sources)},
                {beside: lambda: _resident_client(server)},
            )
            yield taken.row(figure, "MB", "rss", beside, target=target)


def _resident_client(server: Sts) -> float:
    argv = [sys.executable, "-c", RESIDENT]
    return float(subprocess.run(argv, env=server.environment(), capture_output=True, text=True, check=True).stdout)


def _resident(server: Sts, count: int, python: str, sources: bool) -> float:
    with daemon_of(server, count, python, sources) as daemon:
        before = server.granted()
        daemon.ask("refresh", profiles=[])
        wait_for(lambda: server.granted() >= before + count, within=60 + count / 5, every=0.1)
        daemon.wait_until_fresh(*names(count))  # a person looks at the status, too
        return resident_mb(daemon.pid)


# -- idle, edits -------------------------------------------------------------------------------------------------------


def idle(bench: Bench) -> Iterator[Row]:
    """An hour in which nothing is due, and an edit of the configuration."""
    roles, window, edits = (10, 5.0, 2) if bench.quick else (100, BEAT, 7)
    with sts() as server, bench.daemons(server, roles) as daemons:
        say(f"idle for {window:.0f} s")
        time.sleep(1.0 if bench.quick else SETTLED)
        taken = bench.take(1, lambda python: _idle(daemons[python], window))
        note = f"{window:.0f} s, multiplied to an hour; all threads"
        yield taken.row(f"idle CPU, {roles} roles", "s/h", "cpu", target=Target(1.0, 0.2, "ours"), note=note)
        yield taken.row(f"idle wake-ups, {roles} roles", "/h", "woken", target=Target(4000, 400, "ours"), note=note)
        say("edits of the configuration")
        number = iter(range(1000))
        taken = bench.take(edits, lambda python: _edit(daemons[python].home, roles, next(number)))
        yield taken.row("edit to profile written", "s", "edit", target=Target(1.0, 0.5, "ours"))


def _idle(daemon: Daemon, window: float) -> Figures:
    cpu, woken = cpu_seconds(daemon.pid), wakeups(daemon.pid)
    time.sleep(window)
    per_hour = HOUR / window
    return {"cpu": (cpu_seconds(daemon.pid) - cpu) * per_hour, "woken": (wakeups(daemon.pid) - woken) * per_hour}


def _edit(home: Home, roles: int, number: int) -> Figures:
    """Seconds from the rename of an edited configuration to the new role's profile in the credentials file."""
    home.configure(*map(entry, [*names(roles), *(f"edit-{n}" for n in range(number + 1))]))
    began = time.perf_counter()
    new = f"[edit-{number}]\n".encode()
    wait_for(lambda: new in home.credentials.read_bytes(), within=60)
    return {"edit": time.perf_counter() - began}


# -- answers under load ------------------------------------------------------------------------------------------------


def load(bench: Bench) -> Iterator[Row]:
    """`status` by the socket while the daemon starts, reloads, and cannot reach STS; the CPU of an outage."""
    roles, life, window = (20, 10.0, 5.0) if bench.quick else (1000, 40.0, BEAT)
    taken = bench.take(1, partial(_load, roles, life, window))
    note = f"a status document every {ASK_EVERY} s, read to its end"
    for during in ("start", "reload", "outage"):
        figure = f"status, {roles_of(roles)}, during {during}"
        yield taken.row(f"{figure}, p50", "ms", f"{during} p50", note=note)
        yield taken.row(f"{figure}, p99", "ms", f"{during} p99", target=Target(200.0, of="ours"), note=note)
    note = f"{window:.0f} s after the last session has ended"
    yield taken.row(f"CPU of an outage, {roles_of(roles)}", "%", "outage cpu", target=Target(1.0, of="ours"), note=note)


def _load(roles: int, life: float, window: float, python: str) -> Figures:
    figures: dict[str, float] = {}
    with ExitStack() as stack:
        server = stack.enter_context(sts(session_seconds=None))
        home = stack.enter_context(home_of(server, roles, python))
        say(f"status at {roles} roles: start")
        daemon = stack.enter_context(Daemon(home, AWS_ENDPOINT_URL_STS=server.url))
        with _asked(daemon, "start", figures):
            wait_for(lambda: delivered(home) == roles, within=60 + roles / 5, every=0.05)
        say(f"status at {roles} roles: reload")
        with _asked(daemon, "reload", figures):
            for number in range(3):
                _edit(home, roles, number)
    with ExitStack() as stack:
        server = stack.enter_context(sts(0, life))
        daemon = stack.enter_context(daemon_of(server, roles, python))
        say(f"status at {roles} roles: outage")
        server.end()
        with _asked(daemon, "outage", figures):
            time.sleep(life)
        cpu = cpu_seconds(daemon.pid)
        time.sleep(window)
        figures["outage cpu"] = (cpu_seconds(daemon.pid) - cpu) / window * 100
    return figures


@contextmanager
def _asked(daemon: Daemon, during: str, figures: dict[str, float]) -> Iterator[None]:
    """Ask for the status until the end of the block, and note how long the answers took."""
    took, end = list[float](), threading.Event()

    def ask() -> None:
        while not end.wait(ASK_EVERY):
            began = time.perf_counter()
            daemon.status()
            took.append((time.perf_counter() - began) * 1000)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
    figures |= {f"{during} p50": percentile(took, 0.5), f"{during} p99": percentile(took, 0.99)}
