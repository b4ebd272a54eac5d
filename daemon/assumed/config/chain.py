"""What roles are to one another: which signs for which, and what that forbids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter

from assumed.model import Role

from .report import Report, show

LONGEST_IN_CHAIN = 3600
"""Seconds. STS: "the 1 hour session limit for roles assumed by role chaining"."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One `[[roles]]` entry: its place in the file, its role, and the keys it sets itself."""

    index: int
    role: Role
    own: frozenset[str]


def link(entries: Iterable[Entry], report: Report) -> list[Role]:
    """The roles in the order of `entries`, each with its `parent`; what cannot be is reported."""
    by_profile: dict[str, Entry] = {}
    for entry in entries:
        first = by_profile.setdefault(entry.role.profile, entry)
        if first is not entry:
            line = report.line(("roles", first.index, "profile"))
            report.add(("roles", entry.index, "profile"), f"is also set at line {line}; give each role its own profile")
    parents = {name: by_profile.get(entry.role.source_profile or "") for name, entry in by_profile.items()}
    linked: dict[str, Role] = {}
    passed_on: dict[str, frozenset[str]] = {}
    for name in _parents_first(by_profile, parents, report):
        entry, parent = by_profile[name], parents[name]
        inherited = passed_on[parent.role.profile] if parent else frozenset()
        linked[name] = _chained(entry, parent, inherited, report) if parent else entry.role
        passed_on[name] = inherited | {key.casefold() for key in entry.role.transitive_tag_keys}
    return [linked[profile] for profile in by_profile]


def _parents_first(by_profile: dict[str, Entry], parents: dict[str, Entry | None], report: Report) -> list[str]:
    """The profiles in an order in which they can be signed for. A cycle is reported, and cut out of `parents`."""
    while True:
        graph = {name: [parent.role.profile] if parent else [] for name, parent in parents.items()}
        try:
            return list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            cycle = [by_profile[name] for name in error.args[1][:0:-1]]
        first = cycle.index(min(cycle, key=lambda entry: entry.index))
        names = [entry.role.profile for entry in [*cycle[first:], *cycle[: first + 1]]]
        what = f"cycle: {' -> '.join(names)}; one of them needs a source outside this file"
        report.add(("roles", cycle[first].index, "source_profile"), what)
        parents.update(dict.fromkeys(names))


def _chained(entry: Entry, parent: Entry, passed_on: frozenset[str], report: Report) -> Role:
    """The role as the chain leaves it. STS refuses a tag that the signing session passes on already."""
    role, signer = entry.role, show(parent.role.profile)
    again = [name for name, _ in role.tags if name.casefold() in passed_on]
    line = report.line(("roles", parent.index)) if role.enabled and not parent.role.enabled else 0
    limit = f"is {role.duration_seconds}, but AWS ends chained sessions (source {signer}) after {LONGEST_IN_CHAIN} s"
    for at, is_wrong, what in (
        (["source_profile"], line, f"is {signer}, whose role at line {line} is disabled; enable or disable both"),
        (
            ["duration_seconds"],
            role.duration_seconds > LONGEST_IN_CHAIN and "duration_seconds" in entry.own,
            f"{limit}; write at most that",
        ),
        (
            ["mfa_serial"],
            role.mfa_serial and "mfa_serial" in entry.own,
            f"has no effect: the source {signer} is a role and has no MFA device; set it where the source is a user",
        ),
        (
            ["tags", *again[:1]],
            again and "tags" in entry.own,
            f"is already passed on by {signer}, and AWS refuses it twice; remove it",
        ),
    ):
        if is_wrong:
            report.add(("roles", entry.index, *at), what)
    return replace(
        role,
        parent=parent.role.profile,
        duration_seconds=min(role.duration_seconds, LONGEST_IN_CHAIN),
        mfa_serial=None,
        tags=tuple(tag for tag in role.tags if tag[0] not in again),
        transitive_tag_keys=tuple(key for key in role.transitive_tag_keys if key.casefold() not in passed_on),
    )
