"""What is due to be reported: tables of what was reported, how the roles are, and what follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assumed.config import Config
from assumed.credentials.ownership import Refusal
from assumed.engine.state import RoleState, State
from assumed.errors import ConfigError, FileRefused
from assumed.hooks.due import EDITING, Change, Reported, after, due, health_of_roles, mark_of, pruned, troubles
from assumed.model import Decision, Failure, FailureKind, Instant, Role, Session
from assumed.snapshot import Delivered, Planned, Snapshot

NOW = Instant(1000.0, 1000.0)
ROLE = Role("a", "arn:aws:iam::123456789012:role/A", source_profile="s")
SCHEDULED, RETRY, RENEWING = Decision("scheduled", "", 600.0), Decision("retry", "", 5.0), Decision("renewing", "", 0.0)
Given = tuple[Role, RoleState, Decision]


def session(left: float = 3000.0, life: float = 3600.0, key: str = "ASIAX") -> Session:
    received = Instant(NOW.wall - life + left, NOW.boot - life + left)
    return Session("a", key, "", "", 0, 0, life, received, "", "", "")


def failed(kind: FailureKind, code: str = "X", role: Role = ROLE, left: float | None = None) -> Given:
    return role, RoleState(session(left) if left is not None else None, Failure(kind, code, "no", "do", NOW)), RETRY


def well(profile: str = "a", key: str = "ASIAX") -> Given:
    return replace(ROLE, profile=profile), RoleState(session(key=key)), SCHEDULED


BUSY: Given = (ROLE, RoleState(session()), RENEWING)


def snapshot(*given: Given, delivered: bool = False, sign_ins: Mapping[str, str] | None = None) -> Snapshot:
    """Of these roles; `delivered`: whether readers find their sessions."""
    roles = {role.profile: role for role, _, _ in given}
    states = {role.profile: facts for role, facts, _ in given}
    planned = {role.profile: Planned(decision, NOW) for role, _, decision in given}
    sessions = {p: facts.session for p, facts in states.items() if facts.session and delivered}
    config = Config(Path("c.toml"), tuple(roles.values()), Path("credentials"))
    state = State("m", roles, states, identities=dict.fromkeys(roles, ""))
    return Snapshot(config, None, state, planned, Delivered(sessions), NOW, NOW, sign_ins=sign_ins or {})


def changes(of: Snapshot, reported: Reported | None = None, lasted: float = 1e6) -> list[Change]:
    """What is due when each trouble has lasted for so many seconds."""
    roles = health_of_roles(of, NOW)
    found = troubles(of, roles)
    since = {(trouble.subject, trouble.mark): 0.0 for trouble in found.values()}
    return due(pruned(reported or {}, roles), roles, found, since, lasted)


def events(of: Snapshot, reported: Reported | None = None, lasted: float = 1e6) -> list[str]:
    return [f"{change.event} {change.subject}" for change in changes(of, reported, lasted)]


@pytest.mark.parametrize(
    ("given", "lasted", "expected"),
    [
        (well(), 0, []),
        (BUSY, 0, []),
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
def test_what_is_due_where_nothing_was_reported(given: Given, lasted: float, expected: list[str]) -> None:
    assert events(snapshot(given), lasted=lasted) == expected


FAILED, NEEDED = ("failed", "role a"), ("needed", "role a")


@pytest.mark.parametrize(
    ("reported", "given", "expected"),
    [
        ({FAILED: "X"}, failed(FailureKind.DENIED, left=3000), []),
        ({FAILED: "X"}, failed(FailureKind.DENIED, "Y", left=3000), ["failed role a"]),
        ({FAILED: "X"}, failed(FailureKind.DENIED), ["needed role a"]),
        ({FAILED: "X", NEEDED: "X"}, failed(FailureKind.DENIED), []),
        ({FAILED: "transient"}, failed(FailureKind.TRANSIENT, "another"), []),
        ({FAILED: "X"}, BUSY, []),
        ({FAILED: "X", NEEDED: "X"}, BUSY, []),
        ({FAILED: "X", NEEDED: "X"}, well(), ["recovered role a"]),
        ({NEEDED: "X"}, failed(FailureKind.UNREACHABLE), ["failed source profile:s@default"]),
    ],
)
def test_what_was_reported_is_not_due_again(reported: Reported, given: Given, expected: list[str]) -> None:
    """A role that is being renewed is neither well nor failing: a resume reports no "recovered" and "needed" in
    turns."""
    assert events(snapshot(given), reported) == expected


def test_a_new_session_is_due_once_readers_find_it() -> None:
    reported: Reported = {("renewed", "a"): mark_of("ASIA1")}
    assert events(snapshot(well(key="ASIA2")), reported) == []
    assert events(snapshot(well(key="ASIA1"), delivered=True), reported) == []
    assert events(snapshot(well(key="ASIA2"), delivered=True), reported) == ["renewed a"]
    assert events(snapshot(well(key="ASIA1"), delivered=True)) == ["renewed a"]


def test_a_source_of_many_roles_is_one_trouble_and_over_when_all_are_through() -> None:
    """One of them that is refused for itself shows that its source can sign."""
    a, b, c = (failed(FailureKind.NEEDS_LOGIN, role=replace(ROLE, profile=name)) for name in "abc")
    needed, also = changes(snapshot(a, b, c))
    assert [f"{one.event} {one.subject}" for one in (needed, also)] == [
        "needed source profile:s",
        "failed source profile:s",
    ]
    assert needed.message == "a and 2 more of its source cannot be kept fresh: X: no"
    reported = after(after({("failed", "role c"): "X"}, needed), also)
    assert events(snapshot(well("a"), b, c), reported) == []
    assert events(snapshot(well("a"), (replace(ROLE, profile="b"), *BUSY[1:])), reported) == []
    denied = failed(FailureKind.DENIED, role=replace(ROLE, profile="c"), left=3000)
    assert events(snapshot(well("a"), well("b"), denied), reported) == ["recovered source profile:s"]


def test_a_sign_in_that_many_profiles_share_is_one_trouble() -> None:
    """Each role has a source profile of its own, in a region of its own; the login is one."""

    def of(name: str, facts: RoleState, decision: Decision) -> Given:
        return replace(ROLE, profile=name, source_profile=f"s-{name}", region=f"r-{name}"), facts, decision

    sign_ins = {f"profile:s-{name}": "corp" for name in "abc"}
    failure = Failure(FailureKind.NEEDS_LOGIN, "X", "no", "do", NOW)
    lost = [of(name, RoleState(None, failure), RETRY) for name in "abc"]
    back = [of(name, RoleState(session()), SCHEDULED) for name in "abc"]
    due_now = changes(snapshot(*lost, sign_ins=sign_ins))
    assert [f"{one.event} {one.subject}" for one in due_now] == ["needed sign-in corp", "failed sign-in corp"]
    reported = after(after({}, due_now[0]), due_now[1])
    assert events(snapshot(*lost, sign_ins=sign_ins), reported) == []
    assert events(snapshot(back[0], *lost[1:], sign_ins=sign_ins), reported) == []
    assert events(snapshot(*back, sign_ins=sign_ins), reported) == ["recovered sign-in corp"]


@pytest.mark.parametrize("subject", ["configuration", "credentials file"])
def test_a_bad_file_calls_a_person_once_it_has_been_bad_for_a_while(subject: str) -> None:
    """It is not a role's failure."""
    good = snapshot(well())
    if subject == "configuration":
        bad = replace(good, config_error=ConfigError(["c.toml:1: no", "c.toml:2: no"]))
    else:
        bad = replace(good, delivered=Delivered(error=FileRefused("no", "do")))
    assert events(bad, lasted=EDITING - 1) == []
    assert events(bad, lasted=EDITING) == [f"needed {subject}"]
    assert events(bad, after({}, changes(bad)[0])) == []
    assert events(good, {("needed", subject): "bad"}) == [f"recovered {subject}"]


