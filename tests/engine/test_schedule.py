"""When a session is renewed, and how long a failure waits. Times come in, times go out; nothing here sleeps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assumed.engine.schedule import (
    BACKOFF,
    JITTER,
    PASSING,
    renewal_age,
    retry_delay,
    spread,
    when_failing,
    when_healthy,
)
from assumed.model import FailureKind

from .make import at, failure, session

shares = st.floats(0, 1, exclude_max=True)
clock_errors = st.floats(-45 * 60, 45 * 60)

HEALTHY = {
    "a role without a session is due at once": (None, 0.0, at(0), "no_session", 0.0),
    "a new session of an hour is due after half an hour, at the earliest": (3600, 0.0, at(0), "scheduled", 1800),
    "and after 36 minutes at the latest": (3600, 0.9999, at(0), "scheduled", 2160),
    "ten minutes later that is ten minutes nearer": (3600, 0.0, at(600), "scheduled", 1200),
    "at its renewal point it is due": (3600, 0.0, at(1800), "scheduled", 0),
    "past its end it is due and said to be expired": (3600, 0.0, at(3600), "expired", 0),
    "STS's shortest session is renewed with half of it left": (900, 0.0, at(0), "scheduled", 450),
    "so is the longest": (43200, 0.0, at(0), "scheduled", 21600),
    "and one of four seconds, on a test server": (4, 0.0, at(0), "scheduled", 2),
    "a clock set forward by a day makes it due: better early than expired": (
        3600, 0.0, at(1, wall_offset=86400), "expired", 0,
    ),
    "a clock set back by a day changes nothing: the boot clock goes on": (
        3600, 0.0, at(600, wall_offset=-86400), "scheduled", 1200,
    ),
    "after a reboot the wall clock is all there is": (3600, 0.0, at(600, boot_id="boot-2"), "scheduled", 1200),
    "after a reboot with a clock that went back no hand can be trusted": (
        3600, 0.0, at(600, wall_offset=-7200, boot_id="boot-2"), "expired", 0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("sentence", HEALTHY)
def test_a_healthy_role(sentence: str) -> None:
    """Each line of the table is one sentence about a role that has not failed."""
    life, share, now, reason, due_in = HEALTHY[sentence]
    decision = when_healthy(None if life is None else session(life), "request", share, now)
    assert (decision.reason, pytest.approx(decision.due_in, abs=0.5)) == (reason, due_in)


def test_a_role_that_asks_for_something_else_is_due_though_its_session_is_good() -> None:
    """A changed external id or length asks at once; the session in use stays until the answer comes."""
    decision = when_healthy(session(), "another request", 0.5, at(1))
    assert (decision.reason, decision.due_in) == ("request_changed", 0)


@given(life=st.floats(900, 43200), share=shares, local_error=clock_errors, step=clock_errors)
def test_any_length_keeps_35_percent_of_life_whatever_the_local_clock_says(
    life: float, share: float, local_error: float, step: float
) -> None:
    """Promise 1, with a wrong clock at receipt: the renewal point is a share of the life, never a wall time."""
    received = at(0, wall_offset=local_error)
    due_in = when_healthy(session(life, received), "request", share, received).due_in
    assert 60 <= due_in < life
    assert (life - due_in) / life >= 0.35
    # A step after receipt can only bring the renewal forward.
    assert (
        when_healthy(session(life, received), "request", share, at(0, wall_offset=local_error + step)).due_in <= due_in
    )


@given(life=st.floats(1, 900), share=shares)
def test_sessions_of_seconds_are_renewed_between_half_and_sixty_percent(life: float, share: float) -> None:
    """A test server's sessions follow the same rule: no window of minutes, no hot loop (aws-sdk-net 4313)."""
    assert 0.5 <= renewal_age(life, share) / life <= 0.6


