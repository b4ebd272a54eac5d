"""State + event → the next state, whose plan it changes, and what has to be done about it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from assumed.errors import RenewalFailed
from assumed.model import Failure, FailureKind, Instant, Role

from . import events as ev
from .decide import EARLY, decide, needs_a_person, probe_of
from .groups import HELD, SHARED, group_after
from .schedule import is_late
from .state import Order, RoleState, State, derived
from .steps import fail, force, forgive, forgiven, freed, reset, with_facts, without_holds

YOUNG_SECONDS, YOUNG_SHARE = 60.0, 0.1
"""A kept session younger than this is not renewed because STS refuses it for a child: the next would fare no better."""
OF_THE_ROLE = frozenset({FailureKind.DENIED, FailureKind.MISCONFIGURED})
"""Refusals that STS gives only to those whose signature it has accepted."""

CAPPED = "STS refused duration_seconds and granted 3600 s; set duration_seconds = 3600 to save the extra call"
DOWN = "one role probes it from now on; the sessions in use stay"
OTHER_ROLE = "role changed; old session removed first"


@dataclass(frozen=True, slots=True)
class Applied:
    """What an event led to. `touched`: the profiles whose plan has to be made anew."""

    state: State
    touched: frozenset[str] = frozenset()
    effects: tuple[ev.Effect, ...] = ()


def _log(level: str, name: str, **facts: Any) -> ev.Log:
    return ev.Log(level, name, facts)


def apply(event: ev.Event, state: State, now: Instant) -> Applied:
    """The next state."""
    match event:
        case ev.Configured():
            applied = _configured(event, state)
        case ev.Restored():
            applied = _restored(event, state, now)
        case ev.Withdrawn():
            applied = _withdrawn(event, state)
        case ev.Due():
            applied = _came_due(event, state, now)
        case ev.Started():
            applied = _started(event, state, now)
        case ev.Dropped() | ev.Renewed() | ev.NotRenewed() | ev.Overdue():
            applied = _ended(event, state, now)
        case ev.SourceReady(source):
            applied = Applied(state, frozenset(state.signed.get(source, ())))
        case ev.SourceFailed():
            applied = _source_failed(event, state, now)
        case ev.SourcesChanged():
            applied = _sources_changed(event, state)
        case ev.ClockJumped():
            applied = Applied(without_holds(reset(state, state.roles), state.roles), frozenset(state.roles))
        case ev.Refresh():
            applied = _refresh(event, state)
    return applied


def _configured(event: ev.Configured, state: State) -> Applied:
    """Unchanged roles keep session and backoff; changed ones lose their backoff; a role whose identity changed loses
    its session as well, before anything new is asked for (promise 5)."""
    new = replace(state, **derived(event.roles, event.endpoints))  # type: ignore[arg-type]
    states, withdrawn = {}, []
    for profile, role in new.roles.items():
        facts = state.states.get(profile) or RoleState()
        if state.roles.get(profile) != role:
            facts = forgiven(facts)
        if facts.session is not None and facts.session.identity != new.identities[profile]:
            facts = replace(facts, session=None, failure=None, withdrawing=True)
            withdrawn.append(profile)
        states[profile] = facts
    groups = {name: group for name, group in state.groups.items() if name in new.peers}
    gone = [profile for profile in state.roles if profile not in new.roles]
    effects: list[ev.Effect] = [ev.Forget(profile) for profile in (*withdrawn, *gone)]
    effects += [_log("info", "role.withdrawn", profile=profile, message=OTHER_ROLE) for profile in withdrawn]
    new = replace(new, states=states, groups=groups)
    waiting = _freed_by_the_edit(new, [role for profile, role in new.roles.items() if state.roles.get(profile) != role])
    return Applied(without_holds(reset(new, waiting), waiting), frozenset((*new.roles, *gone)), tuple(effects))


def _freed_by_the_edit(state: State, changed: list[Role]) -> list[str]:
    """The roles whose source waited for a person: the edit may be what that person has done."""
    sources = {state.root(role).source() for role in changed if needs_a_person(state, role)}
    return [profile for source in sources for profile in state.signed[source]]


def _restored(event: ev.Restored, state: State, now: Instant) -> Applied:
    """Sessions from before a restart are used again; one that its role would not ask for now goes."""
    states, effects = dict(state.states), list[ev.Effect]()
    for session in event.sessions:
        profile = session.profile
        if session.identity == state.identities[profile] and session.is_of(state.roles[profile].role_arn):
            states[profile] = replace(states[profile], session=session)
            effects.append(_log("info", "role.restored", profile=profile, left_seconds=round(session.left(now))))
        else:
            states[profile] = replace(states[profile], withdrawing=True)
            effects += [ev.Forget(profile), _log("info", "role.withdrawn", profile=profile, message=OTHER_ROLE)]
    touched = frozenset(session.profile for session in event.sessions)
    return Applied(replace(state, states=states), touched, tuple(effects))


def _withdrawn(event: ev.Withdrawn, state: State) -> Applied:
    states = {profile: replace(state.states[profile], withdrawing=False) for profile in event.profiles}
    return Applied(replace(state, states={**state.states, **states}), frozenset(event.profiles))


def _came_due(event: ev.Due, state: State, now: Instant) -> Applied:
    """In a group that is down, time alone may have made another role the probe: no job would look at that one."""
    role = state.roles.get(event.profile)
    if role is None:
        return Applied(state)
    probe = probe_of(state, role.domain(), now).profile if state.is_down(event.profile) else None
    return Applied(state, frozenset({event.profile, *([probe] if probe else [])}))


def _started(event: ev.Started, state: State, now: Instant) -> Applied:
    profile = event.profile
    role = state.roles[profile]
    order = Order(role, state.identities[profile], state.requests[profile], now)
    state = replace(with_facts(state, profile, tried=now, forced=False), in_flight={**state.in_flight, profile: order})
    return Applied(state, frozenset({profile}), (ev.Ask(order, state.root(role), state.parent_session(role)),))


def _ended(event: ev.Dropped | ev.Renewed | ev.NotRenewed | ev.Overdue, state: State, now: Instant) -> Applied:
    """A renewal has ended. What ends later than it may is not in flight any more, and changes nothing."""
    if state.in_flight.get(event.order.role.profile) != event.order:
        return Applied(state)
    match event:
        case ev.Dropped():
            return _dropped(event, state)
        case ev.Renewed():
            return _renewed(event, state, now)
        case ev.NotRenewed():
            return _not_renewed(event, state, now)
        case ev.Overdue(order, seconds):
            advice = "check the network, VPN, DNS or proxy"
            late = RenewalFailed(FailureKind.UNREACHABLE, "NoAnswerInTime", f"no answer within {seconds:.0f} s", advice)
            return _not_renewed(ev.NotRenewed(order, late), state, now)


def _dropped(event: ev.Dropped, state: State) -> Applied:
    """What a person has asked for still stands."""
    landed, profile = _landed(state, event.order), event.order.role.profile
    facts = state.states.get(profile)
    if facts is None:
        return landed
    return replace(landed, state=with_facts(landed.state, profile, forced=facts.forced or facts.asked))


def _renewed(event: ev.Renewed, state: State, now: Instant) -> Applied:
    """A session has come. A role that has become another one meanwhile gets none of it."""
    profile, role, session = event.order.role.profile, event.order.role, event.session
    landed = _landed(state, event.order)
    if state.identities.get(profile) != event.order.identity:
        return landed
    state = landed.state
    facts, group = state.states[profile], state.groups.get(role.domain())
    state = with_facts(state, profile, session=session, failure=None, forced=False, asked=False)
    children = state.children.get(profile, [])
    # Their source has changed: what STS said of the old session is nothing to wait for.
    state = reset(state, [child for child in children if _failed_with(state, child, SHARED)])
    state, waiting = freed(state, role)
    touched = landed.touched.union(children, waiting)
    log: list[ev.Effect] = [
        _log(
            "info",
            "role.renewed",
            profile=profile,
            lives_seconds=round(session.life),
            took_seconds=round(now.since(event.order.started), 3),
            key=f"…{session.access_key_id[-4:]}",
        )
    ]
    if group is not None:
        state = replace(state, groups={name: one for name, one in state.groups.items() if name != role.domain()})
    if group is not None and group.down():
        peers = state.peers.get(role.domain(), ())
        state = forgive(state, [peer for peer in peers if _failed_with(state, peer, SHARED)])
        log.append(_log("info", "source.recovered", source=role.source()))
    if event.capped:
        log.append(_log("warning", "role.length_capped", profile=profile, message=CAPPED))
    return Applied(state, touched, (ev.Keep(session, None if facts.asked else facts.session), *log))


def _not_renewed(event: ev.NotRenewed, state: State, now: Instant) -> Applied:
    """A renewal has failed; the session in use stays (promise 4)."""
    profile, role = event.order.role.profile, event.order.role
    landed = _landed(state, event.order)
    if state.identities.get(profile) != event.order.identity:
        return landed
    failure = failure_of(event.failure, now)
    state = fail(landed.state, [profile], failure)
    state, waiting = freed(state, role) if failure.kind in OF_THE_ROLE else (state, [])
    before = state.groups.get(role.domain())
    group = group_after(before, [profile], failure, event.order.started)
    if group is not None:
        state = replace(state, groups={**state.groups, role.domain(): group})
    touched = landed.touched.union(waiting, state.held_by(role.domain()))
    effects: list[ev.Effect] = []
    if failure.kind is FailureKind.SOURCE_DEAD:
        if role.parent is None:
            effects.append(ev.ForgetSource(role.source()))
        elif _may_be_stale(state, role.parent, now):
            state = force(state, [role.parent])
            touched |= {role.parent}
    facts = _failure_facts(state, role, now, round(now.since(event.order.started), 3))
    effects.append(_log(_level_of(state.states[profile], now), "role.renewal_failed", **facts))
    if group is not None and group.down() and (before is None or not before.down()):
        effects.append(_log("warning", "source.down", source=role.source(), message=DOWN))
    return Applied(state, touched, tuple(effects))


def _source_failed(event: ev.SourceFailed, state: State, now: Instant) -> Applied:
    """That failure is every role's that would sign with the source now, as one probe. Those of a chain whose parent
    still signs are among them: without a backoff they would ask the source at once."""
    source, error = event.source, event.failure
    failure = failure_of(error, now)
    hit: dict[str, list[str]] = {}
    for profile in state.signed.get(source, ()):
        if state.states[profile].failure is not None or decide(state, profile, now).due_in <= EARLY:
            hit.setdefault(state.roles[profile].domain(), []).append(profile)
    if failure.kind is HELD:
        before = state.held.get(source)
        count = before.count + 1 if before is not None and before.code == failure.code else 1
        state = replace(state, held={**state.held, source: replace(failure, count=count)})
    groups, touched = dict(state.groups), set(state.signed.get(source, ()))
    for name, profiles in hit.items():
        state = fail(state, profiles, failure)
        state = replace(state, states={**state.states, **{p: replace(state.states[p], forced=False) for p in profiles}})
        group = group_after(groups.get(name), profiles, failure, now)
        if group is not None:
            groups[name] = group
        touched |= set(state.peers[name])
    log = _log(
        "warning", "source.not_resolved", source=source, code=error.code, message=error.message, advice=error.advice
    )
    return Applied(replace(state, groups=groups), frozenset(touched), (log,))


def _sources_changed(event: ev.SourcesChanged, state: State) -> Applied:
    touched = [profile for source in event.sources for profile in state.signed.get(source, ())]
    effects = [
        effect
        for source in event.sources
        for effect in (ev.ForgetSource(source), _log("info", "source.changed", source=source))
    ]
    return Applied(without_holds(reset(state, touched), touched), frozenset(touched), tuple(effects))


def _refresh(event: ev.Refresh, state: State) -> Applied:
    known = [profile for profile in event.profiles if profile in state.roles]
    return Applied(force(state, known), frozenset(known))


def _landed(state: State, order: Order) -> Applied:
    """The renewal is not in flight any more; its worker is free. In a group that is down another role may probe now."""
    profile = order.role.profile
    is_now = state.roles.get(profile, order.role)
    waiting = [*state.held_by(order.role.domain()), *state.held_by(is_now.domain())]
    in_flight = {name: one for name, one in state.in_flight.items() if name != profile}
    return Applied(replace(state, in_flight=in_flight), frozenset({profile, *waiting}))


def failure_of(error: RenewalFailed, now: Instant) -> Failure:
    """The failure as facts."""
    return Failure(error.kind, error.code, error.message, error.advice, now)


def _failed_with(state: State, profile: str, kinds: frozenset[FailureKind]) -> bool:
    failure = state.states[profile].failure
    return failure is not None and failure.kind in kinds


def _may_be_stale(state: State, parent: str, now: Instant) -> bool:
    """Whether to renew a session that STS does not accept for a child: not one that has only just come."""
    facts = state.states.get(parent)
    if facts is None or facts.session is None or facts.failure is not None:
        return False
    return now.since(facts.session.received) >= min(YOUNG_SECONDS, facts.session.life * YOUNG_SHARE)


def _level_of(facts: RoleState, now: Instant) -> str:
    """A failed renewal is a warning while the session in use is good, an error when readers will soon feel it."""
    session = facts.session
    return "error" if session is None or is_late(session.left(now), session.life) else "warning"


def _failure_facts(state: State, role: Role, now: Instant, took: float) -> dict[str, Any]:
    """What a person needs to know of a failed renewal."""
    facts = state.states[role.profile]
    failure, retry_in = facts.failure, decide(state, role.profile, now).due_in
    assert failure is not None  # noqa: S101 - it has just been recorded
    return {
        "profile": role.profile,
        "kind": str(failure.kind),
        "code": failure.code,
        "message": failure.message,
        "advice": failure.advice,
        "left_seconds": max(0, round(facts.session.left(now) if facts.session else 0.0)),
        "failures": failure.count,
        "retry_in_seconds": None if retry_in == float("inf") else max(0, round(retry_in)),
        "took_seconds": took,
    }
