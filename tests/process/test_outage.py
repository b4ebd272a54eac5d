"""STS is unreachable: sessions stay, one role probes, and the end of the outage is noticed within seconds."""

from __future__ import annotations

import time

import pytest

from process.kit import arn, key_of
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually, in_time

PROFILES = [f"role-{n}" for n in range(8)]


@pytest.mark.proof
def test_an_outage_removes_no_session_and_ends_for_all_roles_within_seconds(
    sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """Longer than half a session, so every renewal falls into it."""
    sts.rule("*", session_seconds=10)
    aws_home.configure(*(role(name, arn(name)) for name in PROFILES))
    daemon.start().wait_until_fresh(*PROFILES)
    before = {name: key_of(aws_home, name) for name in PROFILES}

    sts.outage(True)
    failing = daemon.wait_until(
        lambda status: sum(1 for entry in status["roles"] if entry["last_error"]) >= 1, within=8
    )
    assert any("network" in entry["last_error"]["advice"] for entry in failing["roles"] if entry["last_error"])
    time.sleep(2)  # the outage itself has this length
    assert {name: key_of(aws_home, name) for name in PROFILES} == before
    tried = len(daemon.events("role.renewal_failed"))
    assert tried <= len(PROFILES) + 4, "one role probes for all of them once the first burst has failed"

    sts.outage(False)
    ended = time.monotonic()
    daemon.wait_until(
        lambda status: (
            all(entry["state"] == "fresh" for entry in status["roles"])
            and all(key_of(aws_home, name) != before[name] for name in PROFILES)
        )
    )
    assert in_time(ended, 6)


def test_a_daemon_started_during_an_outage_waits_for_its_end(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """It starts at once, says why there are no sessions, probes with one role, then renews all."""
    aws_home.configure(*(role(name, arn(name)) for name in PROFILES))
    sts.outage(True)
    daemon.start()
    daemon.wait_until(lambda status: any(entry["last_error"] for entry in status["roles"]))
    assert aws_home.profile("role-0") is None
    sts.outage(False)
    daemon.wait_until_fresh(*PROFILES, within=10)


def test_broken_connections_are_retried(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """A reset, half an answer and a captive portal are not refusals."""
    aws_home.configure(*(role(name, arn(name)) for name in ("reset", "half", "portal", "healthy")))
    sts.rule(arn("reset"), fault="reset", times=1)
    sts.rule(arn("half"), fault="half", times=1)
    sts.rule(arn("portal"), fault="garbage", times=1)
    daemon.start().wait_until_fresh("reset", "half", "portal", "healthy", within=10)
    eventually(lambda: len(daemon.events("role.renewal_failed")) >= 3, 2)
    assert {event["kind"] for event in daemon.events("role.renewal_failed")} == {"transient"}


def test_the_probe_uses_a_role_that_is_due(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """Not simply the least recently tried one, which may not be due for an hour."""
    sts.rule(arn("healthy"), session_seconds=3600)
    aws_home.configure(role("healthy", arn("healthy")))
    daemon.start().wait_until_fresh("healthy")
    for name in ("late-1", "late-2"):
        sts.rule(arn(name), error="InternalFailure", times=1)
    aws_home.configure(*(role(name, arn(name)) for name in ("healthy", "late-1", "late-2")))
    daemon.wait_until(lambda status: sum(1 for entry in status["roles"] if entry["last_error"]) == 2)
    daemon.wait_until_fresh("healthy", "late-1", "late-2", within=8)


def test_the_first_success_after_an_outage_frees_every_role_of_its_source(
    sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """However often each has failed: their own next attempts are most of a minute away."""
    sts.rule("*", session_seconds=3600)
    aws_home.configure(*(role(name, arn(name)) for name in PROFILES))
    sts.outage(True)
    daemon.start()
    for _ in range(5):
        assert aws_home.assumed("refresh", AWS_ENDPOINT_URL_STS=sts.url).returncode == 1
    daemon.wait_until(lambda status: all(entry["failures"] >= 5 for entry in status["roles"]))
    sts.outage(False)
    aws_home.assumed("refresh", "role-0")
    daemon.wait_until_fresh(*PROFILES, within=10)
