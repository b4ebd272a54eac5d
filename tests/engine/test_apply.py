"""What a result, a source's failure or an edit changes, for whom, and what has to be done about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from assumed.engine import events as ev
from assumed.engine.apply import apply
from assumed.engine.decide import EARLY, decide, due
from assumed.engine.groups import Group
from assumed.engine.state import State
from assumed.errors import RenewalFailed
from assumed.model import Decision, FailureKind, Instant, Role, Session
from engine.make import at, role, session

CHILD = role("child", source_profile="a", parent="a")


class Engine:
    """A state, moved by events."""

    def __init__(self, *roles: Role) -> None:
        self.state = State("machine")
        self.touched: frozenset[str] = frozenset()
        self.effects: tuple[ev.Effect, ...] = ()
        self.configure(*roles or (role("a"), role("b")))

    def apply(self, event: ev.Event, now: Instant | None = None) -> None:
        applied = apply(event, self.state, now or at(0))
        self.state, self.touched, self.effects = applied.state, applied.touched, applied.effects

    def configure(self, *roles: Role, **endpoints: str) -> list[str]:
        """Returns the profiles whose stored session has to go."""
        self.apply(ev.Configured(roles, {f"profile:{name}": url for name, url in endpoints.items()}))
        return [effect.profile for effect in self.effects if isinstance(effect, ev.Forget)]

    def decide(self, profile: str, now: Instant) -> Decision:
        return decide(self.state, profile, now)

    def start(self, profile: str, now: Instant | None = None) -> None:
        self.apply(ev.Started(profile), now)

    def renewed(self, one: Session, now: Instant | None = None) -> None:
        self.apply(ev.Renewed(self.state.in_flight[one.profile], one), now)

    def failed(self, profile: str, kind: FailureKind, started: float = 0.0, now: float = 1.0) -> None:
        self.start(profile, at(started))
        self.apply(ev.NotRenewed(self.state.in_flight[profile], error(kind)), at(now))

    def fresh(self, profile: str, **facts: Any) -> Session:
        """A session that the role has now."""
        one = session(
            profile=profile,
            access_key_id=f"ASIA{profile}",
            identity=self.state.identities[profile],
            request=self.state.requests[profile],
            **facts,
        )
        self.start(profile)
        self.renewed(one)
        return one

    def can_start(self, profile: str, now: float = 0.0) -> bool:
        return self.decide(profile, at(now)).due_in <= 0


def error(kind: FailureKind) -> RenewalFailed:
    return RenewalFailed(kind, "Code", "message", "advice")


def test_a_role_has_one_renewal_in_flight() -> None:
    made = Engine()

    made.start("a")
    assert not made.can_start("a")
    made.apply(ev.Dropped(made.state.in_flight["a"]))
    assert made.can_start("a")


def test_a_failure_never_takes_the_session_away() -> None:
    """Promise 4."""
    made = Engine()
    one = made.fresh("a")
    made.failed("a", FailureKind.DENIED)
    assert made.state.states["a"].session == one


def test_failures_of_one_kind_add_up_and_another_kind_starts_again() -> None:
    """A denial after an outage is asked again soon: IAM may have been changed in between."""
    made = Engine()
    for expected, kind in [(1, "denied"), (2, "denied"), (1, "transient"), (2, "transient")]:
        made.failed("a", FailureKind(kind))
        failure = made.state.states["a"].failure
        assert failure is not None
        assert failure.count == expected


def test_a_success_forgets_the_failure_and_the_request_of_a_person() -> None:
    made = Engine()
    made.failed("a", FailureKind.DENIED)
    made.apply(ev.Refresh(("a",)))
    one = made.fresh("a")
    facts = made.state.states["a"]
    assert (facts.failure, facts.forced, facts.session) == (None, False, one)


def test_an_event_says_what_has_to_be_done_about_it() -> None:
    made = Engine()
    made.start("a")
    (ask,) = made.effects
    assert isinstance(ask, ev.Ask)
    assert (ask.order.role, ask.root, ask.parent) == (role("a"), role("a"), None)
    made.renewed(session(profile="a"))
    assert [type(effect) for effect in made.effects] == [ev.Keep, ev.Log]


def test_a_session_that_a_person_asked_for_does_not_wait_for_others_to_be_written() -> None:
    """No other session serves readers meanwhile: `assumed refresh` ends with the file."""
    made = Engine()
    first = made.fresh("a")
    made.fresh("a")
    assert made.effects[0] == ev.Keep(made.state.states["a"].session, first)  # type: ignore[arg-type]
    made.apply(ev.Refresh(("a",)))
    asked = made.fresh("a")
    assert made.effects[0] == ev.Keep(asked, None)


@pytest.mark.parametrize(
    "change", [{"role_arn": "arn:aws:iam::123456789012:role/other"}, {"policy": "{}"}, {"source_identity": "x"},
               {"tags": (("a", "b"),)}, {"source_profile": "other"}],
)  # fmt: skip
def test_another_identity_takes_the_session_away_before_anything_new_is_asked_for(change: dict[str, Any]) -> None:
    made = Engine()
    made.fresh("a")
    other = made.fresh("b")

    assert made.configure(role("a", **change), role("b")) == ["a"]

    assert made.state.states["a"].session is None
    assert not made.can_start("a")
    made.apply(ev.Withdrawn(("a",)))
    assert made.can_start("a")
    assert made.state.states["b"].session == other


@pytest.mark.parametrize("change", [{"region": "eu-west-1"}, {"duration_seconds": 900}, {"external_id": "x-1"}])
def test_another_request_for_the_same_identity_keeps_the_session_and_renews_it(change: dict[str, Any]) -> None:
    made = Engine()
    one = made.fresh("a")

    assert made.configure(role("a", **change), role("b")) == []

    assert made.state.states["a"].session == one
    assert made.decide("a", at(1)).reason == "request_changed"


def test_another_endpoint_is_another_identity_for_all_who_hang_below() -> None:
    made = Engine(role("a"), role("b", source_profile="other"), CHILD)
    for profile in ("a", "b", "child"):
        made.fresh(profile)

    gone = made.configure(*made.state.roles.values(), default="http://elsewhere")

    assert sorted(gone) == ["a", "child"]


def test_an_unchanged_role_keeps_its_backoff_and_a_changed_one_loses_it() -> None:
    made = Engine()
    for profile in ("a", "b"):
        made.failed(profile, FailureKind.DENIED)

    made.configure(role("a"), role("b", external_id="x-1"))

    assert made.state.states["a"].failure is not None
    assert made.state.states["b"].failure is None


def test_a_role_that_leaves_and_comes_back_while_it_is_asked_for_is_not_asked_for_twice() -> None:
    made = Engine()
    made.start("a")
    made.configure(role("b"))
    made.configure(role("a"), role("b"))

    assert not made.can_start("a")
    made.apply(ev.Dropped(made.state.in_flight["a"]))
    assert made.can_start("a")


def test_an_answer_for_what_the_role_no_longer_is_concerns_nobody() -> None:
    """Neither a session nor a failure of the old role is the new one's; its worker is free."""
    for answer in (
        lambda order: ev.Renewed(order, session(profile="a")),
        lambda o: ev.NotRenewed(o, error(FailureKind.DENIED)),
    ):
        made = Engine()
        made.start("a")
        order = made.state.in_flight["a"]
        made.configure(role("a", policy="{}"), role("b"))
        made.apply(answer(order))

        assert made.state.states["a"] == replace(made.state.states["a"], session=None, failure=None)
        assert (made.state.in_flight, made.effects) == ({}, ())


