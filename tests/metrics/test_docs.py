"""docs/monitoring names what the daemon exposes: the table, the rules and the dashboard."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from assumed.metrics.exposition import METRICS, STATES, Metric, text
from assumed.model import FailureKind
from metrics.kit import (
    MONITORING,
    Exposition,
    dashboard,
    dashboard_queries,
    facts,
    metrics_in,
    promtool,
    role,
    rule_queries,
)

README = (MONITORING / "README.md").read_text("utf-8")
AMOUNTS = ("assumed_sessions_not_stored", "assumed_process_open_fds", "assumed_process_max_fds")


def unit(metric: Metric) -> str:
    """What a value of it is in."""
    for base in ("seconds", "bytes"):
        if metric.name.removesuffix("_total").endswith(f"_{base}"):
            return base
    return "count" if metric.kind == "counter" or metric.name in AMOUNTS else "0 or 1"


def row(metric: Metric) -> str:
    """The line that the table has for a metric."""
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {unit(metric)} | {labels} | {metric.help} |"


def test_the_table_has_a_line_for_every_metric_and_no_other() -> None:
    assert re.findall(r"(?m)^\| `assumed_.*$", README) == [row(metric) for metric in METRICS]


def test_the_table_lists_what_a_daemon_exposes() -> None:
    """By the text itself, not by the table in the code."""
    told = Exposition(text(facts(role("a"))).decode())
    named = set(re.findall(r"(?m)^\| `(assumed_\w+)`", README))
    suffix = re.compile(r"(?<=_seconds)_(bucket|sum|count)$")
    assert {suffix.sub("", name) for name in told.names()} == named


def test_kinds_and_states_are_explained() -> None:
    for word in (*FailureKind, *STATES):
        assert f"`{word}`" in README


def test_promtool_accepts_the_rules() -> None:
    assert "SUCCESS: 13 rules found" in promtool("check", "rules", str(MONITORING / "alerts.yml"))


def test_the_rules_fire_when_they_should_and_only_then() -> None:
    assert "SUCCESS" in promtool("test", "rules", str(MONITORING / "alerts_test.yml"))


def test_every_rule_is_tested_both_ways() -> None:
    cases = (MONITORING / "alerts_test.yml").read_text("utf-8")
    for alert, _ in rule_queries():
        looks = re.findall(rf'"{alert}", alertstate="firing"\}}\)\n +eval_time: \w+\n +exp_samples:( \[\])?', cases)
        assert {bool(quiet) for quiet in looks} == {True, False}, alert


def test_every_alert_says_what_happened_where_and_what_to_do() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML comes with moto")
    (group,) = yaml.safe_load((MONITORING / "alerts.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]:
        assert "$labels.instance" in rule["annotations"]["summary"], rule["alert"]
        assert len(rule["annotations"]["description"]) > 60, rule["alert"]
        assert rule["labels"]["severity"] in ("warning", "critical"), rule["alert"]
        assert rule["for"], rule["alert"]


def test_every_query_of_the_dashboard_is_promql(tmp_path: Path) -> None:
    rules = [{"record": f"q{i}", "expr": expression} for i, (_, expression) in enumerate(dashboard_queries())]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # which is YAML, too
    assert f"SUCCESS: {len(rules)} rules found" in promtool("check", "rules", str(file))


@pytest.mark.parametrize("query", [*dashboard_queries(), *rule_queries()], ids=lambda query: query[0])
def test_a_query_reads_only_metrics_that_there_are(query: tuple[str, str]) -> None:
    told = Exposition(text(facts(role("a"))).decode()).names()
    assert metrics_in(query[1])
    assert metrics_in(query[1]) <= told


def test_the_dashboard_offers_machines_and_profiles_to_choose_from() -> None:
    told = Exposition(text(facts(role("a"))).decode())
    queries = [variable["query"]["query"] for variable in dashboard()["templating"]["list"][1:]]
    labels = [re.fullmatch(r"label_values\((assumed_\w+)(?:\{.*\})?, (\w+)\)", query) for query in queries]
    assert [found and found.groups() for found in labels] == [
        ("assumed_up", "instance"),  # which Prometheus adds
        ("assumed_role_info", "profile"),
    ]
    assert "profile" in told.labels("assumed_role_info")[0]
    assert told.count("assumed_up") == 1


def test_the_dashboard_can_be_imported_anywhere() -> None:
    """It asks for the data source, and each panel uses the one that was chosen; no panel covers another."""
    document = dashboard()
    variables = {variable["name"]: variable for variable in document["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    covered: set[tuple[int, int]] = set()
    for panel in document["panels"]:
        assert panel["datasource"] == chosen
        assert all(target["datasource"] == chosen for target in panel["targets"])
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & covered
        assert at["x"] + at["w"] <= 24
        covered |= cells
    assert len({panel["id"] for panel in document["panels"]}) == len(document["panels"])
