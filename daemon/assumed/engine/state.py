"""What the daemon knows of its roles: one frozen value, which `apply` turns into the next one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from assumed.model import Failure, Instant, Role, Session, identity_of, request_of

from .groups import Group


@dataclass(frozen=True, slots=True)
class RoleState:
    """What is known of a role: facts only; everything else is derived from them."""

    session: Session | None = None
    failure: Failure | None = None
    tried: Instant | None = None
    forced: bool = False
    """A person, or a source that asks for it, wants it renewed now, whatever the backoff says."""
    asked: bool = False
    """That was asked for and no session has come since: a failure that is forgiven brings the request back."""
    withdrawing: bool = False
    """The old session must leave every reader's sight before a new one is asked for (promise 5)."""


@dataclass(frozen=True, slots=True)
class Order:
    """Everything that one renewal asks for, as it was when it began. Two renewals never have the same."""

    role: Role
    identity: str
    request: str
    started: Instant


@dataclass(frozen=True, slots=True)
class State:
    """The roles of one configuration. Mappings are replaced, never changed: a snapshot may hold them for ever."""

    machine: str
    """Spreads the renewals of two machines with the same roles."""
    roles: Mapping[str, Role] = field(default_factory=dict)
    states: Mapping[str, RoleState] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    """Failures of each source at one endpoint since its last success."""
    held: Mapping[str, Failure] = field(default_factory=dict)
    """Source → why only a person can make it sign again; none of its roles is started until then."""
    in_flight: Mapping[str, Order] = field(default_factory=dict)
    """Profile → its renewal under way: a role that leaves and comes back meanwhile must not have two."""
    identities: Mapping[str, str] = field(default_factory=dict)
    """Profile → whose credentials the role's are (`model.identity_of`)."""
    requests: Mapping[str, str] = field(default_factory=dict)
    """Profile → the whole request (`model.request_of`)."""
    endpoints: Mapping[str, str] = field(default_factory=dict)
    """Profile → where it is asked for: calls there share their workers."""
    peers: Mapping[str, list[str]] = field(default_factory=dict)
    """Group → its profiles."""
    children: Mapping[str, list[str]] = field(default_factory=dict)
    """Profile → the roles that it signs for."""
    signed: Mapping[str, list[str]] = field(default_factory=dict)
    """Source → the profiles whose chain begins with it."""

    def root(self, role: Role) -> Role:
        """The role at the top of the chain: its source lies outside and signs first."""
        while role.parent is not None and role.parent in self.roles:
            role = self.roles[role.parent]
        return role

    def held_by(self, name: str) -> list[str]:
        """The roles of a group that is down: one of them probes for all."""
        group = self.groups.get(name)
        return self.peers.get(name, []) if group is not None and group.down() else []

    def is_down(self, profile: str) -> bool:
        """Whether the role's source is held to be down."""
        group = self.groups.get(self.roles[profile].domain())
        return group is not None and group.down()

    def with_descendants(self, profiles: Iterable[str]) -> set[str]:
        """These and all that they sign for, directly or not: what these wait for follows from what those do."""
        found, waiting = set(profiles), list(profiles)
        while waiting:
            children = [child for child in self.children.get(waiting.pop(), ()) if child not in found]
            found.update(children)
            waiting += children
        return found

    def parent_session(self, role: Role) -> Session | None:
        """The session that signs for this role, where a kept role does."""
        parent = self.states.get(role.parent) if role.parent is not None else None
        return parent.session if parent is not None else None


def derived(roles: Iterable[Role], endpoints: Mapping[str, str | None]) -> dict[str, Mapping[str, object]]:
    """The fields of a State that follow from its roles. `endpoints`: source → its explicitly configured endpoint."""
    by_profile = {role.profile: role for role in roles}
    known = State("", by_profile)
    roots = {profile: known.root(role).source() for profile, role in by_profile.items()}
    found = identities(by_profile, {profile: endpoints.get(source) for profile, source in roots.items()})
    peers: dict[str, list[str]] = {}
    children: dict[str, list[str]] = {}
    signed: dict[str, list[str]] = {}
    for profile, role in by_profile.items():
        peers.setdefault(role.domain(), []).append(profile)
        signed.setdefault(roots[profile], []).append(profile)
        if role.parent is not None:
            children.setdefault(role.parent, []).append(profile)
    return {
        "roles": by_profile,
        "identities": found,
        "requests": {profile: request_of(role, found[profile]) for profile, role in by_profile.items()},
        "endpoints": {p: endpoints.get(roots[p]) or role.region or "" for p, role in by_profile.items()},
        "peers": peers,
        "children": children,
        "signed": signed,
    }


def identities(roles: Mapping[str, Role], endpoints: Mapping[str, str | None]) -> dict[str, str]:
    """Profile → whose credentials the role's are, down every chain. `endpoints`: profile → its explicit endpoint."""
    found: dict[str, str] = {}

    def identity(profile: str) -> str:
        if profile not in found:
            role = roles[profile]
            above = identity(role.parent) if role.parent is not None and role.parent in roles else None
            found[profile] = identity_of(role, endpoints[profile], above)
        return found[profile]

    for profile in roles:
        identity(profile)
    return found
