"""When STS is called and when not: dead sources, chains with a failing parent, refused durations."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from process.kit import arn, fail, fail_again, key_of
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

PROFILES = [f"role-{n}" for n in range(8)]
DOWN: dict[str, dict[str, Any]] = {
    "unavailable": {"error": "ServiceUnavailable", "status": 503},
    "throttled": {"error": "ThrottlingException"},
    "its key is refused": {"error": "InvalidClientTokenId"},
}


def make_older(home: Home, profile: str, seconds: float) -> None:
    """Backdate the stored session of a profile. No daemon runs."""
    path = home.state / "sessions" / f"{profile}.json"
    stored = json.loads(path.read_text())
    for name in ("received_wall", "received_boot", "expiration"):
        stored["Assumed"][name] -= seconds
    path.write_text(json.dumps(stored))


def test_a_dead_source_is_probed_by_one_role_at_a_time(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """Roles take turns, and together they call no more often than one would: with such short sessions, a second after
    each answer."""
    sts.rule("*", session_seconds=3)
    aws_home.configure(*(role(name, arn(name)) for name in PROFILES))
    daemon.start().wait_until_fresh(*PROFILES)
    sts.rule("*", latency=0.3, **DOWN["unavailable"])
    daemon.ask("refresh", profiles=PROFILES)
    daemon.wait_until(lambda status: all(entry["failures"] for entry in status["roles"]))

    before = len(sts.calls)
    probes = sts.wait_for_calls(before + 3)[before:]

    assert [call.in_flight for call in probes] == [1, 1, 1]
    assert len({call.role_arn for call in probes}) == 3
    assert all(later.time - earlier.time > 0.9 for earlier, later in pairwise(probes)), probes


@pytest.mark.parametrize("why", DOWN)
def test_all_roles_are_renewed_as_soon_as_their_source_works_again(
    why: str, sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """Each had failed so often that it would wait for most of a minute."""
    sts.rule("*", session_seconds=900, **DOWN[why])
    aws_home.configure(*(role(name, arn(name)) for name in PROFILES))
    daemon.start()
    daemon.ask("refresh", profiles=PROFILES)  # the first failures hold the other roles back
    fail(daemon, *PROFILES)
    fail_again(daemon, *PROFILES, often=5)

    sts.rule("*", session_seconds=900)
    daemon.ask("refresh", profiles=PROFILES[:1])

    daemon.wait_until_fresh(*PROFILES, within=2)


def test_a_child_is_not_requested_with_a_dead_parents_key(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """It keeps its own session and waits for the parent, even on request; then both are renewed."""
    sts.rule("*", session_seconds=900)
    sts.rule(arn("parent"), session_seconds=3)
    aws_home.configure(role("parent", arn("parent")), role("child", arn("child"), source_profile="parent"))
    daemon.start().wait_until_fresh("parent", "child")
    child = key_of(aws_home, "child")
    sts.rule(arn("parent"), error="AccessDenied")
    refused = daemon.wait_until(lambda status: status["roles"][0]["state"] == "expired")["roles"][0]["failures"]

    daemon.ask("refresh", profiles=["child"])
    daemon.ask("refresh", profiles=["parent"])
    daemon.wait_until(lambda status: status["roles"][0]["failures"] > refused)
    waiting = daemon.role("child")
    sts.rule(arn("parent"), session_seconds=900)
    daemon.ask("refresh", profiles=["parent"])
    eventually(lambda: key_of(aws_home, "child") != child, 3)

    assert (waiting["state"], waiting["next_renewal"], waiting["failures"]) == ("fresh", None, 0)
    assert "parent" in waiting["waits"]
    assert [call.outcome for call in sts.calls_for(arn("child"))] == ["ok", "ok"]


def test_a_revoked_parent_session_is_renewed_for_its_child(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """ "Revoke active sessions" in the console: the child's refusal renews the parent, long before it is due, then the
    child."""
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("parent", arn("parent")), role("child", arn("child"), source_profile="parent"))
    daemon.start().wait_until_fresh("parent", "child")
    daemon.stop()
    make_older(aws_home, "parent", 100)  # a session that STS has just issued is not dropped so soon
    daemon.start().wait_until_fresh("parent", "child")

    sts.revoke(key_of(aws_home, "parent"))
    daemon.ask("refresh", profiles=["child"])
    answered = sts.wait_for_calls(5)[2:]

    assert [(call.role_arn, call.outcome) for call in answered] == [
        (arn("child"), "InvalidClientTokenId"),
        (arn("parent"), "ok"),
        (arn("child"), "ok"),
    ]
    eventually(lambda: key_of(aws_home, "child") == answered[-1].issued, 3)


LIMITS: dict[str, dict[str, Any]] = {
    "of the role": {"max_session_duration": 3600},
    "of chaining": {},
}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_refused_duration_is_retried_with_an_hour(limit: str, sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """The role works, and the log says what to configure."""
    signs = sts.source if limit == "of the role" else sts.add_session("ASIASOURCE000000", "fake-secret", "fake-token")
    aws_home.add_source(signs.access_key_id, signs.secret_access_key, profile="signs")
    with aws_home.credentials.open("a") as file:
        file.write(f"aws_session_token = {signs.session_token}\n" if signs.session_token else "")
    sts.rule("*", **LIMITS[limit])
    aws_home.configure(role("long", arn("long"), source_profile="signs", duration_seconds=7200))

    status = daemon.start().wait_until_fresh("long")

    assert [(call.duration, call.outcome) for call in sts.calls] == [(7200, "ValidationError"), (3600, "ok")]
    assert status["roles"][0]["life_seconds"] == 3600
    assert [event["profile"] for event in daemon.events("role.length_capped")] == ["long"]
