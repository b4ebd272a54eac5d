"""Roles + states + now → what each role waits for. Level-triggered: everything is derived anew each time."""

from __future__ import annotations

import math
from dataclasses import dataclass

from assumed.model import Decision, Instant, Role

from .groups import HELD, HELPER_TIMEOUT, ONCE_MORE, SHARED, Group
from .schedule import IN_FLIGHT, retry_delay, spread, when_failing, when_healthy
from .state import State

EARLY = 0.25
"""Seconds by which a role may be early and still count as due: two clocks are read, not one."""
PARENT_MIN_LEFT = 0.02
"""Share of its life that a parent's session must still have to sign for a child."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Which role of a group that is down tries next."""

    in_flight: bool
    """A role of the group is being renewed: its answer is the probe."""
    profile: str | None
    """The role that probes next; None when none may."""


Probes = dict[str, Probe]
"""Group → its probe, found by the first decision of a pass that needs it: one search for each group, or a thousand
roles of a dead source would make a million comparisons."""

NEVER = math.inf
NEEDS_A_PERSON = "needs a person; tried again when its files change, after a resume, or by `assumed refresh`"


def decide(state: State, profile: str, now: Instant, probes: Probes | None = None) -> Decision:
    """When `profile` is due and why. `due_in` is infinite while it waits for an event rather than for time.

    `probes` belongs to one pass over one state at one instant.
    """
    role, facts = state.roles[profile], state.states[profile]
    if profile in state.in_flight:
        return Decision("renewing", IN_FLIGHT, NEVER)
    if facts.withdrawing:
        return Decision("withdrawing", "the old session has to leave the credentials file first", NEVER)
    blocked = _blocked_by_parent(state, role, now)
    if blocked:
        return blocked
    wanted = _wanted(state, profile, now)
    if facts.forced:
        return wanted
    if needs_a_person(state, role) and (facts.failure is not None or wanted.due_in <= 0):
        return _held(state, role, now)
    group = state.groups.get(role.domain())
    if group is None or not group.down():
        return wanted
    if facts.failure is not None and facts.failure.kind not in SHARED:
        return wanted
    probes = {} if probes is None else probes
    if role.domain() not in probes:
        probes[role.domain()] = probe_of(state, role.domain(), now)
    return _held_or_probe(state, role, group, now, probes[role.domain()])


def needs_a_person(state: State, role: Role) -> bool:
    """Whether the role has failed, or fails as one with what has failed, for want of a person."""
    failure, group = state.states[role.profile].failure, state.groups.get(role.domain())
    kinds = [failure.kind if failure else None, group.kind if group else None]
    return HELD in kinds or state.root(role).source() in state.held


def _held(state: State, role: Role, now: Instant) -> Decision:
    """Not tried again by time, but for one late try where the failure may have passed."""
    held, facts = state.held.get(state.root(role).source()), state.states[role.profile]
    if held is None or held.code != HELPER_TIMEOUT or held.count > 1 or facts.session is None:
        return Decision("held", NEEDS_A_PERSON, NEVER)
    return Decision("held", f"{held.code}; tried once more later", ONCE_MORE - max(0.0, now.since(held.at)))


def _wanted(state: State, profile: str, now: Instant) -> Decision:
    """When the role is due by its own facts alone."""
    facts = state.states[profile]
    if facts.forced:
        return Decision("forced", "asked for", 0.0)
    session = facts.session
    share = spread(state.machine, profile, session.access_key_id if session else "")
    healthy = when_healthy(session, state.requests[profile], share, now)
    if facts.failure is None:
        return healthy
    retry = when_failing(facts.failure, share, now, session.life if session else None)
    return retry if retry.due_in > healthy.due_in else healthy


def _blocked_by_parent(state: State, role: Role, now: Instant) -> Decision | None:
    if role.parent is None:
        return None
    parent = state.states.get(role.parent)
    session = parent.session if parent else None
    if session is not None and session.left(now) > session.life * PARENT_MIN_LEFT:
        return None
    if parent is not None and parent.failure is not None:
        why = f", which fails ({parent.failure.code}): fix that first"
    else:
        above = state.roles.get(role.parent)
        why = f", which {blocked.message}" if above and (blocked := _blocked_by_parent(state, above, now)) else ""
    return Decision("waiting_for_parent", f"waits for a session of {role.parent}{why}", NEVER)


def _held_or_probe(state: State, role: Role, group: Group, now: Instant, probe: Probe) -> Decision:
    """One role at a time probes a source that is down, the least recently tried first, so that none starves."""
    facts, name = state.states[role.profile], role.domain()
    if probe.in_flight:
        return Decision("held", f"{name} is being probed by another role", NEVER)
    if role.profile != probe.profile:
        return Decision("held", f"{name} is down; another role probes it", NEVER)
    life = facts.session.life if facts.session else None
    delay = retry_delay(group.kind, group.count, spread(state.machine, name), life)
    due_in = delay - max(0.0, now.since(group.at))
    healthy = when_healthy(facts.session, state.requests[role.profile], 0.0, now)
    return Decision("probe", f"probes {name}", max(due_in, healthy.due_in))


def probe_of(state: State, group: str, now: Instant) -> Probe:
    """The role of a group that tries next: among those that are due, the one whose last try is the oldest."""
    candidates = []
    for peer in state.peers.get(group, ()):
        facts = state.states[peer]
        if peer in state.in_flight:
            return Probe(True, None)
        if facts.withdrawing or _blocked_by_parent(state, state.roles[peer], now):
            continue
        if facts.failure is not None and (facts.failure.kind not in SHARED or facts.failure.kind is HELD):
            continue
        due_in = when_healthy(facts.session, state.requests[peer], 0.0, now).due_in
        candidates.append((due_in > 0, facts.tried.boot if facts.tried else -1.0, peer))
    return Probe(False, min(candidates)[2] if candidates else None)


def due(state: State, now: Instant) -> list[str]:
    """The roles that a person who says "now" means: those that are due, failing, or wait for one that is."""
    probes: Probes = {}
    return [
        profile
        for profile, facts in state.states.items()
        if facts.session is None or facts.failure is not None or decide(state, profile, now, probes).due_in <= 0
    ]


def is_settled(state: State, profile: str, now: Instant) -> bool:
    """Whether the first plan has been carried out for this role: a session, or a reason why there is none."""
    if profile not in state.roles:
        return True
    role, facts = state.roles[profile], state.states[profile]
    if facts.failure is not None or state.is_down(profile):
        return True
    if facts.session is not None and facts.session.left(now) > 0:
        return profile not in state.in_flight or decide(state, profile, now).due_in > 0
    parent = state.states.get(role.parent) if role.parent is not None else None
    return parent is not None and parent.failure is not None