def test_one_dead_source_is_the_failure_of_those_that_would_sign_with_it_now() -> None:
    """A role in the middle of its session has not failed, and the other source's roles have nothing to do with it."""
    made = Engine(role("a"), role("b"), role("c"), role("x", source_profile="other"), CHILD)
    made.fresh("c")

    made.apply(ev.SourceFailed("profile:default", error(FailureKind.SOURCE_DEAD)), at(1))

    assert {p for p, s in made.state.states.items() if s.failure is not None} == {"a", "b"}
    assert made.touched == {"a", "b", "c", "child"}
    assert made.state.is_down("a")
    assert not made.state.is_down("x")


def test_a_dead_source_counts_one_probe_and_not_one_for_each_role() -> None:
    made = Engine(*(role(f"r{n}") for n in range(50)))

    made.apply(ev.SourceFailed("profile:default", error(FailureKind.SOURCE_DEAD)), at(1))
    made.apply(ev.SourceFailed("profile:default", error(FailureKind.SOURCE_DEAD)), at(20))

    (group,) = made.state.groups.values()
    assert group.count == 2


def test_a_source_that_is_back_wakes_all_who_waited_for_it() -> None:
    made = Engine(role("a"), role("b"), role("denied"))
    made.failed("denied", FailureKind.DENIED, now=0)
    made.apply(ev.SourceFailed("profile:default", error(FailureKind.SOURCE_DEAD)), at(1))
    made.apply(ev.Refresh(("a",)))

    assert made.can_start("a", 30)
    made.start("a", at(30))
    made.renewed(session(profile="a", identity=made.state.identities["a"]))

    assert made.touched == {"a", "b", "denied"}
    assert made.state.states["b"].failure is None
    assert not made.state.is_down("b")


