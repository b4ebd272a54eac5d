"""The small changes of the state that events are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from assumed.model import Failure, Role

from .state import RoleState, State


def with_facts(state: State, profile: str, **facts: Any) -> State:
    """These facts of one role are others now."""
    return replace(state, states={**state.states, profile: replace(state.states[profile], **facts)})


def fail(state: State, profiles: Iterable[str], failure: Failure) -> State:
    """Record it: the count goes on within one kind."""
    states = dict(state.states)
    for profile in profiles:
        facts = states[profile]
        alike = facts.failure is not None and facts.failure.kind == failure.kind
        count = facts.failure.count + 1 if facts.failure is not None and alike else 1
        states[profile] = replace(facts, failure=replace(failure, count=count))
    return replace(state, states=states)


def forgiven(facts: RoleState) -> RoleState:
    """With its backoff reset: the role, its source or the world has changed."""
    return replace(facts, failure=None, forced=facts.forced or facts.asked)


def forgive(state: State, profiles: Iterable[str]) -> State:
    """Reset the backoff of these roles alone."""
    return replace(state, states={**state.states, **{p: forgiven(state.states[p]) for p in profiles}})


def reset(state: State, profiles: Iterable[str]) -> State:
    """Forget what these roles and their groups failed with."""
    profiles = list(profiles)
    if not profiles:
        return state
    names = {state.roles[profile].domain() for profile in profiles}
    groups = {name: group for name, group in state.groups.items() if name not in names}
    return replace(forgive(state, profiles), groups=groups)


def without_holds(state: State, profiles: Iterable[str]) -> State:
    """The sources of these roles wait for no person any more."""
    sources = {state.root(state.roles[profile]).source() for profile in profiles}
    return replace(state, held={source: held for source, held in state.held.items() if source not in sources})


def force(state: State, profiles: Iterable[str]) -> State:
    """These are to be renewed now, whatever their backoff says."""
    forced = {profile: replace(state.states[profile], forced=True, asked=True) for profile in profiles}
    return replace(state, states={**state.states, **forced})


def freed(state: State, role: Role) -> tuple[State, list[str]]:
    """STS has accepted what the source of `role` signed: roles that waited for a person to sign in may go on. Returns
    those whose plan that changes; some have only come due meanwhile."""
    held = state.held.get(role.source()) if role.parent is None else None
    if held is None:
        return state, []
    waiting = [
        profile
        for profile in state.signed.get(role.source(), ())
        if (failure := state.states[profile].failure) is not None
        and (failure.kind, failure.code) == (held.kind, held.code)
    ]
    remaining: Mapping[str, Failure] = {name: one for name, one in state.held.items() if name != role.source()}
    return reset(replace(state, held=remaining), waiting), list(state.signed.get(role.source(), ()))
