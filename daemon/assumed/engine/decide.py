"""Roles + states + now → what each role waits for. Level-triggered: everything is derived anew each time.

Failures group by source (the domain): a dead source or an unreachable STS is probed by one role at a time
instead of by all (promise 8); a role that fails for reasons of its own never holds back its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from assumed.model import Decision, Failure, FailureKind, Instant, Role, Session

from .schedule import IN_FLIGHT, retry_delay, spread, when_failing, when_healthy

HELD = FailureKind.NEEDS_LOGIN
"""Not tried again by time alone: each try might open a browser, send a push to a phone, or lock an account. It ends
when a file that the source depends on changes, at a resume, or when a person asks (`assumed refresh`)."""

DOMAIN_WIDE = frozenset({FailureKind.UNREACHABLE, FailureKind.SOURCE_DEAD, FailureKind.NEEDS_LOGIN, FailureKind.CLOCK})
"""Failures that are the source's or the network's, never one role's: one is enough to hold the others."""
SHARED = DOMAIN_WIDE | {FailureKind.TRANSIENT, FailureKind.THROTTLED}
"""Failures that may be the source's: two roles in a row make it so."""
PARENT_MIN_LEFT = 0.02
"""Share of its life that a parent's session must still have to sign for a child."""


@dataclass(frozen=True, slots=True)
class RoleState:
    """What is known of a role: facts only; everything else is derived from them."""

    session: Session | None = None
    failure: Failure | None = None
    in_flight: bool = False
    tried: Instant | None = None
    forced: bool = False
    """A person (or a source that asks for it) wants it renewed now, whatever the backoff says."""
    asked: bool = False
    """That was asked for and no session has come since: a failure that is forgiven brings the request back."""
    withdrawing: bool = False
    """The old session must leave every reader's sight before a new one is asked for (promise 5)."""


@dataclass(frozen=True, slots=True)
class Domain:
    """Failures of one source since its last success."""

    kind: FailureKind
    at: Instant
    count: int
    failed: frozenset[str]

    def down(self) -> bool:
        """Whether the source itself is held to be down."""
        return self.kind in DOMAIN_WIDE or len(self.failed) > 1


def domain_after(domain: Domain | None, profiles: Iterable[str], failure: Failure, started: Instant) -> Domain | None:
    """The domain after a failure of `profiles` in attempts that began at `started`.

    Attempts in flight together fail together: they count once, or ten workers would use up the backoff at once.
    """
    if failure.kind not in SHARED:
        return domain
    if domain is None:
        return Domain(failure.kind, failure.at, 1, frozenset(profiles))
    together = started.boot < domain.at.boot and started.boot_id == domain.at.boot_id
    count = domain.count if together else domain.count + 1
    return Domain(failure.kind, failure.at, count, domain.failed.union(profiles))


@dataclass(frozen=True, slots=True)
class Probing:
    """Which role of a domain that is down tries next."""

    in_flight: bool
    """A role of the domain is being renewed: its answer is the probe."""
    profile: str | None
    """The role that probes next; None when none may."""


@dataclass(frozen=True, slots=True)
class View:
    """All that a decision may look at."""

    machine: str
    roles: Mapping[str, Role]
    states: Mapping[str, RoleState]
    domains: Mapping[str, Domain]
    requests: Mapping[str, str]
    """The fingerprint of each role's whole request, as it stands now."""
    now: Instant
    peers: Mapping[str, Sequence[str]]
    """The profiles of each domain."""
    probing: dict[str, Probing] = field(default_factory=dict)
    """Domain → its probe, found by the first decision that needs it: one search for each domain and pass, or a
    thousand roles of a dead source would make a million comparisons."""
    held: Mapping[str, Failure] = field(default_factory=dict)
    """Source → the failure that only a person can end."""


NEVER = math.inf
NEEDS_A_PERSON = "needs a person; tried again when its files change, after a resume, or by `assumed refresh`"


def decide(view: View, profile: str) -> Decision:
    """When `profile` is due and why. `due_in` is infinite while it waits for an event rather than for time."""
    role, state = view.roles[profile], view.states[profile]
    if state.in_flight:
        return Decision("renewing", IN_FLIGHT, NEVER)
    if state.withdrawing:
        return Decision("withdrawing", "the old session has to leave the credentials file first", NEVER)
    blocked = _blocked_by_parent(view, role)
    if blocked:
        return blocked
    wanted = _wanted(view, profile)
    if state.forced:
        return wanted
    if _needs_a_person(view, role) and (state.failure is not None or wanted.due_in <= 0):
        return Decision("held", NEEDS_A_PERSON, NEVER)
    domain = view.domains.get(role.domain())
    if domain is None or not domain.down():
        return wanted
    return _held_or_probe(view, role, wanted, domain)


