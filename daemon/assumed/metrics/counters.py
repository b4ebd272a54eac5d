"""What the daemon counts of its own events, since its start. The counts themselves have no names of events."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from typing import Any

from assumed.events import Event

from .samples import BUCKETS, RESULTS


@dataclass(frozen=True, slots=True)
class Count:
    """One count of an event: the metric, and its labels' values: those of these facts, then the fixed ones."""

    metric: str
    facts: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    only_if: str = ""
    """Counted only where this fact is neither 0 nor empty."""


COUNTED: dict[str, tuple[Count, ...]] = {
    "role.renewed": (Count("assumed_renewals_total", ("profile",), ("success",)),),
    "role.renewal_failed": (
        Count("assumed_renewals_total", ("profile",), ("failure",)),
        Count("assumed_renewal_failures_total", ("profile", "kind")),
    ),
    "profile.overwritten": (Count("assumed_role_overwrites_total", ("profile",)),),
    "profile.contested": (  # said instead of `profile.overwritten` from the second time on
        Count("assumed_role_overwrites_total", ("profile",)),
        Count("assumed_role_contests_total", ("profile",)),
    ),
    "file.written": (Count("assumed_file_writes_total"),),
    "file.refused": (Count("assumed_file_write_failures_total"),),
    "edit.set_aside": (Count("assumed_file_edits_set_aside_total"),),
    "clock.jumped": (
        Count("assumed_suspends_total", only_if="suspended_seconds"),
        Count("assumed_clock_steps_total", only_if="stepped_seconds"),
    ),
    "config.loaded": (Count("assumed_config_loads_total"),),
    "config.rejected": (Count("assumed_config_rejections_total"),),
    "state.restored": (Count("assumed_state_restores_total"),),
    "scheduler.revived": (Count("assumed_scheduler_revivals_total"),),
    "source.down": (Count("assumed_source_outages_total", ("source",)),),
    "source.not_resolved": (Count("assumed_source_resolution_failures_total", ("source",)),),
}
"""Event → what it adds 1 to."""

TIMED = {"role.renewed": "success", "role.renewal_failed": "failure"}
"""Event with `took_seconds` → the result under which it is filed."""


class Counters:
    """A listener of the events. Events come from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self._counts["assumed_config_loads_total", ()] = 1  # the one that the daemon was started with
        self._buckets = {result: [0] * (len(BUCKETS) + 1) for result in RESULTS}
        self._sums = dict.fromkeys(RESULTS, 0.0)

    def count(self, event: Event) -> None:
        """Count an event."""
        with self._lock:
            for count in COUNTED.get(event.name, ()):
                if not count.only_if or event.facts[count.only_if]:
                    labels = (*(str(event.facts[fact]) for fact in count.facts), *count.fixed)
                    self._counts[count.metric, labels] += 1
            if event.name in TIMED:
                self._time(TIMED[event.name], float(event.facts["took_seconds"]))
            if event.name == "config.loaded":
                self._forget(set(event.facts["removed"]))

    def _time(self, result: str, took: float) -> None:
        self._buckets[result][bisect_left(BUCKETS, took)] += 1
        self._sums[result] += took

    def _forget(self, profiles: set[str]) -> None:
        """Profiles that have left the configuration: should one come back, it begins anew, as after a restart."""
        for key in [(metric, labels) for metric, labels in self._counts if labels and labels[0] in profiles]:
            del self._counts[key]

    def counts(self) -> dict[str, list[tuple[list[str], int]]]:
        """Metric → (label values, count) of each that is not 0."""
        found: dict[str, list[tuple[list[str], int]]] = {}
        with self._lock:
            for (metric, labels), n in self._counts.items():
                found.setdefault(metric, []).append((list(labels), n))
        return found

    def durations(self) -> dict[str, dict[str, Any]]:
        """Result → how many renewals fell into each of BUCKETS and above all of them, and their seconds in all."""
        with self._lock:
            return {
                result: {"counts": list(self._buckets[result]), "sum": round(self._sums[result], 3)}
                for result in RESULTS
            }
