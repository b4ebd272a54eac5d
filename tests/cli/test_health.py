"""When a role needs somebody, which is the exit status of `assumed status`, and when its readers are served."""

from __future__ import annotations

from typing import Any

import pytest

from assumed.cli.health import explanation, is_healthy, is_served, stuck, trouble
from cli.documents import DENIED, document, role

NONE: dict[str, Any] = {"left": None, "life": None, "delivered": False}

CASES: list[tuple[str, dict[str, Any], bool, bool]] = [
    # what, facts, healthy, served
    ("fresh", {}, True, True),
    ("fresh with little left", {"left": 60.0}, True, True),
    ("failing with 16 of 60 minutes left", {"state": "failing", "left": 960.0}, True, True),
    ("failing with just under 15 of 60 minutes left", {"state": "failing", "left": 899.0}, False, True),
    ("failing with 26 % of a 15-minute session left", {"state": "failing", "left": 234.0, "life": 900.0}, True, True),
    ("failing with 24 % of a 15-minute session left", {"state": "failing", "left": 216.0, "life": 900.0}, False, True),
    ("failing with 20 minutes of 12 hours left", {"state": "failing", "left": 1200.0, "life": 43200.0}, True, True),
    ("expired", {"state": "expired", "left": 0.0}, False, False),
    ("expired but called failing", {"state": "failing", "left": -3.0}, False, False),
    ("never renewed", {"state": "pending", **NONE}, False, False),
    ("failing from the start", {"state": "failing", **NONE}, False, False),
    ("renewed but not written", {"state": "pending", "delivered": False}, False, False),
    ("a login is needed, and half an hour is left", {"state": "needs_login", "left": 1800.0}, False, True),
]


@pytest.mark.parametrize(("what", "facts", "healthy", "served"), CASES, ids=[case[0] for case in CASES])
def test_a_role_is_judged_by_what_its_readers_get(
    what: str, facts: dict[str, Any], healthy: bool, served: bool
) -> None:
    judged = role(**facts)
    assert (trouble(judged) is None) is healthy
    assert is_served(judged) is served


def test_one_bad_role_makes_the_whole_unhealthy() -> None:
    assert is_healthy(document(role("a"), role("b")))
    assert not is_healthy(document(role("a"), role("b", state="expired", left=0.0)))


def test_an_explanation_says_what_was_refused_and_what_to_do() -> None:
    assert explanation(role(state="failing", last_error=DENIED)) == (
        "AccessDenied: User: arn:aws:iam::123456789012:user/natan is not authorized to perform: sts:AssumeRole → "
        "Allow sts:AssumeRole on the role in a policy of the user, and the user in the role's trust policy"
    )


def test_an_explanation_without_an_error_names_the_trouble_and_a_healthy_role_has_none() -> None:
    assert explanation(role(state="expired", left=0.0)) == "it has expired"
    assert explanation(role()) == ""


@pytest.mark.parametrize(
    ("age", "healthy"), [(None, True), (0.0, True), (100.0, True), (100.1, False), (4000.0, False)]
)
def test_a_daemon_whose_heart_has_stopped_is_not_well_although_it_answers(age: float | None, healthy: bool) -> None:
    """One that does not say so is of an older version."""
    judged = document(role(), **({} if age is None else {"beat_age_seconds": age}))
    assert is_healthy(judged) is healthy
    assert (stuck(judged) is None) is healthy
    assert stuck(document(role(), running=False)) is None
