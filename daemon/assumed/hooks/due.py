"""What is worth a command of `[hooks]`: how things stand, what has been told → what is to be told next. Pure.

Level-triggered, like the plan: nothing counts events. What has been told is a fact like any other, so a change that
comes and goes while a slow command runs is not told at all, one that repeats itself is told once, and a restart knows.

Failures of a source are the source's, not each role's: a hundred roles of one expired login are one matter.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from assumed.engine.groups import DOMAIN_WIDE
from assumed.engine.schedule import PASSING, is_late
from assumed.engine.state import RoleState
from assumed.model import Decision, Failure, FailureKind, Instant, Role

Event = Literal["renewed", "failed", "needed", "recovered"]
HOOK_OF: dict[Event, str] = {
    "needed": "when_needed",
    "recovered": "when_needed",
    "failed": "after_failure",
    "renewed": "after_renewal",
}
"""Which command tells an event of the four. In this order: a person is not kept waiting by a slow reload."""

# Seconds for which a failure has to stand before a person is called for it. A login and a request that STS can never
# grant do not pass by themselves; what IAM denies may be true a moment later; keys are being pasted, clocks set.
STANDS: dict[FailureKind, float] = {
    FailureKind.NEEDS_LOGIN: 0.0,
    FailureKind.MISCONFIGURED: 0.0,
    FailureKind.DENIED: 15.0,
    FailureKind.WRONG_PRINCIPAL: 15.0,
    FailureKind.SOURCE_DEAD: 30.0,
    FailureKind.CLOCK: 60.0,
}
UNHURRIED = frozenset({FailureKind.DENIED, FailureKind.MISCONFIGURED})
"""One role's own affair: no person is called while its session has much life left."""
EDITING = 30.0
"""Seconds for which a bad configuration or a file that cannot be written is left to whoever is at it."""

CONFIGURATION, CREDENTIALS_FILE = "configuration", "credentials file"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that does not go well. `subject` is a role, a source, or a file of everybody's."""

    subject: str
    code: str
    message: str
    advice: str
    stands: float = math.inf
    """Seconds after which it is a person's; infinite while it is not."""
    profile: str = ""
    mark: str = ""
    """What makes it another trouble than the one that was told: its code, or its kind where that says more."""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be said of a role now."""

    subjects: frozenset[str]
    """What its troubles may be told as: its own, its source's at one endpoint, its source's, its sign-in's."""
    session: str = ""
    """Which session readers find, as `mark_of` it; empty where it is not (yet) delivered."""
    trouble: Trouble | None = None
    is_well: bool = False
    """Neither well nor in trouble is a role that is being renewed, or waits: then nothing is over, and nothing new."""


@dataclass(frozen=True, slots=True)
class Told:
    """What has been told: the session of each profile, and subject → mark of troubles."""

    sessions: Mapping[str, str] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing to tell. The same event of the same subject with the same mark is the same change."""

    event: Event
    subject: str
    mark: str
    profile: str = field(default="", compare=False)
    message: str = field(default="", compare=False)
    advice: str = field(default="", compare=False)


def mark_of(access_key_id: str) -> str:
    """Tells two sessions apart, and nothing else of them."""
    return hashlib.sha256(access_key_id.encode()).hexdigest()[:12]


def verdict(
    role: Role,
    state: RoleState,
    decision: Decision,
    now: Instant,
    *,
    session: str,
    obstacle: Trouble | None,
    sign_in: str = "",
) -> Verdict:
    """The verdict on one role. `obstacle` is what keeps its session out of the file, `session` the mark of the one
    that is in it, `sign_in` what a person signs in to for its source."""
    trouble = obstacle if obstacle is not None else _failing(role, state, now, sign_in)
    well = trouble is None and decision.reason == "scheduled" and decision.due_in > 0
    subjects = {_role(role.profile), _source(role.domain()), _source(role.source())}
    return Verdict(frozenset(subjects | ({_sign_in(sign_in)} if sign_in else set())), session, trouble, well)


def _failing(role: Role, state: RoleState, now: Instant, sign_in: str) -> Trouble | None:
    failure = state.failure
    if failure is None:
        return None
    return Trouble(
        _subject(role, failure.kind, sign_in),
        failure.code,
        failure.message,
        failure.advice,
        _stands(role, state, failure, now),
        role.profile,
        # A network that is down says so in many ways.
        str(failure.kind) if failure.kind in PASSING else failure.code,
        failure.at.boot,
    )


def _stands(role: Role, state: RoleState, failure: Failure, now: Instant) -> float:
    session = state.session
    if failure.kind in UNHURRIED and session is not None and not is_late(session.left(now), session.life):
        return math.inf
    if failure.kind is FailureKind.SOURCE_DEAD and role.parent is not None:
        return math.inf  # the role that signs is renewed first; where that fails, it is that role's trouble
    return STANDS.get(failure.kind, math.inf)


def _subject(role: Role, kind: FailureKind, sign_in: str) -> str:
    """What fails as one: a sign-in that many profiles share, a source in whatever region, an endpoint, or the role."""
    if kind is FailureKind.NEEDS_LOGIN and sign_in:
        return _sign_in(sign_in)
    if kind in (FailureKind.NEEDS_LOGIN, FailureKind.SOURCE_DEAD):
        return _source(role.source())
    return _source(role.domain()) if kind in DOMAIN_WIDE else _role(role.profile)


def _sign_in(name: str) -> str:
    return f"sign-in {name}"


def _role(profile: str) -> str:
    return f"role {profile}"


def _source(domain: str) -> str:
    return f"source {domain}"


def troubles(verdicts: Mapping[str, Verdict], common: Mapping[str, Trouble]) -> dict[str, Trouble]:
    """All there are, by subject: of a source's the one that was heard last, and how many roles it concerns."""
    found = dict(common)
    for trouble in (seen.trouble for seen in verdicts.values()):
        if trouble is not None and (trouble.subject not in found or trouble.at > found[trouble.subject].at):
            found[trouble.subject] = trouble
    if not found:
        return {}
    counts = Counter(subject for seen in verdicts.values() for subject in seen.subjects & found.keys())
    return {subject: _with_peers(trouble, counts.get(subject, 1)) for subject, trouble in found.items()}


