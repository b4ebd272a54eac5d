"""Who is due: chains, failure domains, probes. A small world of roles, moved by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assumed.engine.decide import (
    DOMAIN_WIDE,
    HELD,
    SHARED,
    Domain,
    RoleState,
    View,
    after_failure,
    after_success,
    decide,
    domain_after,
    forgiven,
)
from assumed.model import FailureKind, Instant, Role

from .make import at, failure, role, session

THREE = (role("a"), role("b"), role("c"))


def view(
    *roles: Role, now: Instant | None = None, domains: dict[str, Domain] | None = None, **states: RoleState
) -> View:
    """A world in which every role not named in `states` has nothing yet."""
    return View(
        machine="machine",
        roles={r.profile: r for r in roles},
        states={r.profile: states.get(r.profile, RoleState()) for r in roles},
        domains=domains or {},
        requests={r.profile: "request" for r in roles},
        now=now or at(0),
        peers={r.domain(): [p.profile for p in roles if p.domain() == r.domain()] for r in roles},
    )


def down(kind: FailureKind = FailureKind.UNREACHABLE, *failed: str, count: int = 1) -> dict[str, Domain]:
    """The domain of `make.role`'s source, down since the start."""
    return {role().domain(): Domain(kind, at(0), count, frozenset(failed or {"a"}))}


def due(world: View) -> list[str]:
    """The profiles that are due now."""
    return [profile for profile in world.roles if decide(world, profile).due_in <= 0]


class TestOneRole:
    """What a role waits for by itself."""

    def test_a_role_in_flight_waits_for_its_answer(self) -> None:
        """One role has one renewal in flight."""
        assert decide(view(role("a"), a=RoleState(in_flight=True)), "a").due_in == math.inf

    def test_a_role_whose_old_session_is_still_readable_asks_for_nothing(self) -> None:
        """Promise 5: the old identity leaves every reader's sight first."""
        assert decide(view(role("a"), a=RoleState(withdrawing=True)), "a").reason == "withdrawing"

    def test_a_person_who_asks_overrides_the_backoff(self) -> None:
        """`assumed refresh` after a corrected policy does not wait for ten minutes."""
        state = RoleState(failure=failure(FailureKind.DENIED, at(0), 9), forced=True)
        assert due(view(role("a"), now=at(1), a=state)) == ["a"]

    def test_a_failure_never_takes_the_session_away(self) -> None:
        """Promise 4."""
        state = after_failure(RoleState(session=session(), in_flight=True), failure(FailureKind.DENIED))
        assert (state.session, state.in_flight) == (session(), False)

    def test_failures_of_one_kind_add_up_and_another_kind_starts_again(self) -> None:
        """A denial after an outage is asked again soon: IAM may have been changed in between."""
        state = RoleState()
        for expected, kind in [(1, "denied"), (2, "denied"), (1, "transient"), (2, "transient")]:
            state = after_failure(state, failure(FailureKind(kind)))
            assert state.failure is not None
            assert state.failure.count == expected

    def test_a_success_forgets_the_failure(self) -> None:
        """Backoff starts anew."""
        state = after_success(RoleState(failure=failure(FailureKind.DENIED), forced=True), session())
        assert (state.failure, state.forced, state.session) == (None, False, session())

    def test_a_failing_role_with_a_good_session_is_not_asked_before_it_is_due(self) -> None:
        """A probe that failed at 55 % does not turn into a loop, nor does an old failure bring the renewal forward."""
        state = RoleState(session=session(3600), failure=failure(FailureKind.TRANSIENT, at(0)))
        assert decide(view(role("a"), now=at(60), a=state), "a").due_in > 1700


