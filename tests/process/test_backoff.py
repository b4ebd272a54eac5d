"""How long a role waits after each kind of failure, and what ends the wait."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from process.kit import arn, fail, fail_again, key_of
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

PASSING, POLITE, MENDED = [3, 6, 12, 24, 45, 45], [5, 10, 20, 40, 80, 160, 320, 600, 600], [15, 30, 60, 60]
WAITS: dict[str, tuple[dict[str, Any], str, list[int]]] = {
    "unavailable": ({"error": "ServiceUnavailable", "status": 503}, "transient", PASSING),
    "cut": ({"fault": "reset"}, "transient", PASSING),
    "throttled": ({"error": "Throttling"}, "throttled", [5, 10, 20, 40, 45, 45]),
    "skewed": ({"clock_offset": 3600.0}, "clock", [15, 30, 45, 45]),
    "denied": ({"error": "AccessDenied"}, "denied", POLITE),
    "refused-key": ({"error": "InvalidClientTokenId"}, "source_dead", MENDED),
    "bad-request": ({"error": "MalformedPolicyDocument"}, "misconfigured", [3600, 3600]),
    "another": (
        {"principal": "arn:aws:sts::999999999999:assumed-role/x/y"},
        "wrong_principal",
        [15, 30, 60, 120, 240, 480, 600, 600],
    ),
}
"""STS's behaviour → the failure kind, and the seconds of each wait, to which up to a tenth of jitter is added."""
MOST = max(len(waits) for _, _, waits in WAITS.values())


def keep_apart(home: Home, *names: str) -> None:
    """Give each role its own region, so that failures of one source do not hold the others."""
    home.configure(*(role(name, arn(name), region=f"us-north-{n}") for n, name in enumerate(names)))


def failures(daemon: Daemon, profile: str) -> list[dict[str, Any]]:
    return [event for event in daemon.events("role.renewal_failed") if event["profile"] == profile]


