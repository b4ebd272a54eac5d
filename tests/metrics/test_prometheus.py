"""The whole way: daemons → textfiles → node_exporter → Prometheus → every query of the dashboard and of the rules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from metrics.kit import MONITORING, dashboard_queries, into, rule_queries
from metrics.servers import Prometheus, get, node_exporter, prometheus
from process.kit import arn
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

pytestmark = pytest.mark.slow

QUIET = {
    "Other writers of the credentials file",  # nobody overwrites anything here
}
"""Panels that may have nothing to show."""


@dataclass
class Fleet:
    """Two users' daemons on one machine, what node_exporter serves of them, and the Prometheus that scrapes it."""

    daemons: list[Daemon]
    exporter: str
    prometheus: Prometheus


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """alice and bob keep profiles of the same names; one of bob's roles is denied."""
    collector = tmp_path_factory.mktemp("collector")
    with ExitStack() as stack:
        sts = stack.enter_context(FakeSts())
        sts.rule("*", session_seconds=12)
        sts.rule(arn("denied"), error="AccessDenied")
        daemons = []
        for user, more in (("alice", ()), ("bob", (role("denied", arn("denied")),))):
            home = Home(tmp_path_factory.mktemp("h"))
            home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
            roles = (role("reports", arn("reports")), role("logs", arn("logs")), *more)
            home.configure(*roles, defaults=into(collector / f"assumed-{user}.prom"))
            daemon = stack.enter_context(Daemon(home, AWS_ENDPOINT_URL_STS=sts.url, WATCHDOG_USEC="2000000"))
            daemon.wait_until_fresh("reports", "logs")
            daemons.append(daemon)
        exporter = stack.enter_context(node_exporter(collector, collector / "log"))
        server = stack.enter_context(prometheus(tmp_path_factory.mktemp("p") / "prometheus", exporter))
        # Two renewals later there is something to make a rate of.
        eventually(lambda: all(len(daemon.events("role.renewed")) >= 6 for daemon in daemons), 40)
        eventually(lambda: len(server.query("assumed_up")) == 2, 20, every=0.2)
        yield Fleet(daemons, exporter, server)


def test_every_query_and_rule_is_answered_from_the_files_of_two_daemons(fleet: Fleet) -> None:
    """Neither collides with the other, nor with what node_exporter tells of itself."""
    text = get(f"http://{fleet.exporter}/metrics")
    assert "node_textfile_scrape_error 0" in text
    assert 'promhttp_metric_handler_errors_total{cause="gathering"} 0' in text, "a series was dropped"
    assert text.count("\nassumed_up{") == 2
    (target,) = fleet.prometheus.targets()
    assert (target["health"], target["lastError"]) == ("up", "")

    for title, expression in dashboard_queries():
        eventually(
            lambda title=title, asked=expression: bool(fleet.prometheus.query(asked)) or title in QUIET,
            20,
            every=0.5,
            saying=f"an answer to {expression}",
        )
    for _, expression in rule_queries():
        fleet.prometheus.query(expression)
    alerts = {alert for alert, _ in rule_queries()}
    eventually(
        lambda: {rule["name"] for rule in fleet.prometheus.rules() if rule["health"] == "ok"} == alerts, 20, every=0.5
    )
    state = 'assumed_role_state{state="failing"} == 1'
    eventually(lambda: [s["metric"]["profile"] for s in fleet.prometheus.query(state)] == ["denied"], 20, every=0.5)
    found = {sample["metric"]["role_arn"] for sample in fleet.prometheus.query(join_of_the_guide())}
    assert found == {arn("reports"), arn("logs")}


def join_of_the_guide() -> str:
    """The query that docs/monitoring shows for a fleet."""
    return (MONITORING / "README.md").read_text("utf-8").partition("```promql\n")[2].partition("```")[0]


def test_a_daemon_that_was_killed_is_seen_by_its_heartbeat_and_a_stopped_one_at_once(fleet: Fleet) -> None:
    killed, stopped = fleet.daemons
    age = "time() - assumed_heartbeat_timestamp_seconds"
    try:
        killed.kill9()
        stopped.stop()
        eventually(lambda: len(fleet.prometheus.query("assumed_up == 0")) == 1, 10, every=0.2)
        eventually(lambda: [float(s["value"][1]) > 5 for s in fleet.prometheus.query(age)] == [True], 20, every=0.2)
        assert len(fleet.prometheus.query("assumed_up == 1")) == 1, "the killed one's last word"
    finally:
        for daemon in fleet.daemons:
            daemon.start()
            daemon.wait_until_fresh("reports", "logs")
