"""One role fails in every way that STS knows beside healthy ones: only it fails, and politely."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from process.kit import Reader, arn, in_words, key_of, rounds
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import PROOF, eventually

HEALTHY = ("healthy-1", "healthy-2")


@pytest.mark.slow
@pytest.mark.proof
def test_a_denied_and_a_hanging_role_do_not_affect_others(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """No reader of a healthy profile finds an old session for three lifetimes; the denied role backs off.

    Renewed at 60 % at the latest; STS's whole seconds cost up to 17 % of a 6 s session.
    """
    aws_home.configure(*(role(name, arn(name)) for name in (*HEALTHY, "denied", "hung")))
    sts.rule("*", session_seconds=6)
    sts.rule(arn("denied"), error="AccessDenied")
    sts.rule(arn("hung"), fault="hang")
    daemon.start().wait_until_fresh(*HEALTHY)
    with Reader(aws_home, sts, HEALTHY) as reader:
        eventually(lambda: min(rounds(daemon, name) for name in HEALTHY) >= 4, 15)
    assert not reader.faults
    assert min(reader.least(name) for name in HEALTHY) > 0.20 or not PROOF
    calls = [call.time for call in sts.calls_for(arn("denied"))]
    gaps = [later - earlier for earlier, later in pairwise(calls)]
    assert len(calls) >= 2
    assert all(gap > 5 * 2**n - 0.5 for n, gap in enumerate(gaps)), gaps
    assert daemon.role("denied")["state"] == "failing"
    assert arn("denied") in in_words(daemon.role("denied"))
    assert aws_home.profile("denied") is None


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"error": "ThrottlingException", "times": 1}, ("throttled", "slower")),
        pytest.param(
            {"error": "ServiceUnavailable", "status": 503, "times": 1},
            ("transient", "tries again automatically"),
            marks=pytest.mark.slow,
        ),
        ({"error": "InternalFailure", "status": 500, "times": 1}, ("transient", "tries again automatically")),
    ],
    ids=["throttled", "unavailable", "internal"],
)
def test_a_transient_error_is_retried_within_seconds(
    rule: dict[str, Any], told: tuple[str, str], sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """The role fails once and recovers; the other one is not affected."""
    aws_home.configure(role("tried", arn("tried")), role("other", arn("other")))
    sts.rule("*", session_seconds=900)
    sts.rule(arn("tried"), **rule)
    daemon.start()
    daemon.wait_until_fresh("tried", "other", within=10)
    failed = daemon.events("role.renewal_failed")
    assert [event["kind"] for event in failed] == [told[0]]
    assert told[1] in failed[0]["advice"]
    assert rounds(daemon, "other") == 1


def test_a_request_that_can_never_be_granted_waits_for_an_edit(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """Once an hour at most; an edit ends the wait at once."""
    sts.rule("*", session_seconds=900)
    sts.rule(arn("big"), error="PackedPolicyTooLarge")
    aws_home.configure(role("big", arn("big")))
    daemon.start().wait_until(lambda status: status["roles"][0]["last_error"])
    assert "shorten policy" in in_words(daemon.role("big"))
    waits = daemon.events("role.renewal_failed")[0]["retry_in_seconds"]
    assert 3500 < waits < 4000
    assert len(sts.calls) == 1
    sts.rule(arn("big"))
    aws_home.configure(role("big", arn("big"), role_session_name="smaller"))
    daemon.wait_until_fresh("big", within=4)


def test_an_expiry_beyond_the_requested_duration_is_not_trusted(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """From a server (or clock) that promises too much."""
    sts.rule("*", session_seconds=43200)
    aws_home.configure(role("long", arn("long"), duration_seconds=900))
    assert daemon.start().wait_until_fresh("long")["roles"][0]["life_seconds"] == 900


def test_a_shorter_session_than_requested_is_renewed_at_half_its_real_life(
    sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """4 s instead of 3600: renewed after 2 s."""
    aws_home.configure(role("short", arn("short")))
    daemon.start()
    first, second, third = sts.wait_for_calls(3, arn("short"))
    assert 1.9 < second.time - first.time < 3.0
    assert 1.9 < third.time - second.time < 3.0


@pytest.mark.parametrize("minutes", [45, pytest.param(-45, marks=pytest.mark.slow)])
def test_a_clock_that_is_far_off_does_not_change_the_schedule(
    minutes: int, sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """The clock is 45 min off. Web identity requests are not signed, so STS answers, and sessions are renewed at 50–60
    % of their life by AWS's clock."""
    token = aws_home.path / "token"
    token.write_text("a-web-token")
    sts.rule("*", session_seconds=4, clock_offset=60.0 * minutes)
    defaults = f'[defaults]\nregion = "us-west-2"\nweb_identity_token_file = "{token}"\n'
    aws_home.configure(role("skewed", arn("skewed")), defaults=defaults)
    daemon.start()
    calls = sts.wait_for_calls(3, arn("skewed"), outcome="ok", within=15)
    gaps = [later.time - earlier.time for earlier, later in pairwise(calls)]
    assert all(1.5 < gap < 3.2 for gap in gaps), gaps
    said = daemon.events("clock.skewed")
    assert len(said) == 1
    assert ("behind" if minutes > 0 else "ahead of") in said[0]["message"]
    daemon.wait_until_fresh("skewed")


