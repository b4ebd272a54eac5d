"""What a running daemon costs: a renewal, an hour of doing nothing, `assumed status`, an edit of the configuration."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from world.daemon import Daemon

from .kit import (
    Sts,
    cpu_seconds,
    daemon_of,
    entry,
    interleaved,
    names,
    program,
    say,
    seconds_of,
    sts,
    wait_for,
    wakeups,
)
from .rows import Row, Target

BARE = """
import boto3, sys, time
seconds, pause = float(sys.argv[1]), float(sys.argv[2])
client = boto3.client('sts')
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
PLAIN = "import click, json, socket"
HOUR = 3600.0
BEAT = 30.0
"""Seconds of the daemon's heartbeat: a window of one beat holds exactly one."""
SETTLED = 7.0
"""Seconds after its start at which a daemon has nothing left to confirm (it reads its configuration again after 5)."""


def rows(quick: bool) -> Iterator[Row]:
    """CPU of a renewal, idleness, status, edit."""
    yield _renewal(roles=20 if quick else 100, seconds=3.0 if quick else 20.0)
    roles = 10 if quick else 100
    with sts() as server, daemon_of(server, roles) as daemon:
        window = 5.0 if quick else BEAT
        say(f"idle for {window:.0f} s")
        time.sleep(1.0 if quick else SETTLED)
        cpu, woken = cpu_seconds(daemon.pid), wakeups(daemon.pid)
        time.sleep(window)
        cpu, woken = cpu_seconds(daemon.pid) - cpu, wakeups(daemon.pid) - woken
        note = f"{window:.0f} s, multiplied to an hour; all threads"
        per_hour = HOUR / window
        yield Row(
            "idle", f"idle CPU, {roles} roles", "s/h", cpu * per_hour, "", None, Target(1.0, 0.2, "ours"), 1, note
        )
        limit = Target(4000, 400, "ours")
        yield Row("idle", f"idle wake-ups, {roles} roles", "/h", woken * per_hour, "", None, limit, 1, note)

        say("assumed status")
        runs = 5 if quick else 21
        environment = daemon.home.environment()
        status = [program("assumed") or "assumed", "status"]
        plain = [sys.executable, "-c", PLAIN]
        ours, theirs = interleaved(runs, *(lambda c=c: seconds_of(c, environment) * 1000 for c in (status, plain)))
        figure = f"assumed status, {roles} roles"
        yield Row("status", figure, "ms", ours, f"python -c '{PLAIN}'", theirs, Target(100, 60, "ours"), runs)

        say("edits of the configuration")
        edits = 2 if quick else 7
        took = statistics.median(_edit(daemon, roles, number) for number in range(edits))
        yield Row("edit", "edit to profile written", "s", took, "", None, Target(1.0, 0.5, "ours"), edits)


def _renewal(roles: int, seconds: float) -> Row:
    say(f"renewals of {roles} roles for {seconds:.0f} s")
    life = 10.0
    with sts(latency_ms=0, session_seconds=life) as server, daemon_of(server, roles) as daemon:
        time.sleep(life)  # the first sessions end together; from their second renewal on they have drifted apart
        # A call in a tight loop finds its code in the processor's caches, so the bare ones come as often as ours;
        # and at the same time, for what a call costs depends on what else the machine does.
        with sts(latency_ms=0) as another, _bare(another, seconds, life * 0.55 / roles) as bare:
            cpu, granted = cpu_seconds(daemon.pid), server.granted()
            theirs = float(bare())
            cpu, granted = cpu_seconds(daemon.pid) - cpu, server.granted() - granted
    note = (
        f"{granted} renewals of {roles} roles, sessions of {life:.0f} s, all included; as many bare calls beside them"
    )
    return Row(
        "renewal",
        "CPU of one renewal",
        "ms",
        cpu / max(1, granted) * 1000,
        "assume_role of one boto3 client",
        theirs * 1000,
        Target(1.5, 1.2),
        granted,
        note,
    )


@contextmanager
def _bare(server: Sts, seconds: float, pause: float) -> Iterator[Callable[[], str]]:
    """A client of boto3 that calls every `pause` seconds from now on; what is yielded waits for its CPU time a call."""
    argv = [sys.executable, "-c", BARE, str(seconds), str(pause)]
    with subprocess.Popen(argv, env=server.environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.stdout.readline


def _edit(daemon: Daemon, roles: int, number: int) -> float:
    """Seconds from the rename of an edited configuration to the new role's profile in the credentials file."""
    home = daemon.home
    profiles = [*names(roles), *(f"edit-{n}" for n in range(number + 1))]
    home.configure(*map(entry, profiles))
    began = time.perf_counter()
    new = f"[edit-{number}]\n".encode()
    wait_for(lambda: new in home.credentials.read_bytes(), within=15)
    return time.perf_counter() - began