def test_a_denied_role_says_nothing_about_its_neighbours() -> None:
    made = Engine()
    made.failed("a", FailureKind.DENIED)

    assert made.touched == {"a"}
    assert made.state.groups == {}
    assert made.decide("b", at(1)).due_in <= 0


def test_a_parents_new_session_is_a_new_source_for_its_child() -> None:
    made = Engine(role("a"), CHILD)
    made.fresh("a")
    made.failed("child", FailureKind.SOURCE_DEAD, 1, 2)
    made.apply(ev.Refresh(("a",)))
    made.start("a", at(3))
    made.renewed(session(profile="a", access_key_id="ASIANEW", received=at(3)))

    assert made.touched == {"a", "child"}
    assert made.state.states["child"].failure is None


def test_restored_sessions_are_those_of_the_role_as_it_is_now() -> None:
    made = Engine()
    arn = "arn:aws:sts::123456789012:assumed-role/{}/s"
    facts = {"identity": made.state.identities["a"], "request": made.state.requests["a"]}
    right = session(profile="a", principal_arn=arn.format("a"), **facts)

    made.apply(ev.Restored((session(profile="a", principal_arn=arn.format("other"), **facts),)))
    assert made.state.states["a"].session is None
    made.apply(ev.Restored((right, session(profile="b", identity="another", principal_arn=arn.format("b")))))
    assert made.state.states["a"].session == right
    assert ev.Forget("b") in made.effects
    assert not made.can_start("b"), "the old session has to go first"


def test_groups_of_sources_that_nobody_uses_are_forgotten() -> None:
    made = Engine()
    group = Group(FailureKind.SOURCE_DEAD, at(0), 1, frozenset({"a"}))
    made.state = replace(made.state, groups={"profile:default@default": group})
    made.configure(role("a", source_profile="other"))

    assert made.state.groups == {}


def test_who_says_now_means_what_is_due_failing_or_waiting() -> None:
    made = Engine(role("a"), role("failing"), role("new"), role("due"))
    for profile in ("a", "failing", "due"):
        made.fresh(profile)
    made.apply(ev.Refresh(("due",)))
    made.failed("failing", FailureKind.DENIED, 2400, 2401)

    assert set(due(made.state, at(60))) == {"failing", "new", "due"}