@pytest.mark.parametrize("minutes", [-10, pytest.param(10, marks=pytest.mark.slow)])
def test_a_clock_within_the_tolerance_of_sts_works_with_a_warning(
    minutes: int, sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """Signed requests are accepted up to 15 min; the warning comes earlier."""
    sts.rule("*", session_seconds=4, clock_offset=60.0 * minutes)
    aws_home.configure(role("off", arn("off")))
    daemon.start()
    first, second, third = sts.wait_for_calls(3, arn("off"), outcome="ok")
    assert 1.5 < second.time - first.time < 3.2
    assert 1.5 < third.time - second.time < 3.2
    assert daemon.events("clock.skewed")


def test_an_expired_signature_is_reported_as_a_wrong_clock(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """STS calls it SignatureDoesNotMatch, which usually means a wrong secret."""
    sts.rule("*", clock_offset=3600.0, session_seconds=900)
    aws_home.configure(role("late", arn("late")))
    daemon.start().wait_until(lambda status: status["roles"][0]["last_error"])
    said = in_words(daemon.role("late"))
    assert "SignatureDoesNotMatch" in said
    assert "clock is 3600 s behind" in said or "clock is 3599 s behind" in said
    assert daemon.events("role.renewal_failed")[0]["kind"] == "clock"


def test_a_wrong_secret_is_reported_as_a_wrong_secret(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """The other meaning of the same code."""
    aws_home.add_source(sts.source.access_key_id, "mistyped", profile="typo")
    aws_home.configure(role("a", arn("a"), source_profile="typo"))
    daemon.start().wait_until(lambda status: status["roles"][0]["last_error"])
    assert "secret key of typo is wrong" in in_words(daemon.role("a"))


@pytest.mark.proof
def test_many_denied_roles_do_not_delay_a_healthy_one(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """STS denies thirty roles slowly: more than there are workers."""
    denied = [f"denied-{n}" for n in range(30)]
    for name in denied:
        sts.rule(arn(name), error="AccessDenied", latency=0.2)
    aws_home.configure(*(role(name, arn(name)) for name in (*denied, "healthy")))
    daemon.start().wait_until_fresh("healthy", within=8)
    with Reader(aws_home, sts, ("healthy",)) as reader:
        eventually(lambda: rounds(daemon, "healthy") >= 4, 12)
    assert not reader.faults
    assert reader.least("healthy") > 0.05 or not PROOF, "whole seconds of a 4 s session cost up to a quarter of it"
    for name in denied:
        times = [call.time for call in sts.calls_for(arn(name))]
        assert all(later - earlier > 4.5 for earlier, later in pairwise(times)), times
    assert key_of(aws_home, "denied-0") == ""
