"""The facts: what a result, a source's failure or an edit changes, and for whom."""

from __future__ import annotations

from typing import Any

import pytest

from assumed.engine.book import Book
from assumed.engine.decide import Domain
from assumed.errors import RenewalFailed
from assumed.model import FailureKind, Role, Session
from engine.make import at, role, session

CHILD = role("child", source_profile="a", parent="a")


def book(*roles: Role) -> Book:
    made = Book("machine")
    made.configure(roles or (role("a"), role("b")), {})
    return made


def fresh(made: Book, profile: str, **facts: Any) -> Session:
    """A session that the role has now."""
    one = session(
        profile=profile,
        access_key_id=f"ASIA{profile}",
        identity=made.identities[profile],
        request=made.requests[profile],
        **facts,
    )
    assert made.claim(profile, at(0))
    made.succeeded(one)
    return one


def error(kind: FailureKind) -> RenewalFailed:
    return RenewalFailed(kind, "Code", "message", "advice")


def test_a_role_is_claimed_once() -> None:
    made = book()

    assert made.claim("a", at(0))
    assert not made.claim("a", at(0))
    assert not made.claim("nobody", at(0))
    made.released("a")
    assert made.claim("a", at(0))


def test_a_job_that_fires_a_moment_early_counts_and_one_that_is_far_too_early_does_not() -> None:
    made = book()
    fresh(made, "a")
    due_in = made.decide("a", at(0)).due_in

    assert not made.claim("a", at(due_in - 1))
    assert made.claim("a", at(due_in - 0.2))


@pytest.mark.parametrize(
    "change", [{"role_arn": "arn:aws:iam::123456789012:role/other"}, {"policy": "{}"}, {"source_identity": "x"},
               {"tags": (("a", "b"),)}, {"source_profile": "other"}],
)  # fmt: skip
def test_another_identity_takes_the_session_away_before_anything_new_is_asked_for(change: dict[str, Any]) -> None:
    made = book()
    fresh(made, "a")
    other = fresh(made, "b")

    assert made.configure([role("a", **change), role("b")], {}) == ["a"]

    assert made.states["a"].session is None
    assert not made.claim("a", at(0))
    made.withdrawn(["a"])
    assert made.claim("a", at(0))
    assert made.states["b"].session == other


@pytest.mark.parametrize("change", [{"region": "eu-west-1"}, {"duration_seconds": 900}, {"external_id": "x-1"}])
def test_another_request_for_the_same_identity_keeps_the_session_and_renews_it(change: dict[str, Any]) -> None:
    made = book()
    one = fresh(made, "a")

    assert made.configure([role("a", **change), role("b")], {}) == []

    assert made.states["a"].session == one
    assert made.decide("a", at(1)).reason == "request_changed"


def test_another_endpoint_is_another_identity_for_all_who_hang_below() -> None:
    made = book(role("a"), role("b", source_profile="other"), CHILD)
    for profile in ("a", "b", "child"):
        fresh(made, profile)

    gone = made.configure(made.roles.values(), {"profile:default": "http://elsewhere"})

    assert sorted(gone) == ["a", "child"]


def test_an_unchanged_role_keeps_its_backoff_and_a_changed_one_loses_it() -> None:
    made = book()
    for profile in ("a", "b"):
        made.claim(profile, at(0))
        made.failed(profile, error(FailureKind.DENIED), at(0), at(1))

    made.configure([role("a"), role("b", external_id="x-1")], {})

    assert made.states["a"].failure is not None
    assert made.states["b"].failure is None


def test_a_role_that_leaves_and_comes_back_while_it_is_asked_for_is_not_asked_for_twice() -> None:
    made = book()
    made.claim("a", at(0))
    made.configure([role("b")], {})
    made.configure([role("a"), role("b")], {})

    assert not made.claim("a", at(0))
    made.released("a")
    assert made.claim("a", at(0))


def test_an_answer_for_what_the_role_no_longer_is_concerns_nobody() -> None:
    made = book()
    before = made.identities["a"]
    made.configure([role("a", policy="{}"), role("b")], {})

    assert not made.is_current("a", before)
    assert made.is_current("a", made.identities["a"])
    assert not made.is_current("nobody", before)


def test_one_dead_source_is_the_failure_of_those_that_would_sign_with_it_now() -> None:
    """A role in the middle of its session has not failed, and the other source's roles have nothing to do with it."""
    made = book(role("a"), role("b"), role("c"), role("x", source_profile="other"), CHILD)
    fresh(made, "c")

    touched = made.source_failed("profile:default", error(FailureKind.SOURCE_DEAD), at(1))

    assert {p for p, s in made.states.items() if s.failure is not None} == {"a", "b"}
    assert touched == {"a", "b", "c"}
    assert made.is_down("a")
    assert not made.is_down("x")


def test_a_dead_source_counts_one_probe_and_not_one_for_each_role() -> None:
    made = book(*(role(f"r{n}") for n in range(50)))

    made.source_failed("profile:default", error(FailureKind.SOURCE_DEAD), at(1))
    made.source_failed("profile:default", error(FailureKind.SOURCE_DEAD), at(20))

    (domain,) = made.domains.values()
    assert domain.count == 2