def test_a_failure_that_quotes_a_key_is_kept_without_it() -> None:
    """STS and helpers may repeat what they were given; status, the log and the service manager show it to anybody."""
    key, secret = "ASIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    made = Engine()
    made.start("a")
    quoting = RenewalFailed(FailureKind.DENIED, key, f"{secret} may not", f"mend {secret}")
    made.apply(ev.NotRenewed(made.state.in_flight["a"], quoting), at(1))
    told = repr(made.state.states["a"].failure)
    failure = RenewalFailed(FailureKind.SOURCE_DEAD, "X", secret, "y")
    made.apply(ev.SourceFailed(role("b").source(), failure), at(1))
    told += repr(made.state.states["b"].failure)

    assert told.count("[redacted]") == 3
    assert secret not in told
    assert key not in told


def test_a_failure_that_is_forgiven_brings_back_what_was_asked_for() -> None:
    """A token file that changes during `assumed refresh` forgives what came of it: the request still stands."""
    made = Engine(role("a"))
    made.fresh("a")
    made.apply(ev.Refresh(("a",)))
    made.failed("a", FailureKind.TRANSIENT, 1, 2)
    assert made.decide("a", at(2)).due_in > 0
    made.apply(ev.SourcesChanged((role("a").source(),)))

    assert made.decide("a", at(2)).reason == "forced"


def test_a_source_that_needs_a_person_is_not_asked_again_until_something_changes() -> None:
    elsewhere = role("b", region="eu-north-1")
    made = Engine(role("a"), elsewhere)
    made.apply(ev.SourceFailed(role("a").source(), error(FailureKind.NEEDS_LOGIN)), at(1))
    assert due(made.state, at(1)) == ["a", "b"]
    assert all(made.decide(name, at(90_000)).due_in > 90_000 for name in "ab")

    made.apply(ev.Refresh(("a",)))
    made.fresh("a")

    assert made.decide("b", at(2)).due_in <= 0, "it signs again, in every region"


def test_a_chain_whose_source_fails_backs_off_though_its_parent_still_signs() -> None:
    made = Engine(role("a"), CHILD)
    made.fresh("a")
    made.apply(ev.SourceFailed(role("a").source(), error(FailureKind.SOURCE_DEAD)), at(1))

    assert made.state.states["child"].failure is not None
    assert made.decide("child", at(1)).due_in > 5


def test_a_role_that_leaves_is_planned_away() -> None:
    made = Engine()
    made.configure(role("b"))
    assert made.touched == {"a", "b"}


def test_what_a_person_asks_for_while_a_call_is_in_flight_outlives_its_failure() -> None:
    """`assumed refresh` after a mended policy must not be lost because the call of a moment ago is refused."""
    made = Engine()
    made.start("a")
    made.apply(ev.Refresh(("a",)))
    made.apply(ev.NotRenewed(made.state.in_flight["a"], error(FailureKind.DENIED)), at(1))
    assert made.can_start("a", 1)

    made.start("a", at(1))
    made.apply(ev.Dropped(made.state.in_flight["a"]))
    assert made.decide("a", at(1)).reason == "forced"


def test_a_renewal_that_does_not_end_in_time_has_failed_and_its_late_answer_counts_no_more() -> None:
    made = Engine()
    made.start("a")
    order = made.state.in_flight["a"]
    made.apply(ev.Overdue(order, 30.0), at(30))
    failure = made.state.states["a"].failure
    assert failure is not None
    assert (failure.kind, failure.code) == (FailureKind.UNREACHABLE, "NoAnswerInTime")

    before = made.state
    made.apply(ev.Renewed(order, session(profile="a")), at(40))
    assert made.state is before


def test_a_helper_that_hung_is_tried_once_more_where_it_has_worked_before() -> None:
    """What hung it may have passed in ten minutes; what asks a person for something is not started again and again."""
    hung = RenewalFailed(FailureKind.NEEDS_LOGIN, "HelperTimeout", "message", "advice")
    made = Engine()
    made.fresh("a")
    made.apply(ev.SourceFailed("profile:default", hung), at(2000))
    assert made.decide("b", at(90_000)).due_in > 90_000, "it has no session: nothing says that the helper ever worked"
    assert made.decide("a", at(2010)).due_in == pytest.approx(590)

    made.apply(ev.SourceFailed("profile:default", hung), at(2700))
    assert made.decide("a", at(90_000)).due_in > 90_000


