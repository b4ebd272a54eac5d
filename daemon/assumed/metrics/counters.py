"""What metrics are made of: events counted since the daemon's start, the status document, the process' own usage.

The daemon imports this, and prometheus_client (`exposition`) only when metrics are asked for.
"""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import threading
from bisect import bisect_left
from collections import Counter, defaultdict
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from assumed import __version__
from assumed.config import Config
from assumed.events import Event
from assumed.model import Instant
from assumed.snapshot import Snapshot, document, offline

Facts = dict[str, Any]
"""`{"status": …, "running": …}`: the status document, and what only a running daemon knows (None without one)."""

RESULTS = ("success", "failure")
BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds. STS answers in a tenth of a second from nearby and in half a second from another continent; what takes
longer was retried or met a time-out."""

COUNTED: dict[str, tuple[tuple[str, ...], ...]] = {
    "role.renewed": (("assumed_renewals_total", "{profile}", "success"),),
    "role.renewal_failed": (
        ("assumed_renewals_total", "{profile}", "failure"),
        ("assumed_renewal_failures_total", "{profile}", "{kind}"),
    ),
    "profile.overwritten": (("assumed_role_overwrites_total", "{profile}"),),
    "profile.contested": (  # logged instead of `profile.overwritten` from the second time on
        ("assumed_role_overwrites_total", "{profile}"),
        ("assumed_role_contests_total", "{profile}"),
    ),
    "file.written": (("assumed_file_writes_total",),),
    "file.refused": (("assumed_file_write_failures_total",),),
    "edit.set_aside": (("assumed_file_edits_set_aside_total",),),
    "config.loaded": (("assumed_config_loads_total",),),
    "config.rejected": (("assumed_config_rejections_total",),),
    "state.restored": (("assumed_state_restores_total",),),
    "scheduler.revived": (("assumed_scheduler_revivals_total",),),
    "source.down": (("assumed_source_outages_total", "{source}"),),
    "source.not_resolved": (("assumed_source_resolution_failures_total", "{source}"),),
}
"""Event → the counters that it adds 1 to: the metric, and its labels' values."""
JUMPS = {"suspended_seconds": "assumed_suspends_total", "stepped_seconds": "assumed_clock_steps_total"}
"""Fact of `clock.jumped` → the counter that it adds 1 to where it is not 0."""
TIMED = {"role.renewed": "success", "role.renewal_failed": "failure"}
"""Event with `took_seconds` → the result that it is."""


class Counters:
    """A listener of the events, which come from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: defaultdict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
        self._counts["assumed_config_loads_total"][()] = 1  # the one that the daemon was started with
        self._durations: dict[str, Facts] = {
            result: {"counts": [0] * (len(BUCKETS) + 1), "sum": 0.0} for result in RESULTS
        }

    def count(self, event: Event) -> None:
        """Count an event."""
        with self._lock:
            for metric, *labels in COUNTED.get(event.name, ()):
                self._counts[metric][tuple(label.format_map(event.facts) for label in labels)] += 1
            for fact, metric in JUMPS.items() if event.name == "clock.jumped" else ():
                self._counts[metric][()] += event.facts[fact] != 0
            if event.name in TIMED:
                duration, took = self._durations[TIMED[event.name]], float(event.facts["took_seconds"])
                duration["counts"][bisect_left(BUCKETS, took)] += 1
                duration["sum"] = round(duration["sum"] + took, 3)
            if event.name == "config.loaded":
                # A profile that comes back begins anew, as after a restart.
                gone = set(event.facts["removed"])
                for metric, counts in self._counts.items():
                    self._counts[metric] = Counter({key: n for key, n in counts.items() if gone.isdisjoint(key[:1])})

    def facts(self) -> Facts:
        """`counts`: metric → [label values, count] of each that is not 0. `durations`: result → how many renewals fell
        into each of BUCKETS and above all of them, and their seconds in total."""
        with self._lock:
            counts = {
                metric: [[list(labels), n] for labels, n in found.items()] for metric, found in self._counts.items()
            }
            return {"counts": counts, "durations": deepcopy(self._durations)}


def facts(snapshot: Snapshot, counters: Counters, now: Instant) -> Facts:
    """All that metrics are read from; as JSON for `assumed metrics`, which makes the text."""
    state = snapshot.state
    running = {
        **counters.facts(),
        "down": sorted({role.source() for profile, role in state.roles.items() if state.is_down(profile)}),
        "not_stored": len(snapshot.unsaved),
        "started_at": snapshot.started.wall,
        "heartbeat_at": snapshot.beaten.wall,
        "build": _build(),
        **_usage(),
    }
    return {"status": document(snapshot, now), "running": running}


def facts_offline(config: Config) -> Facts:
    """The same without a daemon: what the disk says."""
    return {"status": offline(config), "running": None}


@cache
def _build() -> dict[str, Any]:
    from importlib.metadata import version  # noqa: PLC0415 - 15 ms that the start need not wait for

    return {"version": __version__, "python": platform.python_version(), "boto3": version("boto3")}


def _usage() -> dict[str, float]:
    """CPU seconds, resident bytes, file descriptors; without what this system does not expose."""
    times = os.times()
    found: dict[str, float] = {"cpu_seconds": times.user + times.system}
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY:
        found["max_fds"] = float(limit)
    with contextlib.suppress(OSError):  # macOS has no /proc, and its getrusage knows only the peak
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        found["resident_bytes"] = float(pages) * resource.getpagesize()
    with contextlib.suppress(OSError):
        found["open_fds"] = float(len(os.listdir("/dev/fd")) - 1)  # noqa: PTH208 - without the one that lists them
    return found
