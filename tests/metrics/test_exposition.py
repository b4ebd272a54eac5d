"""The text that Prometheus reads: escaped as its format wants it, complete, and by its naming guide."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assumed.metrics.counters import BUCKETS, Facts
from assumed.metrics.exposition import METRICS, Metric, text
from assumed.model import FailureKind
from metrics.kit import Exposition, facts, promtool, role

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.text('\\"\n{},= ', max_size=12)
NASTY = [
    '"',
    "\\",
    "\\n",
    "\n",
    'a"b\\c\nd',
    "{}",
    ",",
    "=",
    " ",
    "#",
    "é😀",
    "\\\\",
    '\\"',
    "\t",
    "",
    "\r",
    "\u2028",
    "\0",
]


def read(of: Facts) -> Exposition:
    """Through a real parser."""
    return Exposition(text(of).decode())


@given(TEXTS, TEXTS)
def test_whatever_a_label_holds_comes_back_as_it_was(profile: str, source: str) -> None:
    of = read(facts(role(profile, source=source)))
    assert of.labels("assumed_role_info")[0]["source"] == source
    assert of.value("assumed_role_delivered", profile=profile) == 1.0
    assert of.value("assumed_source_down", source=source) == 0.0


def test_promtool_reads_it_too_and_finds_no_fault() -> None:
    """Names, units, help texts and types, by Prometheus' own linter; labels with every sign that could end one."""
    assert promtool("check", "metrics", given=text(facts(*(role(name) for name in NASTY))).decode()) == ""


def test_every_metric_of_the_table_is_exposed() -> None:
    told = {family.name for family in read(facts()).families}
    assert told == {metric.name.removesuffix("_total") for metric in METRICS}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_follow_the_naming_guide(metric: Metric) -> None:
    """One prefix, base units, `_total` for counters and for nothing else."""
    name, kind = metric.name, metric.kind
    assert re.fullmatch(r"assumed(_[a-z]+)+", name)
    assert name.endswith("_total") == (kind == "counter")
    assert not re.search(r"_(ms|milliseconds|minutes|hours|kb|mb|percent)(_|$)", name)
    assert ("_timestamp" not in name) or name.endswith("_timestamp_seconds")
    assert metric.help.endswith(".")


def test_every_series_names_its_credentials_file() -> None:
    """Two users of one machine have daemons of their own, and node_exporter drops the second of two equal series."""
    samples = read(facts()).samples
    assert {sample.labels["credentials_file"] for sample in samples} == {"/home/alice/.aws/credentials"}


def test_a_path_that_is_not_text_is_escaped() -> None:
    """File names are bytes; Python has the odd ones as lone surrogates, which no UTF-8 can hold."""
    of = facts()
    of["status"]["credentials_file"]["path"] = "/home/\udcff/credentials"
    assert read(of).labels("assumed_up")[0]["credentials_file"] == "/home/\\udcff/credentials"


def test_what_can_happen_is_there_from_the_start() -> None:
    """`increase()` does not see the first of a series that begins with it."""
    of = read(facts(role("a"), role("b", enabled=False)))
    for profile in ("a", "b"):
        for kind in FailureKind:
            assert of.value("assumed_renewal_failures_total", profile=profile, kind=kind) == 0.0
        for result in ("success", "failure"):
            assert of.value("assumed_renewals_total", profile=profile, result=result) == 0.0


def test_a_role_is_in_exactly_one_state() -> None:
    of = read(facts(role("a", state="needs_login")))
    states = {labels["state"]: of.value("assumed_role_state", **labels) for labels in of.labels("assumed_role_state")}
    assert states == {"fresh": 0, "pending": 0, "failing": 0, "expired": 0, "needs_login": 1}


def test_a_disabled_role_has_no_state() -> None:
    """An alert would fire for it."""
    of = read(facts(role("off", enabled=False, state="pending", delivered=False)))
    assert of.value("assumed_role_enabled", profile="off") == 0
    told = {name for name in of.names() if of.count(name, profile="off") and not name.endswith("_total")}
    assert told == {"assumed_role_enabled", "assumed_role_info"}


def test_an_unknown_value_has_no_sample() -> None:
    """A role without a session has no end, and a 0 would be one in 1970."""
    none = dict.fromkeys(("issued_at", "expiration", "left_seconds", "life_seconds", "next_renewal"))
    of = read(facts(role("a", state="pending", **none)))
    assert not [name for name in of.names() if name.startswith("assumed_role") and "_seconds" in name]


def test_counts_have_their_labels() -> None:
    counts = {"assumed_renewal_failures_total": [[["a", "denied"], 3]], "assumed_suspends_total": [[[], 2]]}
    of = read(facts(role("a"), role("b"), counts=counts))
    assert of.value("assumed_renewal_failures_total", profile="a", kind="denied") == 3
    assert of.value("assumed_renewal_failures_total", profile="b", kind="denied") == 0
    assert of.value("assumed_suspends_total") == 2


def test_counts_of_a_profile_that_has_left_are_not_exposed() -> None:
    of = read(facts(role("a"), counts={"assumed_role_overwrites_total": [[["gone"], 3]]}))
    assert of.count("assumed_role_overwrites_total") == 1


def test_the_buckets_of_a_histogram_add_up() -> None:
    durations = {"success": {"counts": [1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 4], "sum": 200.5}}
    of = read(facts(durations=durations))
    values = [of.value("assumed_renewal_duration_seconds_bucket", le=str(bound)) for bound in (*BUCKETS, "+Inf")]
    assert values == [1, 3, 3, 3, 3, 3, 3, 3, 3, 3, 7]
    assert of.value("assumed_renewal_duration_seconds_count") == 7
    assert of.value("assumed_renewal_duration_seconds_sum") == 200.5


def test_without_a_daemon_the_values_are_the_disks() -> None:
    of = read(facts(role("a"), running=False))
    assert of.value("assumed_up") == 0
    assert of.value("assumed_role_session_life_seconds", profile="a") == 3600
    assert not {name for name in of.names() if name.endswith("_total") or "heartbeat" in name}


def test_an_older_daemon_may_know_less() -> None:
    """Right after an upgrade the command is newer than the daemon."""
    of = facts()
    for key in ("heartbeat_at", "build", "open_fds", "durations"):
        del of["running"][key]
    assert read(of).value("assumed_up") == 1