class TestChains:
    """A role signed for by another kept role."""

    PARENT, CHILD = role("parent"), role("child", source_profile="parent", parent="parent")

    def test_the_parent_goes_first(self) -> None:
        """At start only the parent is due."""
        assert due(view(self.PARENT, self.CHILD)) == ["parent"]

    def test_the_child_follows_when_the_parent_has_a_session(self) -> None:
        """However old the parent's session is, as long as it can sign."""
        parent = RoleState(session=session(3600))
        assert due(view(self.PARENT, self.CHILD, now=at(60), parent=parent)) == ["child"]

    def test_a_grandchild_says_what_everything_waits_for(self) -> None:
        """Whoever reads its status must not have to climb the chain."""
        child = role("grandchild", source_profile="child", parent="child")
        world = view(self.PARENT, self.CHILD, child, parent=RoleState(failure=failure(FailureKind.DENIED)))
        assert decide(world, "grandchild").message == (
            "waits for child, which signs for it and waits for parent, which signs for it, but fails (Code): "
            "mend that first"
        )

    def test_the_child_waits_for_a_parent_whose_session_has_ended(self) -> None:
        """After a suspend both are due, one after the other."""
        ended = RoleState(session=session(3600))
        world = view(self.PARENT, self.CHILD, now=at(3600), parent=ended, child=ended)
        assert due(world) == ["parent"]
        assert decide(world, "child").reason == "waiting_for_parent"

    def test_a_failing_parent_with_a_good_session_still_signs(self) -> None:
        """The parent's failure is the parent's."""
        parent = RoleState(session=session(3600), failure=failure(FailureKind.DENIED))
        assert due(view(self.PARENT, self.CHILD, now=at(60), parent=parent)) == ["child"]


class TestDomains:
    """Roles that share a source."""

    def test_a_source_that_is_down_is_probed_by_one_role(self) -> None:
        """200 roles with one dead source need one probe, not 200."""
        world = view(*THREE, now=at(100), domains=down())
        assert len(due(world)) == 1

    def test_the_probe_waits_for_the_domains_own_backoff(self) -> None:
        """The third failure of the domain waits 12 s, whoever of its roles tries."""
        early = [decide(view(*THREE, now=at(t), domains=down(count=3)), p).due_in for t in (11.9,) for p in "abc"]
        assert min(early) > 0
        assert len(due(view(*THREE, now=at(13.3), domains=down(count=3)))) == 1

    def test_no_second_probe_while_one_is_in_flight(self) -> None:
        """A probe that hangs holds the others: they would hang as well."""
        assert due(view(*THREE, now=at(100), domains=down(), b=RoleState(in_flight=True))) == []

    def test_the_role_that_tried_longest_ago_probes_next(self) -> None:
        """So a role that hangs for reasons of its own never starves its healthy neighbours."""
        states = {"a": RoleState(tried=at(50)), "b": RoleState(tried=at(10)), "c": RoleState(tried=at(30))}
        assert due(view(*THREE, now=at(100), domains=down(), **states)) == ["b"]

    def test_a_role_that_is_due_probes_before_one_that_is_not(self) -> None:
        """A probe should be of use."""
        states = {
            "a": RoleState(session=session(3600)),
            "b": RoleState(tried=at(90)),
            "c": RoleState(session=session()),
        }
        assert due(view(*THREE, now=at(100), domains=down(), **states)) == ["b"]

    def test_a_role_denied_for_itself_keeps_its_own_backoff_while_the_source_is_down(self) -> None:
        """Its ten minutes do not become the domain's 45 s."""
        denied = RoleState(failure=failure(FailureKind.DENIED, at(0), 9), tried=at(-100))
        assert decide(view(*THREE, now=at(100), domains=down(), a=denied), "a").due_in > 400

    def test_another_source_is_not_touched(self) -> None:
        """A failure domain is a source at one regional endpoint."""
        other = role("d", source_profile="other")
        elsewhere = role("e", region="eu-west-1")
        world = view(*THREE, other, elsewhere, now=at(1), domains=down(count=5))
        assert due(world) == ["d", "e"]

    @pytest.mark.parametrize("kind", sorted(SHARED - DOMAIN_WIDE))
    def test_one_role_that_is_throttled_or_hangs_does_not_hold_the_others(self, kind: FailureKind) -> None:
        """It may be that role's alone; two in a row are the source's."""
        one = domain_after(None, ["a"], failure(kind, at(10)), at(5))
        assert one is not None
        assert not one.down()
        two = domain_after(one, ["b"], failure(kind, at(12)), at(11))
        assert two is not None
        assert two.down()

    @pytest.mark.parametrize("kind", sorted(set(FailureKind) - SHARED))
    def test_a_denied_or_misconfigured_role_says_nothing_about_its_source(self, kind: FailureKind) -> None:
        """One role's failure never touches another's (promise 4)."""
        assert domain_after(None, ["a"], failure(kind, at(10)), at(5)) is None

    def test_ten_attempts_that_fail_together_count_once(self) -> None:
        """Or the ten workers of a start would use up the backoff before anybody has waited."""
        domain = None
        for n in range(10):
            domain = domain_after(domain, [f"r{n}"], failure(FailureKind.UNREACHABLE, at(5 + n / 100)), started=at(0))
        assert domain is not None
        assert domain.count == 1
        later = domain_after(domain, ["r0"], failure(FailureKind.UNREACHABLE, at(9)), started=at(8))
        assert later is not None
        assert later.count == 2


