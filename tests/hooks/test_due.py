"""What is told, and what is not: tables of how things stand before and after."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assumed.engine.state import RoleState
from assumed.hooks.due import EDITING, Change, Told, Trouble, Verdict, after, due, pruned, troubles, verdict
from assumed.model import Decision, Failure, FailureKind, Instant, Role, Session

NOW = Instant(1000.0, 1000.0)
SCHEDULED = Decision("scheduled", "", 600.0)
ROLE = Role("a", "arn:aws:iam::123456789012:role/A", source_profile="s")


def session(left: float = 3000.0, life: float = 3600.0) -> Session:
    received = Instant(NOW.wall - life + left, NOW.boot - life + left)
    return Session("a", "ASIAX", "", "", 0, 0, life, received, "", "", "")


def failed(kind: FailureKind, code: str = "X", role: Role = ROLE, left: float | None = None) -> Verdict:
    state = RoleState(session(left) if left is not None else None, Failure(kind, code, "no", "do", NOW))
    return verdict(role, state, Decision("retry", "", 5.0), NOW, session="", obstacle=None)


def well(profile: str = "a", mark: str = "") -> Verdict:
    role = replace(ROLE, profile=profile)
    return verdict(role, RoleState(session()), SCHEDULED, NOW, session=mark, obstacle=None)


BUSY = verdict(ROLE, RoleState(session()), Decision("renewing", "", 0.0), NOW, session="", obstacle=None)


def told_of(verdicts: dict[str, Verdict], told: Told | None = None, stood: float = 1e6, **common: Trouble) -> list[str]:
    """`event subject` of everything that is due when each trouble has stood for so many seconds."""
    seen = troubles(verdicts, {trouble.subject: trouble for trouble in common.values()})
    changes = due(told or Told(), verdicts, seen, dict.fromkeys(seen, 0.0), stood)
    return [f"{change.event} {change.subject}" for change in changes]


@pytest.mark.parametrize(
    ("seen", "stood", "events"),
    [
        (well(), 0, []),
        (BUSY, 0, []),
        (well(mark="1"), 0, ["renewed role a"]),
        (failed(FailureKind.TRANSIENT), 1e6, ["failed role a"]),
        (failed(FailureKind.UNREACHABLE), 1e6, ["failed source profile:s@default"]),
        (failed(FailureKind.THROTTLED), 1e6, ["failed role a"]),
        (failed(FailureKind.DENIED), 14, ["failed role a"]),
        (failed(FailureKind.DENIED), 15, ["needed role a", "failed role a"]),
        (failed(FailureKind.DENIED, left=3000), 1e6, ["failed role a"]),
        (failed(FailureKind.DENIED, left=899), 15, ["needed role a", "failed role a"]),
        (failed(FailureKind.MISCONFIGURED), 0, ["needed role a", "failed role a"]),
        (failed(FailureKind.MISCONFIGURED, left=3000), 1e6, ["failed role a"]),
        (
            failed(FailureKind.NEEDS_LOGIN, left=3000),
            0,
            [f"{e} source profile:s" for e in ("needed", "failed")],
        ),
        (failed(FailureKind.SOURCE_DEAD, left=3000), 29, ["failed source profile:s"]),
        (
            failed(FailureKind.SOURCE_DEAD, left=3000),
            30,
            [f"{e} source profile:s" for e in ("needed", "failed")],
        ),
        (failed(FailureKind.SOURCE_DEAD, role=replace(ROLE, parent="s")), 1e6, ["failed source profile:s"]),
        (failed(FailureKind.CLOCK), 59, ["failed source profile:s@default"]),
        (failed(FailureKind.CLOCK), 60, [f"{e} source profile:s@default" for e in ("needed", "failed")]),
    ],
)
def test_what_is_told_of_a_role_of_which_nothing_has_been_told(seen: Verdict, stood: float, events: list[str]) -> None:
    assert told_of({"a": seen}, stood=stood) == events


@pytest.mark.parametrize(
    ("told", "seen", "events"),
    [
        (Told(sessions={"a": "1"}), well(mark="1"), []),
        (Told(sessions={"a": "1"}), well(mark=""), []),
        (Told(sessions={"a": "1"}), well(mark="2"), ["renewed role a"]),
        (Told(failures={"role a": "X"}), failed(FailureKind.DENIED, left=3000), []),
        (Told(failures={"role a": "X"}), failed(FailureKind.DENIED, "Y", left=3000), ["failed role a"]),
        (Told(failures={"role a": "X"}), failed(FailureKind.DENIED), ["needed role a"]),
        (Told(failures={"role a": "X"}, needs={"role a": "X"}), failed(FailureKind.DENIED), []),
        (Told(failures={"role a": "transient"}), failed(FailureKind.TRANSIENT, "another"), []),
        (Told(failures={"role a": "X"}), BUSY, []),
        (Told(failures={"role a": "X"}, needs={"role a": "X"}), BUSY, []),
        (Told(failures={"role a": "X"}, needs={"role a": "X"}), well(mark=""), ["recovered role a"]),
        (Told(needs={"role a": "X"}), failed(FailureKind.UNREACHABLE), ["failed source profile:s@default"]),
    ],
)
def test_what_has_been_told_is_not_told_again(told: Told, seen: Verdict, events: list[str]) -> None:
    """Forgiven and busy is neither well nor failing: a resume must not say "recovered" and "needed" in turns."""
    assert told_of({"a": seen}, told) == events


def test_a_source_of_many_roles_is_one_matter_and_is_over_when_all_are_through() -> None:
    """One of them that is refused for itself shows that its source can sign."""
    dead = {name: failed(FailureKind.NEEDS_LOGIN, role=replace(ROLE, profile=name)) for name in "abc"}
    assert told_of(dead) == ["needed source profile:s", "failed source profile:s"]
    found = troubles(dead, {})["source profile:s"]
    assert found.message == "a and 2 more of its source cannot be kept fresh: X: no"
    told = Told(needs={found.subject: "X"}, failures={found.subject: "X", "role c": "X"})
    assert told_of({**dead, "a": well("a")}, told) == []
    assert told_of({"a": well("a"), "b": BUSY}, told) == []
    denied = failed(FailureKind.DENIED, role=replace(ROLE, profile="c"), left=3000)
    assert told_of({"a": well("a"), "b": well("b"), "c": denied}, told) == ["recovered source profile:s"]


def test_a_sign_in_that_many_profiles_share_is_one_matter() -> None:
    """Each role has a source profile of its own, in a region of its own; the login is one."""

    def lost(name: str) -> Verdict:
        role = replace(ROLE, profile=name, source_profile=f"s-{name}", region=f"r-{name}")
        state = RoleState(None, Failure(FailureKind.NEEDS_LOGIN, "X", "no", "do", NOW))
        return verdict(role, state, Decision("retry", "", 5.0), NOW, session="", obstacle=None, sign_in="corp")

    dead = {name: lost(name) for name in "abc"}
    assert told_of(dead) == ["needed sign-in corp", "failed sign-in corp"]
    told = Told(needs={"sign-in corp": "X"}, failures={"sign-in corp": "X"})
    assert told_of(dead, told) == []
    back = {
        name: verdict(ROLE, RoleState(session()), SCHEDULED, NOW, session="", obstacle=None, sign_in="corp")
        for name in dead
    }
    assert told_of({**dead, "a": back["a"]}, told) == []
    assert told_of(back, told) == ["recovered sign-in corp"]


@pytest.mark.parametrize("subject", ["configuration", "credentials file"])
def test_a_file_that_is_bad_calls_a_person_when_nobody_mends_it(subject: str) -> None:
    """It is no failure of a role's."""
    bad = Trouble(subject, "", "bad", "mend it", EDITING, "", "bad")
    assert told_of({"a": well()}, stood=EDITING - 1, bad=bad) == []
    assert told_of({"a": well()}, stood=EDITING, bad=bad) == [f"needed {subject}"]
    assert told_of({"a": well()}, Told(needs={subject: "bad"})) == [f"recovered {subject}"]