def _with_peers(trouble: Trouble, roles: int) -> Trouble:
    peers = f" and {roles - 1} more of its source" if roles > 1 else ""
    what = f"{trouble.code}: {trouble.message}" if trouble.code else trouble.message
    who = f"{trouble.profile}{peers} cannot be kept fresh: " if trouble.profile else ""
    return replace(trouble, message=f"{who}{what}".rstrip("."))


def pruned(told: Told, verdicts: Mapping[str, Verdict]) -> Told:
    """What has been told, without roles and sources that are no longer configured: nothing of theirs gets well."""
    there = {CONFIGURATION, CREDENTIALS_FILE}.union(*(seen.subjects for seen in verdicts.values()))
    return Told(
        {profile: mark for profile, mark in told.sessions.items() if profile in verdicts},
        {subject: mark for subject, mark in told.failures.items() if subject in there},
        {subject: mark for subject, mark in told.needs.items() if subject in there},
    )


def due(
    told: Told,
    verdicts: Mapping[str, Verdict],
    troubles: Mapping[str, Trouble],
    since: Mapping[str, float],
    now: float,
) -> list[Change]:
    """What is to be told at `now`, the most urgent first. `since`: since when each trouble stands, by that clock."""
    changes = [*_troubles(told, troubles, since, now), *_over(told, verdicts, troubles), *_renewed(told, verdicts)]
    order = list(HOOK_OF)
    return sorted(changes, key=lambda change: order.index(change.event))


def _troubles(told: Told, troubles: Mapping[str, Trouble], since: Mapping[str, float], now: float) -> Iterator[Change]:
    for subject, trouble in troubles.items():
        facts = (trouble.profile, trouble.message, trouble.advice)
        if trouble.profile and told.failures.get(subject) != trouble.mark:
            yield Change("failed", subject, trouble.mark, *facts)
        if now - since[subject] >= trouble.stands and told.needs.get(subject) != trouble.mark:
            yield Change("needed", subject, trouble.mark, *facts)


def _over(told: Told, verdicts: Mapping[str, Verdict], troubles: Mapping[str, Trouble]) -> Iterator[Change]:
    ended = {**told.failures, **told.needs}.keys() - troubles.keys()
    if not ended:
        return
    concerned: dict[str, dict[str, Verdict]] = {}
    for profile, seen in verdicts.items():
        for subject in seen.subjects & ended:
            concerned.setdefault(subject, {})[profile] = seen
    for subject in sorted(ended):
        peers = concerned.get(subject, {})
        if not peers and subject not in (CONFIGURATION, CREDENTIALS_FILE):
            continue  # nobody mended what is gone
        of_source = subject.startswith(("source ", "sign-in "))
        over = all(seen.is_well or (of_source and seen.trouble is not None) for seen in peers.values())
        if over:
            profile = next(iter(peers), "")
            yield Change("recovered", subject, "", profile, f"{profile or f'the {subject}'} is well again")


def _renewed(told: Told, verdicts: Mapping[str, Verdict]) -> Iterator[Change]:
    for profile, seen in verdicts.items():
        if seen.session and told.sessions.get(profile) != seen.session:
            yield Change("renewed", _role(profile), seen.session, profile, f"{profile} has a new session")


def after(told: Told, change: Change) -> Told:
    """What has been told once `change` has been."""
    subject, mark = change.subject, change.mark
    match change.event:
        case "renewed":
            return replace(told, sessions={**told.sessions, change.profile: mark})
        case "failed":
            return replace(told, failures={**told.failures, subject: mark})
        case "needed":
            return replace(told, needs={**told.needs, subject: mark})
    return replace(told, failures=_without(told.failures, subject), needs=_without(told.needs, subject))


def _without(marks: Mapping[str, str], subject: str) -> dict[str, str]:
    return {name: mark for name, mark in marks.items() if name != subject}


def needs_no_command(told: Told, change: Change, commands: Mapping[str, object]) -> bool:
    """Whether there is nobody to tell: no such hook, or the end of something that no person was called for."""
    silent = change.event == "recovered" and change.subject not in told.needs
    return silent or HOOK_OF[change.event] not in commands