def test_each_kind_of_failure_has_its_own_backoff_and_a_success_resets_it(
    sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """After a success, a failure before the session is due is only a warning, because readers still have a session."""
    for name, (rule, _, _) in WAITS.items():
        sts.rule(arn(name), **rule)
    keep_apart(aws_home, *WAITS)
    fail(daemon.start(), *WAITS)
    fail_again(daemon, *WAITS, often=MOST - 1)
    for name, (_, kind, waits) in WAITS.items():
        failed = failures(daemon, name)[: len(waits)]
        assert {(event["kind"], event["level"]) for event in failed} == {(kind, "error")}, name
        assert all(
            wait <= event["retry_in_seconds"] <= 1.1 * wait + 1 for wait, event in zip(waits, failed, strict=True)
        ), failed

    for name in WAITS:
        sts.rule(arn(name), session_seconds=900)
    daemon.ask("refresh", profiles=list(WAITS))
    daemon.wait_until_fresh(*WAITS)
    for name, (rule, _, _) in WAITS.items():
        sts.rule(arn(name), **rule)
    fail_again(daemon, *WAITS)
    for name, (_, _, waits) in WAITS.items():
        last = failures(daemon, name)[-1]
        assert (last["failures"], last["level"]) == (1, "warning"), last
        assert max(440, waits[0]) <= last["retry_in_seconds"] <= max(540, 1.1 * waits[0] + 1), last


REFUSALS = {
    "AccessDenied": "denied",
    "AccessDeniedException": "denied",
    "UnauthorizedOperation": "denied",
    "Teapot": "denied",
    "ExpiredToken": "source_dead",
    "ExpiredTokenException": "source_dead",
    "InvalidClientTokenId": "source_dead",
    "UnrecognizedClientException": "source_dead",
    "IncompleteSignature": "source_dead",
    "SignatureDoesNotMatch": "source_dead",
    "MissingAuthenticationToken": "source_dead",
    "InvalidIdentityToken": "source_dead",
    "IDPRejectedClaim": "source_dead",
    "RequestExpired": "clock",
    "RequestTimeTooSkewed": "clock",
    "Throttling": "throttled",
    "ThrottlingException": "throttled",
    "ThrottledException": "throttled",
    "RequestLimitExceeded": "throttled",
    "TooManyRequestsException": "throttled",
    "SlowDown": "throttled",
    "Busy": "throttled",
    "ValidationError": "misconfigured",
    "ValidationException": "misconfigured",
    "InvalidParameterValue": "misconfigured",
    "InvalidParameterCombination": "misconfigured",
    "MissingParameter": "misconfigured",
    "MalformedPolicyDocument": "misconfigured",
    "PackedPolicyTooLarge": "misconfigured",
    "RegionDisabledException": "misconfigured",
    "OptInRequired": "misconfigured",
    "InternalFailure": "transient",
    "IDPCommunicationError": "transient",
    "Novelty": "transient",
}
STATUS = {"Teapot": 403, "Busy": 429}
"""For unknown codes the HTTP status decides."""


def test_every_error_code_of_sts_is_classified_for_its_backoff(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """One code per role, all at once."""
    for code in REFUSALS:
        sts.rule(arn(code), error=code, status=STATUS.get(code))
    keep_apart(aws_home, *REFUSALS)
    daemon.start().wait_until(lambda status: all(entry["failures"] for entry in status["roles"]))

    assert {code: failures(daemon, code)[0]["kind"] for code in REFUSALS} == REFUSALS
    codes = {entry["profile"]: entry["last_error"]["code"] for entry in daemon.status()["roles"]}
    assert codes == {code: code for code in REFUSALS}


def test_renewals_are_spread_over_a_tenth_of_a_session_and_a_restart_does_not_move_them(
    sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """Sessions that started together are not renewed together."""
    sts.rule("*", session_seconds=900)
    names = [f"role-{n}" for n in range(20)]
    aws_home.configure(*(role(name, arn(name)) for name in names))

    def ages(status: dict[str, Any]) -> dict[str, float]:
        def at(entry: dict[str, Any], key: str) -> float:
            return datetime.fromisoformat(entry[key]).timestamp()

        return {entry["profile"]: at(entry, "next_renewal") - at(entry, "issued_at") for entry in status["roles"]}

    before = ages(daemon.start().wait_until_fresh(*names))
    daemon.stop()
    after = ages(daemon.start().wait_until_fresh(*names))

    assert 448 <= min(before.values()) < 480
    assert 510 < max(before.values()) <= 542
    assert len(set(before.values())) > 10
    assert all(abs(before[name] - after[name]) <= 2 for name in names), (before, after)


def test_a_denied_role_does_not_block_the_other_roles_of_its_source(
    sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """It backs off for more than a minute although it was tried first."""
    sts.rule("*", session_seconds=4)
    sts.rule(arn("denied"), error="AccessDenied")
    names = ("denied", "a", "b")
    aws_home.configure(*(role(name, arn(name)) for name in names))
    daemon.start().wait_until_fresh("a", "b")
    fail(daemon, "denied")
    fail_again(daemon, "denied", often=4)

    for name in ("a", "b"):
        sts.rule(arn(name), error="InternalFailure")
    fail_again(daemon, "a", "b")
    for name in ("a", "b"):
        sts.rule(arn(name))
    before = {name: key_of(aws_home, name) for name in ("a", "b")}

    eventually(lambda: all(key_of(aws_home, name) != key for name, key in before.items()), 2.4)
    assert daemon.role("denied")["failures"] >= 5


def test_a_child_is_retried_at_once_with_its_parents_new_key(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """It had failed so often that it would wait for a minute; a sibling that STS denies keeps waiting."""
    sts.rule("*", session_seconds=900)
    sts.rule(arn("denied"), error="AccessDenied")
    children = (role(name, arn(name), source_profile="parent") for name in ("child", "denied"))
    aws_home.configure(role("parent", arn("parent")), *children)
    daemon.start().wait_until_fresh("parent", "child")
    fail(daemon, "denied")
    fail_again(daemon, "denied", often=4)
    sts.revoke(key_of(aws_home, "parent"))
    fail_again(daemon, "child", often=4)

    daemon.ask("refresh", profiles=["parent"])

    daemon.wait_until_fresh("parent", "child", within=2)
    assert daemon.role("denied")["failures"] >= 5


def test_no_role_is_tried_with_a_key_that_sts_has_refused(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """One refusal of a key is enough for all roles that use it."""
    sts.rule("*", error="InvalidClientTokenId")
    aws_home.configure(role("tried", arn("tried")))
    fail(daemon.start(), "tried")
    aws_home.configure(role("tried", arn("tried")), role("added", arn("added")))
    daemon.wait_until(lambda status: len(status["roles"]) == 2)
    fail_again(daemon, "tried")

    added = daemon.role("added")
    assert (added["state"], added["failures"]) == ("pending", 0)
    assert added["waits"]
    assert not sts.calls_for(arn("added"))