def test_two_hundred_roles_issued_together_do_not_come_back_together() -> None:
    """The spread is a hash of machine, profile and session: fixed for one session, different for the next."""
    ages = sorted(renewal_age(3600, spread("machine", f"role-{n}", "ASIATEST1")) for n in range(200))
    busiest = max(sum(1 for age in ages if start <= age < start + 10) for start in ages)
    assert busiest <= 15  # of 360 s: 5.6 on average
    assert spread("machine", "role-1", "ASIATEST1") != spread("machine", "role-1", "ASIATEST2")


DELAYS = {
    FailureKind.TRANSIENT: [3, 6, 12, 24, 45, 45],
    FailureKind.UNREACHABLE: [3, 6, 12, 24, 45, 45],
    FailureKind.THROTTLED: [5, 10, 20, 40, 45, 45],
    FailureKind.CLOCK: [15, 30, 45, 45, 45, 45],
    FailureKind.DENIED: [5, 10, 20, 40, 80, 160, 320, 600, 600],
    FailureKind.SOURCE_DEAD: [15, 30, 60, 60],
    FailureKind.NEEDS_LOGIN: [15, 30, 60, 60],
    FailureKind.MISCONFIGURED: [3600, 3600],
    FailureKind.WRONG_PRINCIPAL: [15, 30, 60, 120, 240, 480, 600, 600],
}


@pytest.mark.parametrize("kind", FailureKind)
def test_the_delay_after_each_failure_is_the_one_promised(kind: FailureKind) -> None:
    """The delay itself, not the number of calls: Vault computed one and threw it away (vault 26382)."""
    expected = DELAYS[kind]
    assert [retry_delay(kind, count, 0.0) for count in range(1, len(expected) + 1)] == expected


@pytest.mark.parametrize("kind", FailureKind)
def test_the_hundred_thousandth_failure_waits_as_long_as_the_longest(kind: FailureKind) -> None:
    """A year of failures neither overflows nor drifts."""
    assert retry_delay(kind, 100_000, 0.0) == BACKOFF[kind].longest


@pytest.mark.parametrize("kind", sorted(PASSING))
def test_the_end_of_an_outage_is_noticed_within_a_minute(kind: FailureKind) -> None:
    """Promise 6: the longest delay, its jitter and a read time-out of 8 s together stay below 60 s."""
    assert retry_delay(kind, 1000, 0.9999) + 8 < 60


@given(kind=st.sampled_from(list(FailureKind)), count=st.integers(1, 10_000), share=shares)
def test_a_delay_is_never_shorter_than_promised_nor_longer_by_more_than_the_jitter(
    kind: FailureKind, count: int, share: float
) -> None:
    """Jitter spreads roles out; it never makes one hurry."""
    plain = retry_delay(kind, count, 0.0)
    assert plain <= retry_delay(kind, count, share) <= plain * (1 + JITTER)


def test_elapsed_time_counts_against_the_delay() -> None:
    """Computed from the stored failure: a plan that is made anew every 30 s does not start the wait again."""
    denied = failure(FailureKind.DENIED, at(0), count=3)
    assert [round(when_failing(denied, 0.0, at(t)).due_in) for t in (0, 5, 20, 50)] == [20, 15, 0, -30]


def test_sessions_of_seconds_are_retried_within_a_second() -> None:
    """A delay of 45 s would outlive a session of 20 s; only failures that pass by themselves are hurried."""
    assert retry_delay(FailureKind.UNREACHABLE, 9, 0.0, life=20) == 1
    assert retry_delay(FailureKind.UNREACHABLE, 9, 0.0, life=3600) == 45
    assert retry_delay(FailureKind.DENIED, 9, 0.0, life=20) == 600


def test_a_ten_minute_outage_costs_a_role_few_calls() -> None:
    """About one call every 45 s, however long it lasts."""
    elapsed = 0.0
    calls = 0
    while elapsed < 600:
        calls += 1
        elapsed += retry_delay(FailureKind.UNREACHABLE, calls, 0.5)
    assert calls <= 16
