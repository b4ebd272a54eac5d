"""What is counted of the daemon's events, and that those events are logged."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

import assumed
from assumed.events import Event
from assumed.metrics.counters import COUNTED, TIMED, Counters
from assumed.metrics.exposition import METRICS
from assumed.model import FailureKind

Counts = dict[tuple[str, ...], int]


def counted(*events: tuple[str, dict[str, Any]]) -> Counts:
    """(metric, label values…) → count after these events, without the configuration of the start."""
    counters = Counters()
    for name, facts in events:
        counters.count(Event(0.0, "info", name, facts))
    found = {
        (metric, *labels): n for metric, all_labels in counters.facts()["counts"].items() for labels, n in all_labels
    }
    found["assumed_config_loads_total",] -= 1
    return {key: n for key, n in found.items() if n}


RENEWED = ("role.renewed", {"profile": "a", "took_seconds": 0.2})
FAILED = ("role.renewal_failed", {"profile": "a", "kind": str(FailureKind.DENIED), "took_seconds": 1.5})
JUMPS: dict[str, tuple[dict[str, int], Counts]] = {
    "a suspend": ({"suspended_seconds": 3600, "stepped_seconds": 0}, {("assumed_suspends_total",): 1}),
    "a step": ({"suspended_seconds": 0, "stepped_seconds": -5}, {("assumed_clock_steps_total",): 1}),
    "both": (
        {"suspended_seconds": 60, "stepped_seconds": 5},
        {("assumed_suspends_total",): 1, ("assumed_clock_steps_total",): 1},
    ),
}


def test_a_renewal_is_a_success_of_its_profile() -> None:
    assert counted(RENEWED, RENEWED) == {("assumed_renewals_total", "a", "success"): 2}


def test_a_failure_is_counted_by_profile_and_kind() -> None:
    assert counted(FAILED, RENEWED) == {
        ("assumed_renewals_total", "a", "failure"): 1,
        ("assumed_renewals_total", "a", "success"): 1,
        ("assumed_renewal_failures_total", "a", "denied"): 1,
    }


def test_the_overwriting_that_begins_a_contest_is_one_of_them() -> None:
    events = [("profile.overwritten", {"profile": "a"})] * 4 + [("profile.contested", {"profile": "a"})]
    assert counted(*events) == {
        ("assumed_role_overwrites_total", "a"): 5,
        ("assumed_role_contests_total", "a"): 1,
    }


@pytest.mark.parametrize("case", JUMPS)
def test_a_jump_of_the_clock_is_a_suspend_or_a_step(case: str) -> None:
    facts, expected = JUMPS[case]
    assert counted(("clock.jumped", facts)) == expected


def test_other_events_are_not_counted() -> None:
    assert counted(("role.restored", {"profile": "a"}), ("daemon.started", {})) == {}


def test_a_profile_that_leaves_the_configuration_is_forgotten() -> None:
    """And begins at 0 if it comes back; one that waits to be let go is still there."""
    changes = {"added": [], "changed": [], "removed": [], "leaving": ["a"]}
    other = ("role.renewed", {"profile": "b", "took_seconds": 0.2})
    assert ("assumed_renewals_total", "a", "success") in counted(RENEWED, ("config.loaded", changes))
    assert counted(RENEWED, other, ("config.loaded", {**changes, "removed": ["a"], "leaving": []})) == {
        ("assumed_renewals_total", "b", "success"): 1,
        ("assumed_config_loads_total",): 1,
    }


@pytest.mark.parametrize(("took", "bucket"), [(0.0, 0), (0.05, 0), (0.051, 1), (30.0, 9), (31.0, 10)])
def test_a_duration_falls_into_the_first_bucket_that_holds_it(took: float, bucket: int) -> None:
    """A bucket's bound belongs to it: `le` is less or equal. What is longer than all falls behind the last."""
    counters = Counters()
    counters.count(Event(0.0, "info", "role.renewed", {"profile": "a", "took_seconds": took}))
    found = counters.facts()["durations"]["success"]
    assert found["counts"].index(1) == bucket
    assert (len(found["counts"]), sum(found["counts"]), found["sum"]) == (11, 1, took)


def test_no_event_is_lost_between_threads() -> None:
    counters = Counters()

    def many() -> None:
        for _ in range(2000):
            counters.count(Event(0.0, "info", *RENEWED))

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counters.facts()["counts"]["assumed_renewals_total"] == [[["a", "success"], 8000]]


def test_every_event_that_is_counted_is_logged_somewhere() -> None:
    """An event that is renamed must not leave a counter that stands still for ever."""
    source = "".join(
        path.read_text() for path in Path(assumed.__file__).parent.rglob("*.py") if path.stem != "counters"
    )
    assert [name for name in COUNTED if f'"{name}"' not in source] == []
    assert set(TIMED) <= set(COUNTED)


def test_every_count_is_a_metric_with_as_many_labels() -> None:
    labels = {metric.name: len(metric.labels) for metric in METRICS if metric.kind == "counter"}
    for counts in COUNTED.values():
        for count in counts:
            assert labels[count[0]] == len(count) - 1