class TestAPersonIsNeeded:
    """What only a person can end is not tried again by time, by no role of that source."""

    def test_a_role_that_needs_a_login_is_not_due_however_long_it_waits(self) -> None:
        state = RoleState(failure=failure(FailureKind.NEEDS_LOGIN, at(0)))

        assert decide(view(role("a"), now=at(86_400), a=state), "a").due_in == math.inf
        assert decide(view(role("a"), now=at(1), a=replace(state, forced=True)), "a").due_in <= 0
        assert decide(view(role("a"), now=at(1), a=forgiven(state)), "a").due_in <= 0

    @pytest.mark.parametrize("other", [role("b"), role("b", region="eu-north-1"), role("b", parent="a")])
    def test_it_holds_whoever_becomes_due_of_that_source(self, other: Role) -> None:
        held = failure(FailureKind.NEEDS_LOGIN, at(0))
        world = view(role("a"), other, now=at(4000), a=RoleState(session=session(), failure=held))
        world = replace(world, held={role("a").source(): held})

        assert decide(world, "b").due_in == math.inf

    def test_a_session_that_is_not_due_yet_is_planned_as_ever(self) -> None:
        held = failure(FailureKind.NEEDS_LOGIN, at(0))
        world = replace(view(role("a"), now=at(1), a=RoleState(session=session())), held={role("a").source(): held})

        assert decide(world, "a").reason == "scheduled"


moments = st.floats(0, 7200)


@given(
    ages=st.lists(
        st.tuples(moments, st.booleans(), st.booleans(), st.sampled_from([None, *set(FailureKind) - {HELD}])),
        min_size=3,
        max_size=3,
    ),
    is_down=st.booleans(),
    now=moments,
)
def test_never_two_probes_and_never_a_deadlock(
    ages: list[tuple[float, bool, bool, FailureKind | None]], is_down: bool, now: float
) -> None:
    """Whatever has happened: of a domain that is down at most one role is due, and some role can always become due."""
    states = {}
    for name, (tried, in_flight, has_session, kind) in zip("abc", ages, strict=True):
        states[name] = RoleState(
            session=session() if has_session else None,
            failure=failure(kind, at(min(tried, now))) if kind else None,
            in_flight=in_flight,
            tried=at(tried),
        )
    world = view(*THREE, now=at(now), domains=down() if is_down else {}, **states)
    probes = [p for p in due(world) if states[p].failure is None or states[p].failure.kind in SHARED]
    if is_down:
        assert len(probes) <= 1
    finite = [p for p in "abc" if decide(world, p).due_in < math.inf]
    assert finite or any(state.in_flight for state in states.values())
    # And with patience, every domain gets its probe.
    idle = {name: replace(state, in_flight=False) for name, state in states.items()}
    assert due(view(*THREE, now=at(now + 50_000), domains=down() if is_down else {}, **idle))