def test_a_profile_that_cannot_be_written_needs_a_person_at_once() -> None:
    """Nothing that the daemon could do would end it."""
    refused = Delivered(refused={"a": Refusal("a", "long-term keys", "rename it")})
    assert events(replace(snapshot(well()), delivered=refused), lasted=0) == ["needed role a", "failed role a"]


def test_a_role_that_is_not_planned_yet_neither_recovers_nor_is_forgotten() -> None:
    """The first snapshot after a start has no plan."""
    unplanned = replace(snapshot(well()), planned={})
    reported: Reported = {FAILED: "X", ("renewed", "a"): "1"}
    assert events(unplanned, reported) == []
    assert pruned(reported, health_of_roles(unplanned, NOW)) == reported


KINDS = st.sampled_from([None, *FailureKind])


@given(st.lists(st.tuples(KINDS, st.sampled_from(["", "1", "2"]), st.sampled_from([0.0, 100.0])), max_size=25))
def test_nothing_is_reported_twice_and_only_what_was_reported_recovers(
    history: list[tuple[FailureKind | None, str, float]],
) -> None:
    reported: Reported = {}
    made = []
    called: dict[str, str] = {}
    for kind, key, lasted in history:
        role, facts, decision = well() if kind is None else failed(kind)
        facts = replace(facts, session=session(key=key) if key else facts.session)
        now = snapshot((role, facts, decision), delivered=bool(key))
        for change in changes(now, reported, lasted):
            reported = after(reported, change)
            made.append(change)
            if change.event == "needed":
                assert called.get(change.subject) != change.mark
                called[change.subject] = change.mark
            elif change.event == "recovered":
                called.pop(change.subject, None)
        assert changes(now, reported, lasted) == []
        assert called == {subject: mark for (event, subject), mark in reported.items() if event == "needed"}
    sessions = [change.mark for change in made if change.event == "renewed"]
    assert all(one != next_one for one, next_one in pairwise(sessions))


def test_roles_that_are_gone_neither_recover_nor_are_remembered() -> None:
    kept: Reported = {("renewed", "a"): "1", FAILED: "X"}
    gone: Reported = {("renewed", "b"): "2", ("failed", "role b"): "X", ("needed", "source profile:x@default"): "X"}
    assert pruned({**kept, **gone}, health_of_roles(snapshot(well()), NOW)) == kept
