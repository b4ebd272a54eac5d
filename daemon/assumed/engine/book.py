"""The keeper's facts: which roles there are, what is known of each, which sources are down.

Every method is short and makes no I/O; the keeper holds one lock around them, because the scheduler's workers
claim their work here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from assumed.errors import RenewalFailed
from assumed.model import Decision, Failure, FailureKind, Instant, Role, Session, request_of

from .decide import (
    HELD,
    SHARED,
    Domain,
    Probing,
    RoleState,
    View,
    after_failure,
    after_success,
    decide,
    domain_after,
    forgiven,
    probing_of,
    root_of,
)
from .identities import identities

YOUNG_SECONDS, YOUNG_SHARE = 60.0, 0.1
"""A kept session younger than this is not renewed because STS refuses it for a child: the next would fare no better."""
OF_THE_ROLE = frozenset({FailureKind.DENIED, FailureKind.MISCONFIGURED})
"""Refusals that STS gives only to those whose signature it has accepted."""
CLAIM_TOLERANCE = 0.25
"""Seconds by which a job may fire early and still count as due: two clocks are read, not one."""


class Book:
    """Facts about the enabled roles of one configuration."""

    def __init__(self, machine: str) -> None:
        self.machine = machine
        self.roles: dict[str, Role] = {}
        self.states: dict[str, RoleState] = {}
        self.domains: dict[str, Domain] = {}
        self.identities: dict[str, str] = {}
        self.requests: dict[str, str] = {}
        self.held: dict[str, Failure] = {}
        """Source → why only a person can make it sign again; nothing of it is started until then."""
        self._flying: set[str] = set()
        """Profiles with a call in flight: a role that leaves and comes back meanwhile must not have two."""
        self._peers: dict[str, list[str]] = {}
        """Domain → its profiles."""
        self._children: dict[str, list[str]] = {}
        """Profile → those that it signs for."""
        self._signed: dict[str, list[str]] = {}
        """Source → the profiles whose chain begins with it."""
        self._probing: dict[str, Probing] = {}
        """Domain → its next probe: found once, until a state changes or time does."""
        self._probing_at = 0.0

    def view(self, now: Instant) -> View:
        """What the core may look at."""
        if not 0 <= now.boot - self._probing_at < CLAIM_TOLERANCE:
            self._probing, self._probing_at = {}, now.boot
        found = now, self._peers, self._probing, self.held
        return View(self.machine, self.roles, self.states, self.domains, self.requests, *found)

    def _set(self, profile: str, state: RoleState) -> None:
        self.states[profile] = state
        if self._probing:
            self._probing = {}

    def decide(self, profile: str, now: Instant) -> Decision:
        """When a role is due, and why."""
        return decide(self.view(now), profile)

    def root(self, role: Role) -> Role:
        """The role at the top of the chain: its source lies outside and signs first."""
        return root_of(self.roles, role)

    def children(self, profile: str) -> list[str]:
        """The roles that `profile` signs for."""
        return self._children.get(profile, [])

    def peers(self, role: Role) -> list[str]:
        """The roles that share `role`'s failure domain, itself included."""
        return self._peers.get(role.domain(), [])

    def signed_by(self, source: str) -> list[str]:
        """The roles that `source` signs for, also through other roles."""
        return self._signed.get(source, [])

    def probe(self, profile: str, now: Instant) -> str | None:
        """The role that probes for this one while their source is down; None when none may."""
        view, domain = self.view(now), self.roles[profile].domain()
        return probing_of(view, domain).profile

    def configure(self, roles: Iterable[Role], endpoints: Mapping[str, str | None]) -> list[str]:
        """Take over a set of roles. Returns the profiles whose old session must be withdrawn.

        Unchanged roles keep session and backoff; changed ones lose their backoff; a role whose identity changed
        loses its session as well, before anything new is asked for (promise 5).
        """
        old = self.roles
        self.roles = {role.profile: role for role in roles}
        self._index()
        self.identities = identities(self.roles, endpoints)
        self.requests = {profile: request_of(role, self.identities[profile]) for profile, role in self.roles.items()}
        withdrawn: list[str] = []
        for profile, role in self.roles.items():
            state = self.states.get(profile) or RoleState(in_flight=profile in self._flying)
            if old.get(profile) != role:
                state = forgiven(state)
                self.held.pop(self.root(role).source(), None)
            if state.session is not None and state.session.identity != self.identities[profile]:
                state = replace(state, session=None, failure=None, withdrawing=True)
                withdrawn.append(profile)
            self._set(profile, state)
        for profile in set(self.states) - set(self.roles):
            del self.states[profile]
        self.domains = {name: domain for name, domain in self.domains.items() if name in self._peers}
        return withdrawn

    def _index(self) -> None:
        self._peers, self._children, self._signed, self._probing = {}, {}, {}, {}
        for profile, role in self.roles.items():
            self._peers.setdefault(role.domain(), []).append(profile)
            self._signed.setdefault(self.root(role).source(), []).append(profile)
            if role.parent is not None:
                self._children.setdefault(role.parent, []).append(profile)

    def restore(self, session: Session) -> bool:
        """Take over a session from the disk; False when it is not what its role says now: then it has to go first."""
        profile = session.profile
        if session.identity != self.identities.get(profile) or not session.is_of(self.roles[profile].role_arn):
            self._set(profile, replace(self.states[profile], withdrawing=True))
            return False
        self._set(profile, replace(self.states[profile], session=session))
        return True

    def claim(self, profile: str, now: Instant) -> bool:
        """Mark a role's renewal as in flight; False when it is not due (any more) or another one is in flight."""
        if profile not in self.roles or self.decide(profile, now).due_in > CLAIM_TOLERANCE:
            return False
        self._flying.add(profile)
        self._set(profile, replace(self.states[profile], in_flight=True, tried=now))
        return True

    def is_current(self, profile: str, identity: str) -> bool:
        """Whether an answer to an order of this identity still concerns anybody."""
        return self.identities.get(profile) == identity

    def released(self, profile: str) -> None:
        """The renewal in flight has ended without a result that concerns anybody."""
        self._flying.discard(profile)
        if profile in self.states:
            self._set(profile, replace(self.states[profile], in_flight=False))

    def succeeded(self, session: Session) -> set[str]:
        """Record a renewal. Returns the profiles whose plan it changes."""
        profile = session.profile
        role = self.roles[profile]
        self._flying.discard(profile)
        self._set(profile, after_success(self.states[profile], session))
        children = self.children(profile)
        # Their source has changed: what STS said of the old session is nothing to wait for.
        self._reset(child for child in children if self._failed_with(child, SHARED))
        touched = {profile, *children, *self._freed_by(role)}
        domain = self.domains.pop(role.domain(), None)
        if domain is None or not domain.down():
            return touched
        for peer in self.peers(role):
            if self._failed_with(peer, SHARED):
                self._set(peer, forgiven(self.states[peer]))
        return touched | set(self.peers(role))

    def _freed_by(self, role: Role) -> list[str]:
        """STS has accepted what the source of `role` signed: whom it kept waiting for a person may go on."""
        held = self.held.pop(role.source(), None) if role.parent is None else None
        if held is None:
            return []
        waiting = [
            profile
            for profile in self.signed_by(role.source())
            if (failure := self.states[profile].failure) is not None
            and (failure.kind, failure.code) == (held.kind, held.code)
        ]
        self._reset(waiting)
        return waiting

    def _failed_with(self, profile: str, kinds: frozenset[FailureKind]) -> bool:
        failure = self.states[profile].failure
        return failure is not None and failure.kind in kinds

    def mistrust(self, parent: str, now: Instant) -> bool:
        """STS does not accept the session of `parent`, which signs for another role: have it renewed, unless it has
        only just been. Returns whether its plan has changed."""
        state = self.states[parent]
        if state.session is None or state.failure is not None:
            return False
        if now.since(state.session.received) < min(YOUNG_SECONDS, state.session.life * YOUNG_SHARE):
            return False
        self.force(parent)
        return True

    def failed(self, profile: str, error: RenewalFailed, started: Instant, now: Instant) -> set[str]:
        """Record a failed renewal. Returns the profiles whose plan it changes."""
        role = self.roles[profile]
        self._flying.discard(profile)
        failure = _told(error, now)
        self._set(profile, after_failure(self.states[profile], failure))
        before = self.domains.get(role.domain())
        after = domain_after(before, [profile], failure, started)
        freed = self._freed_by(role) if failure.kind in OF_THE_ROLE else []
        if after is None:
            return {profile, *freed}
        self.domains[role.domain()] = after
        return {profile, *freed} | (set(self.peers(role)) if after.down() else set())

    def source_failed(self, source: str, error: RenewalFailed, now: Instant) -> set[str]:
        """A source could not be resolved: that failure is every role's that would sign with it now, as one probe. Those
        of a chain whose parent still signs are among them: without a backoff they would ask the source at once."""
        failure = _told(error, now)
        hit: dict[str, list[str]] = {}
        for profile in self.signed_by(source):
            role = self.roles[profile]
            if self._tries(profile, now):
                hit.setdefault(role.domain(), []).append(profile)
        if failure.kind is HELD:
            self.held[source] = failure
        touched: set[str] = set()
        for domain, profiles in hit.items():
            for profile in profiles:
                self._set(profile, after_failure(self.states[profile], failure))
            after = domain_after(self.domains.get(domain), profiles, failure, now)
            if after is not None:
                self.domains[domain] = after
            touched |= set(self._peers[domain])
        return touched

    def _tries(self, profile: str, now: Instant) -> bool:
        return self.states[profile].failure is not None or self.decide(profile, now).due_in <= 0

    def forgive(self, profiles: Iterable[str]) -> None:
        """Reset the backoff of these roles and of their sources."""
        for profile in profiles:
            self._reset([profile])
            self.held.pop(self.root(self.roles[profile]).source(), None)

    def _reset(self, profiles: Iterable[str]) -> None:
        for profile in profiles:
            self._set(profile, forgiven(self.states[profile]))
            self.domains.pop(self.roles[profile].domain(), None)

    def due(self, now: Instant) -> list[str]:
        """The roles that a person who says "now" means: those that are due, failing, or wait for one that is."""
        return [
            profile
            for profile, state in self.states.items()
            if state.session is None or state.failure is not None or self.decide(profile, now).due_in <= 0
        ]

    def force(self, profile: str) -> None:
        """Make a role due now, whatever its backoff says."""
        self._set(profile, replace(self.states[profile], forced=True, asked=True))

    def withdrawn(self, profiles: Iterable[str]) -> None:
        """No reader finds these roles' old session any more: new ones may be asked for."""
        for profile in profiles:
            self._set(profile, replace(self.states[profile], withdrawing=False))

    def is_down(self, profile: str) -> bool:
        """Whether the role's source is held to be down."""
        domain = self.domains.get(self.roles[profile].domain())
        return domain is not None and domain.down()

    def is_settled(self, profile: str, now: Instant) -> bool:
        """Whether the first plan has been carried out for this role: a session, or a reason why there is none."""
        if profile not in self.roles:
            return True
        role, state = self.roles[profile], self.states[profile]
        if state.failure is not None or self.is_down(profile):
            return True
        if state.session is not None and state.session.left(now) > 0:
            return not state.in_flight or self.decide(profile, now).due_in > 0
        return role.parent in self.roles and role.parent is not None and self.states[role.parent].failure is not None


def _told(error: RenewalFailed, now: Instant) -> Failure:
    """The failure as it may be shown to anybody: STS and helpers may quote the keys that they were given."""
    return Failure(error.kind, error.code, error.message, error.advice, now)
