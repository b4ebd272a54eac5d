"""Resident memory after every role has been renewed once, beside a client of boto3 that does nothing."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator

from .kit import Sts, daemon_of, names, output_of, resident_mb, say, sts, wait_for
from .rows import Row, Target

CLIENT = """
import boto3; client = boto3.client('sts')
print(next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmRSS')) * 1024 / 1e6)
"""


def rows(quick: bool) -> Iterator[Row]:
    """Memory at several numbers of roles."""
    with sts(latency_ms=0) as server:
        alone = statistics.median(_alone(server) for _ in range(3))
        for count, limit in ((1, 1.25), (10, 1.3)) if quick else ((1, 1.25), (100, 1.3), (1000, 1.5)):
            say(f"memory, {count} roles")
            ours = _after_a_renewal(server, count)
            yield Row(
                "memory", f"memory, {count} roles", "MB", ours, "boto3.client('sts')", alone, Target(limit, 1.0), 1
            )


def _alone(server: Sts) -> float:
    return float(output_of([sys.executable, "-c", CLIENT], server.environment()))


def _after_a_renewal(server: Sts, count: int) -> float:
    before = server.granted()
    with daemon_of(server, count) as daemon:
        daemon.ask("refresh", profiles=[])
        wait_for(lambda: server.granted() >= before + 2 * count, within=60, every=0.1)
        daemon.wait_until_fresh(*names(count))  # a person looks at the status, too
        return resident_mb(daemon.pid)