def test_a_source_that_is_back_wakes_all_who_waited_for_it() -> None:
    made = book(role("a"), role("b"), role("denied"))
    made.claim("denied", at(0))
    made.failed("denied", error(FailureKind.DENIED), at(0), at(0))
    made.source_failed("profile:default", error(FailureKind.SOURCE_DEAD), at(1))
    made.force("a")

    assert made.claim("a", at(30))
    touched = made.succeeded(session(profile="a"))

    assert touched == {"a", "b", "denied"}
    assert made.states["b"].failure is None
    assert not made.is_down("b")


def test_a_denied_role_says_nothing_about_its_neighbours() -> None:
    made = book()
    made.claim("a", at(0))

    assert made.failed("a", error(FailureKind.DENIED), at(0), at(1)) == {"a"}
    assert made.domains == {}
    assert made.decide("b", at(1)).due_in <= 0


def test_a_parents_new_session_is_a_new_source_for_its_child() -> None:
    made = book(role("a"), CHILD)
    fresh(made, "a")
    made.claim("child", at(1))
    made.failed("child", error(FailureKind.SOURCE_DEAD), at(1), at(2))
    made.force("a")
    made.claim("a", at(3))

    touched = made.succeeded(session(profile="a", access_key_id="ASIANEW", received=at(3)))

    assert touched == {"a", "child"}
    assert made.states["child"].failure is None


def test_restored_sessions_are_those_of_the_role_as_it_is_now() -> None:
    made = book()
    arn = "arn:aws:sts::123456789012:assumed-role/{}/s"
    facts = {"identity": made.identities["a"], "request": made.requests["a"]}
    right = session(profile="a", principal_arn=arn.format("a"), **facts)

    assert not made.restore(session(profile="a", principal_arn=arn.format("other"), **facts))
    assert made.restore(right)
    assert not made.restore(session(profile="b", identity="another", principal_arn=arn.format("b")))
    assert made.states["a"].session == right
    assert not made.claim("b", at(0)), "the old session has to go first"


def test_domains_of_sources_that_nobody_uses_are_forgotten() -> None:
    made = book()
    made.domains["profile:default@default"] = Domain(FailureKind.SOURCE_DEAD, at(0), 1, frozenset({"a"}))
    made.configure([role("a", source_profile="other")], {})

    assert made.domains == {}


def test_who_says_now_means_what_is_due_failing_or_waiting() -> None:
    made = book(role("a"), role("failing"), role("new"), role("due"))
    for profile in ("a", "failing", "due"):
        fresh(made, profile)
    made.force("due")
    made.claim("failing", at(2400))
    made.failed("failing", error(FailureKind.DENIED), at(2400), at(2401))

    assert set(made.due(at(60))) >= {"failing", "new", "due"}
    assert "a" not in made.due(at(60))


def test_a_failure_that_quotes_a_key_is_kept_without_it() -> None:
    """STS and helpers may repeat what they were given; status, the log and the service manager show it to anybody."""
    key, secret = "ASIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    made = book()
    made.claim("a", at(0))

    made.failed("a", RenewalFailed(FailureKind.DENIED, key, f"{secret} may not", f"mend {secret}"), at(0), at(1))
    told = repr(made.states["a"].failure)
    made.source_failed(role("b").source(), RenewalFailed(FailureKind.SOURCE_DEAD, "X", secret, "y"), at(1))
    told += repr(made.states["b"].failure)

    assert told.count("[redacted]") == 3
    assert secret not in told
    assert key not in told


def test_a_failure_that_is_forgiven_brings_back_what_was_asked_for() -> None:
    """A token file that changes during `assumed refresh` forgives what came of it: the request still stands."""
    made = book(role("a"))
    fresh(made, "a")
    made.force("a")
    made.claim("a", at(1))
    made.failed("a", error(FailureKind.TRANSIENT), at(1), at(2))
    assert made.decide("a", at(2)).due_in > 0
    made.forgive(["a"])

    assert made.decide("a", at(2)).reason == "forced"


def test_a_source_that_needs_a_person_is_not_asked_again_until_something_changes() -> None:
    elsewhere = role("b", region="eu-north-1")
    made = book(role("a"), elsewhere)
    made.source_failed(role("a").source(), error(FailureKind.NEEDS_LOGIN), at(1))
    assert made.due(at(1)) == ["a", "b"]
    assert all(made.decide(name, at(90_000)).due_in > 90_000 for name in "ab")

    made.force("a")
    made.claim("a", at(2))
    made.succeeded(session(profile="a", identity=made.identities["a"], request=made.requests["a"]))

    assert made.decide("b", at(2)).due_in <= 0, "it signs again, in every region"


def test_a_chain_whose_source_fails_backs_off_though_its_parent_still_signs() -> None:
    made = book(role("a"), CHILD)
    fresh(made, "a")
    made.source_failed(role("a").source(), error(FailureKind.SOURCE_DEAD), at(1))

    assert made.states["child"].failure is not None
    assert made.decide("child", at(1)).due_in > 5