def test_a_profile_that_is_another_programs_is_a_persons_at_once() -> None:
    """Nothing that the daemon could do would end it."""
    obstacle = Trouble("role a", "ProfileContested", "x", "y", 0.0, "a", "ProfileContested")
    seen = verdict(ROLE, RoleState(session()), SCHEDULED, NOW, session="", obstacle=obstacle)
    assert told_of({"a": seen}, stood=0) == ["needed role a", "failed role a"]


def test_once_told_it_is_told() -> None:
    """`after` is what makes `due` silent, for every event in any order."""
    told = Told()
    verdicts = {"a": replace(failed(FailureKind.NEEDS_LOGIN), session="1")}
    for _ in range(3):
        seen = troubles(verdicts, {})
        changes = due(told, verdicts, seen, dict.fromkeys(seen, 0.0), 0.0)
        if changes:
            told = after(told, changes[-1])
    assert told_of(verdicts, told) == []
    over = {"a": well(mark="1")}
    (recovered,) = due(told, over, {}, {}, 0.0)
    assert recovered == Change("recovered", "source profile:s", "")
    assert recovered.message == "a is well again"
    assert after(told, recovered) == Told(sessions={"a": "1"})


KINDS = st.sampled_from([None, *FailureKind])


@given(st.lists(st.tuples(KINDS, st.sampled_from(["", "1", "2"]), st.sampled_from([0.0, 100.0])), max_size=25))
def test_whatever_happens_nothing_is_told_twice_and_only_what_was_told_can_be_over(
    history: list[tuple[FailureKind | None, str, float]],
) -> None:
    told, said = Told(), [Change("recovered", "", "")]
    open_needs: dict[str, str] = {}
    for kind, mark, stood in history:
        seen = {"a": well(mark=mark) if kind is None else replace(failed(kind), session=mark)}
        found = troubles(seen, {})
        for change in due(told, seen, found, dict.fromkeys(found, 0.0), stood):
            told = after(told, change)
            said.append(change)
            if change.event == "needed":
                assert open_needs.get(change.subject) != change.mark
                open_needs[change.subject] = change.mark
            elif change.event == "recovered":
                open_needs.pop(change.subject, None)
        assert due(told, seen, found, dict.fromkeys(found, 0.0), stood) == []
        assert open_needs == told.needs
    sessions = [change.mark for change in said if change.event == "renewed"]
    assert all(one != next_one for one, next_one in pairwise(sessions))


def test_roles_that_are_gone_neither_recover_nor_are_remembered() -> None:
    """Nobody mended them."""
    told = Told({"a": "1", "b": "2"}, {"role a": "X", "role b": "X"}, {"source profile:x@default": "X"})
    assert pruned(told, {"a": well()}) == Told({"a": "1"}, {"role a": "X"}, {})
