"""What a running daemon costs: a renewal, an hour of doing nothing, `assumed status`, an edit of the configuration."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator

from world.daemon import Daemon

from .kit import (
    Sts,
    cpu_seconds,
    daemon_of,
    entry,
    interleaved,
    names,
    output_of,
    say,
    seconds_of,
    sts,
    wait_for,
    wakeups,
)
from .rows import Row, Target

BARE = """
import boto3, sys, time
calls, pause = int(sys.argv[1]), float(sys.argv[2])
client = boto3.client('sts')
def call(): client.assume_role(RoleArn='arn:aws:iam::123456789012:role/bare', RoleSessionName='bench')
for _ in range(20): call()
began = time.process_time()
for _ in range(calls):
    time.sleep(pause)
    call()
print((time.process_time() - began) / calls)
"""
PLAIN = "import click, json, socket"
HOUR = 3600.0
BEAT = 30.0
"""Seconds of the daemon's heartbeat: a window of one beat holds exactly one."""


def rows(quick: bool) -> Iterator[Row]:
    """CPU of a renewal, idleness, status, edit."""
    yield _renewal(roles=20 if quick else 100, seconds=3.0 if quick else 20.0, calls=20 if quick else 150)
    roles = 10 if quick else 100
    with sts() as server, daemon_of(server, roles) as daemon:
        window = 5.0 if quick else BEAT
        say(f"idle for {window:.0f} s")
        time.sleep(2.0)
        cpu, woken = cpu_seconds(daemon.pid), wakeups(daemon.pid)
        time.sleep(window)
        cpu, woken = cpu_seconds(daemon.pid) - cpu, wakeups(daemon.pid) - woken
        note = f"{window:.0f} s, multiplied to an hour; all threads"
        per_hour = HOUR / window
        yield Row("idle", f"idle CPU, {roles} roles", "s/h", cpu * per_hour, "", None, Target(1.0, of="ours"), 1, note)
        limit = Target(4000, of="ours")
        yield Row("idle", f"idle wake-ups, {roles} roles", "/h", woken * per_hour, "", None, limit, 1, note)

        say("assumed status")
        runs = 5 if quick else 21
        environment = daemon.home.environment()
        status = [sys.executable, "-m", "assumed", "status"]
        plain = [sys.executable, "-c", PLAIN]
        ours, theirs = interleaved(runs, *(lambda c=c: seconds_of(c, environment) * 1000 for c in (status, plain)))
        figure = f"assumed status, {roles} roles"
        yield Row("status", figure, "ms", ours, f"python -c '{PLAIN}'", theirs, Target(100, of="ours"), runs)

        say("edits of the configuration")
        edits = 2 if quick else 7
        took = statistics.median(_edit(daemon, roles, number) for number in range(edits))
        yield Row("edit", "edit to profile written", "s", took, "", None, Target(1.0, of="ours"), edits)


def _renewal(roles: int, seconds: float, calls: int) -> Row:
    say(f"renewals of {roles} roles for {seconds:.0f} s")
    life = 10.0
    with sts(latency_ms=0, session_seconds=life) as server, daemon_of(server, roles) as daemon:
        pause = life * 0.55 / roles  # a call in a tight loop finds its code in the processor's caches
        bare = [_bare(server, calls, pause)]
        time.sleep(life / 2)  # the first sessions end together; from their second renewal on they have drifted apart
        cpu, granted = cpu_seconds(daemon.pid), server.granted()
        time.sleep(seconds)
        cpu, granted = cpu_seconds(daemon.pid) - cpu, server.granted() - granted
        daemon.stop()
        bare.append(_bare(server, calls, pause))
    note = f"{granted} renewals of {roles} roles, sessions of {life:.0f} s, all included; the bare calls come as often"
    return Row(
        "renewal",
        "CPU of one renewal",
        "ms",
        cpu / max(1, granted) * 1000,
        "assume_role of one boto3 client",
        statistics.mean(bare) * 1000,
        Target(1.5),
        granted,
        note,
    )


def _bare(server: Sts, calls: int, pause: float) -> float:
    return float(output_of([sys.executable, "-c", BARE, str(calls), str(pause)], server.environment()))


def _edit(daemon: Daemon, roles: int, number: int) -> float:
    """Seconds from the rename of an edited configuration to the new role's profile in the credentials file."""
    home = daemon.home
    profiles = [*names(roles), *(f"edit-{n}" for n in range(number + 1))]
    home.configure(*map(entry, profiles))
    began = time.perf_counter()
    new = f"[edit-{number}]\n".encode()
    wait_for(lambda: new in home.credentials.read_bytes(), within=15)
    return time.perf_counter() - began
