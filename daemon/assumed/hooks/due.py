"""Which commands of `[hooks]` are due: what is true now, less what has been reported. Pure.

Level-triggered, like the plan: nothing counts events. A change that comes and goes while a slow command runs is not
reported at all, one that repeats itself is reported once, and a restart knows what was reported.

Failures of a source are the source's, not each role's: a hundred roles of one expired login are one trouble.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from assumed.engine.groups import DOMAIN_WIDE
from assumed.engine.schedule import PASSING, is_late
from assumed.model import FailureKind, Instant, Role, Session
from assumed.snapshot import OBSTACLES, Snapshot, error_document

Event = Literal["renewed", "failed", "needed", "recovered"]
HOOK_OF: dict[Event, str] = {
    "needed": "when_needed",
    "recovered": "when_needed",
    "failed": "after_failure",
    "renewed": "after_renewal",
}
"""Event → the command that reports it, the most urgent first: a person is not kept waiting by a slow reload."""

# Seconds for which a failure has to last before a person is called. A login and a request that STS can never grant do
# not pass by themselves; what IAM denies may be allowed a moment later; keys are being pasted, clocks set.
GRACE: dict[FailureKind, float] = {
    FailureKind.NEEDS_LOGIN: 0.0,
    FailureKind.MISCONFIGURED: 0.0,
    FailureKind.DENIED: 15.0,
    FailureKind.WRONG_PRINCIPAL: 15.0,
    FailureKind.SOURCE_DEAD: 30.0,
    FailureKind.CLOCK: 60.0,
}
UNHURRIED = frozenset({FailureKind.DENIED, FailureKind.MISCONFIGURED})
"""Failures of one role alone: no person is called while its session has much life left."""
EDITING = 30.0
"""Seconds for which a bad configuration, or a file that cannot be written, is left to the person who is editing it."""

FILES = CONFIGURATION, CREDENTIALS_FILE = "configuration", "credentials file"

Reported = Mapping[tuple[Event, str], str]
"""(event, subject) → the mark of what was reported last."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that does not go well."""

    subject: str
    """`role NAME`, `source NAME`, `sign-in NAME`, or one of FILES."""
    mark: str
    """Tells it from another trouble of the same subject: its code, or its kind where one kind has many codes."""
    message: str
    advice: str
    profile: str = ""
    grace: float = math.inf
    """Seconds after which a person is needed; infinite where none is."""
    at: float = 0.0
    """When it was last seen, by the boot clock."""


@dataclass(frozen=True, slots=True)
class Health:
    """How a role is now."""

    subjects: frozenset[str]
    """What its troubles may have as subject: itself, its source at one endpoint, its source, its sign-in."""
    session: str = ""
    """The mark of the session that readers find; empty where none is delivered (yet)."""
    trouble: Trouble | None = None
    is_well: bool = False
    """A role that is being renewed, or waits, is neither well nor in trouble: nothing is over, and nothing new."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a command reports. The subject of `renewed` is a profile, of all others that of a trouble."""

    event: Event
    subject: str
    mark: str
    profile: str = field(default="", compare=False)
    message: str = field(default="", compare=False)
    advice: str = field(default="", compare=False)


def mark_of(access_key_id: str) -> str:
    """Tells two sessions apart, and reveals nothing else of them."""
    return hashlib.sha256(access_key_id.encode()).hexdigest()[:12]


def health_of_roles(snapshot: Snapshot, now: Instant) -> dict[str, Health]:
    """Profile → how its role is."""
    return {profile: _health(snapshot, role, now) for profile, role in snapshot.state.roles.items()}


def _health(snapshot: Snapshot, role: Role, now: Instant) -> Health:
    session, planned = snapshot.state.states[role.profile].session, snapshot.planned.get(role.profile)
    sign_in = snapshot.sign_ins.get(snapshot.state.root(role).source(), "")
    trouble = _trouble(snapshot, role, sign_in, now)
    is_settled = planned is not None and planned.decision.reason == "scheduled" and planned.decision.due_in > 0
    return Health(
        frozenset({f"role {role.profile}", f"source {role.domain()}", f"source {role.source()}", f"sign-in {sign_in}"}),
        mark_of(session.access_key_id) if session is not None and snapshot.has_delivered(role) else "",
        trouble,
        trouble is None and is_settled,
    )


def _trouble(snapshot: Snapshot, role: Role, sign_in: str, now: Instant) -> Trouble | None:
    error, facts = error_document(snapshot, role.profile), snapshot.state.states[role.profile]
    if error is None:
        return None
    message = f"{error['code']}: {error['message']}"
    trouble = Trouble(f"role {role.profile}", error["code"], message, error["advice"], role.profile, grace=0.0)
    failure = facts.failure
    if failure is None or error["code"] in OBSTACLES:
        return trouble
    return replace(
        trouble,
        subject=_subject(role, failure.kind, sign_in),
        mark=str(failure.kind) if failure.kind in PASSING else failure.code,
        grace=_grace(role, facts.session, failure.kind, now),
        at=failure.at.boot,
    )