def _needs_a_person(view: View, role: Role) -> bool:
    failure, domain = view.states[role.profile].failure, view.domains.get(role.domain())
    kinds = [failure.kind if failure else None, domain.kind if domain else None]
    return HELD in kinds or root_of(view.roles, role).source() in view.held


def root_of(roles: Mapping[str, Role], role: Role) -> Role:
    """The role at the top of the chain: its source lies outside and signs first."""
    while role.parent is not None and role.parent in roles:
        role = roles[role.parent]
    return role


def _wanted(view: View, profile: str) -> Decision:
    """When the role is due by its own facts alone."""
    state = view.states[profile]
    if state.forced:
        return Decision("forced", "asked for", 0.0)
    session = state.session
    share = spread(view.machine, profile, session.access_key_id if session else "")
    healthy = when_healthy(session, view.requests[profile], share, view.now)
    if state.failure is None:
        return healthy
    retry = when_failing(state.failure, share, view.now, session.life if session else None)
    return retry if retry.due_in > healthy.due_in else healthy


def _blocked_by_parent(view: View, role: Role) -> Decision | None:
    if role.parent is None:
        return None
    parent = view.states.get(role.parent)
    session = parent.session if parent else None
    if session is not None and session.left(view.now) > session.life * PARENT_MIN_LEFT:
        return None
    if parent is not None and parent.failure is not None:
        why = f", but fails ({parent.failure.code}): mend that first"
    else:
        above = view.roles.get(role.parent)
        why = f" and {blocked.message}" if above and (blocked := _blocked_by_parent(view, above)) else ""
    return Decision("waiting_for_parent", f"waits for {role.parent}, which signs for it{why}", NEVER)


def _held_or_probe(view: View, role: Role, wanted: Decision, domain: Domain) -> Decision:
    """One role at a time probes a source that is down, the least recently tried first, so that none starves."""
    state = view.states[role.profile]
    if state.failure is not None and state.failure.kind not in SHARED:
        return wanted
    probing = probing_of(view, role.domain())
    if probing.in_flight:
        return Decision("held", f"{role.domain()} is being probed by another role", NEVER)
    if role.profile != probing.profile:
        return Decision("held", f"{role.domain()} is down; another role probes it", NEVER)
    life = state.session.life if state.session else None
    delay = retry_delay(domain.kind, domain.count, spread(view.machine, role.domain()), life)
    due_in = delay - max(0.0, view.now.since(domain.at))
    healthy = when_healthy(state.session, view.requests[role.profile], 0.0, view.now)
    return Decision("probe", f"probes {role.domain()}", max(due_in, healthy.due_in))


def probing_of(view: View, domain: str) -> Probing:
    """The probe of a domain, searched for once in each view."""
    found = view.probing.get(domain)
    if found is None:
        found = view.probing[domain] = _probing(view, view.peers[domain])
    return found


def _probing(view: View, peers: Iterable[str]) -> Probing:
    """The peer that tries next: among those that are due, the one whose last try lies longest back."""
    candidates = []
    for peer in peers:
        state = view.states[peer]
        if state.in_flight:
            return Probing(True, None)
        if state.withdrawing or _blocked_by_parent(view, view.roles[peer]):
            continue
        if state.failure is not None and (state.failure.kind not in SHARED or state.failure.kind is HELD):
            continue
        due_in = when_healthy(state.session, view.requests[peer], 0.0, view.now).due_in
        candidates.append((due_in > 0, state.tried.boot if state.tried else -1.0, peer))
    return Probing(False, min(candidates)[2] if candidates else None)


def after_success(state: RoleState, session: Session) -> RoleState:
    """The state after a renewal."""
    return replace(state, session=session, failure=None, in_flight=False, forced=False, asked=False)


def after_failure(state: RoleState, failure: Failure) -> RoleState:
    """The state after a failed renewal: the session stays (promise 4); the count goes on within one kind."""
    previous = state.failure
    count = previous.count + 1 if previous is not None and previous.kind == failure.kind else 1
    return replace(state, failure=replace(failure, count=count), in_flight=False, forced=False)


def forgiven(state: RoleState) -> RoleState:
    """The state with its backoff reset: the role, its source or the world has changed."""
    return replace(state, failure=None, forced=state.forced or state.asked)