LOGIN = RenewalFailed(FailureKind.NEEDS_LOGIN, "HelperTimeout", "message", "give it helper_timeout_seconds")
ELSEWHERE, ELSEWHERE_A = role("elsewhere", region="us-east-1"), role("a", region="us-east-1")


def test_an_edit_may_be_what_a_source_waits_for() -> None:
    """A longer helper_timeout_seconds, for one: the role is tried, and what it brings concerns all of its source."""
    made = Engine(role("a"), ELSEWHERE)
    made.apply(ev.SourceFailed("profile:default", LOGIN))
    assert not made.can_start("a", 5000)
    made.configure(role("a", helper_timeout_seconds=120.0), ELSEWHERE)
    assert made.can_start("a", 5)
    assert made.can_start("elsewhere", 5)


def test_a_role_that_came_due_while_its_source_waited_for_a_person_is_planned_once_it_signs() -> None:
    """It has failed with nothing, and is of another region than the role that found the source well again."""
    made = Engine(role("a"), ELSEWHERE)
    made.fresh("elsewhere")
    made.apply(ev.SourceFailed("profile:default", LOGIN))
    made.apply(ev.Refresh(("a",)), at(3000))
    made.fresh("a")
    assert "elsewhere" in made.touched
    assert made.can_start("elsewhere", 3001)


def test_a_role_that_is_all_but_due_shares_the_failure_of_its_source() -> None:
    """The loop has the source resolved for such a role: without a failure it would do so again and again until then."""
    made = Engine(role("a"))
    made.fresh("a")
    due_in = made.decide("a", at(0)).due_in
    made.apply(ev.SourceFailed("profile:default", LOGIN), at(due_in - EARLY))
    assert made.state.states["a"].failure is not None


@pytest.mark.parametrize("edited", [[role("a", policy="{}"), role("b")], [ELSEWHERE_A, role("b")], [role("b")]])
def test_a_probe_of_a_role_that_has_changed_leaves_another_one(edited: list[Role]) -> None:
    """Nothing else would look at the others before the next heartbeat."""
    made = Engine()
    made.failed("a", FailureKind.UNREACHABLE)
    made.start("a", at(10))
    order = made.state.in_flight["a"]
    made.configure(*edited)
    made.apply(ev.NotRenewed(order, error(FailureKind.DENIED)), at(60))
    assert "b" in made.touched
    assert made.can_start("b", 60)


def test_a_role_that_joins_a_group_that_is_down_while_it_is_asked_for_leaves_the_probe_to_another() -> None:
    """Where it was asked for says nothing of where it belongs now."""
    made = Engine(ELSEWHERE_A, role("b"))
    made.failed("b", FailureKind.UNREACHABLE)
    made.start("a", at(10))
    order = made.state.in_flight["a"]
    made.configure(role("a"), role("b"))
    assert not made.can_start("b", 60)
    made.apply(ev.NotRenewed(order, error(FailureKind.DENIED)), at(60))
    assert "b" in made.touched
    assert made.can_start("b", 60)


def test_a_failure_concerns_the_group_that_was_asked_and_not_the_one_that_its_role_is_in_now() -> None:
    made = Engine(ELSEWHERE_A, ELSEWHERE, role("b"))
    made.start("a")
    order = made.state.in_flight["a"]
    made.configure(role("a"), ELSEWHERE, role("b"))
    made.apply(ev.NotRenewed(order, error(FailureKind.UNREACHABLE)), at(9))
    assert "elsewhere" in made.touched
    assert made.state.is_down("elsewhere")
    assert not made.state.is_down("b")
    assert [one.name for one in made.effects if isinstance(one, ev.Log)] == ["role.renewal_failed", "source.down"]