def _subject(role: Role, kind: FailureKind, sign_in: str) -> str:
    """What fails as one: a sign-in that many profiles share, a source in whatever region, an endpoint, or the role."""
    if kind is FailureKind.NEEDS_LOGIN and sign_in:
        return f"sign-in {sign_in}"
    if kind in (FailureKind.NEEDS_LOGIN, FailureKind.SOURCE_DEAD):
        return f"source {role.source()}"
    return f"source {role.domain()}" if kind in DOMAIN_WIDE else f"role {role.profile}"


def _grace(role: Role, session: Session | None, kind: FailureKind, now: Instant) -> float:
    if kind in UNHURRIED and session is not None and not is_late(session.left(now), session.life):
        return math.inf
    if kind is FailureKind.SOURCE_DEAD and role.parent is not None:
        return math.inf  # the role that signs is renewed first; where that fails, it is that role's trouble
    return GRACE.get(kind, math.inf)


def troubles(snapshot: Snapshot, roles: Mapping[str, Health]) -> dict[str, Trouble]:
    """Subject → its trouble; of a source the one that was seen last, and how many roles it concerns."""
    found = {trouble.subject: trouble for trouble in _troubles_of_files(snapshot)}
    for trouble in sorted((health.trouble for health in roles.values() if health.trouble), key=lambda one: -one.at):
        found.setdefault(trouble.subject, trouble)
    counts = Counter(subject for health in roles.values() for subject in health.subjects & found.keys())
    return {subject: _with_peers(trouble, counts[subject]) for subject, trouble in found.items()}


def _troubles_of_files(snapshot: Snapshot) -> Iterator[Trouble]:
    if snapshot.config_error is not None:
        first, *others = snapshot.config_error.problems
        message = f"the configuration has an error: {first}" + (f" (and {len(others)} more)" if others else "")
        advice = "correct it; until then the last good one stays in use"
        yield Trouble(CONFIGURATION, "bad", message, advice, grace=EDITING)
    if (error := snapshot.delivered.error) is not None:
        message = f"the credentials file is not written: {error.message}"
        yield Trouble(CREDENTIALS_FILE, "refused", message, error.advice, grace=EDITING)


def _with_peers(trouble: Trouble, roles: int) -> Trouble:
    peers = f" and {roles - 1} more of its source" if roles > 1 else ""
    whose = f"{trouble.profile}{peers} cannot be kept fresh: " if trouble.profile else ""
    return replace(trouble, message=f"{whose}{trouble.message}".rstrip("."))


def pruned(reported: Reported, roles: Mapping[str, Health]) -> Reported:
    """Without roles and sources that are no longer configured: they do not recover."""
    subjects = roles.keys() | set(FILES).union(*(health.subjects for health in roles.values()))
    return {(event, subject): mark for (event, subject), mark in reported.items() if subject in subjects}


def due(
    reported: Reported,
    roles: Mapping[str, Health],
    troubles: Mapping[str, Trouble],
    since: Mapping[tuple[str, str], float],
    now: float,
) -> list[Change]:
    """What is to be reported at `now`, the most urgent first. `since`: (subject, mark) → since when it has lasted."""
    true = [*_troubled(troubles, since, now), *_renewed(roles)]
    new = [change for change in true if reported.get((change.event, change.subject)) != change.mark]
    order = list(HOOK_OF)
    return sorted([*new, *_recovered(reported, roles, troubles)], key=lambda change: order.index(change.event))


def _troubled(troubles: Mapping[str, Trouble], since: Mapping[tuple[str, str], float], now: float) -> Iterator[Change]:
    for subject, trouble in troubles.items():
        facts = (subject, trouble.mark, trouble.profile, trouble.message, trouble.advice)
        if trouble.profile:
            yield Change("failed", *facts)
        if now - since[subject, trouble.mark] >= trouble.grace:
            yield Change("needed", *facts)


def _renewed(roles: Mapping[str, Health]) -> Iterator[Change]:
    for profile, health in roles.items():
        if health.session:
            yield Change("renewed", profile, health.session, profile, f"{profile} has a new session")


def _recovered(reported: Reported, roles: Mapping[str, Health], troubles: Mapping[str, Trouble]) -> Iterator[Change]:
    """Troubles that were reported and are over. A source that many roles share has recovered when each of them is well
    or has a trouble of its own."""
    ended = {subject for event, subject in reported if event != "renewed"} - troubles.keys()
    concerned: dict[str, dict[str, Health]] = {subject: {} for subject in sorted(ended)}
    for profile, health in roles.items() if ended else ():
        for subject in health.subjects & ended:
            concerned[subject][profile] = health
    for subject, peers in concerned.items():
        is_shared = not subject.startswith("role ")
        if all(health.is_well or (is_shared and health.trouble is not None) for health in peers.values()):
            profile = next(iter(peers), "")
            yield Change("recovered", subject, "", profile, f"{profile or f'the {subject}'} is well again")


def after(reported: Reported, change: Change) -> Reported:
    """What has been reported once `change` is."""
    if change.event != "recovered":
        return {**reported, (change.event, change.subject): change.mark}
    over = {("failed", change.subject), ("needed", change.subject)}
    return {key: mark for key, mark in reported.items() if key not in over}


def needs_no_command(reported: Reported, change: Change, hooks: Collection[str]) -> bool:
    """Whether no such hook is configured, or a trouble is over for which no person was called."""
    was_silent = change.event == "recovered" and ("needed", change.subject) not in reported
    return was_silent or HOOK_OF[change.event] not in hooks
