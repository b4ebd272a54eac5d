"""What roles are to one another: who signs for whom, and what that forbids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

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


@dataclass(frozen=True, slots=True)
class _Link:
    role: Role
    passes_on: frozenset[str]
    """Tags that hold further down by themselves, lower-cased."""


def link(entries: list[Entry], report: Report) -> list[Role]:
    """The roles in the order of `entries`, each with its `parent`; what cannot be is reported."""
    by_profile = _unique(entries, report)
    parents = {name: by_profile.get(entry.role.source_profile or "") for name, entry in by_profile.items()}
    for circle in _circles(parents):
        _report_circle(circle, report)
        for entry in circle:
            parents[entry.role.profile] = None
    linked: dict[str, _Link] = {}
    for entry in _parents_first(by_profile, parents):
        parent = parents[entry.role.profile]
        if parent is None:
            linked[entry.role.profile] = _Link(entry.role, _lowered(entry.role.transitive_tag_keys))
            continue
        _report_link(entry, parent, report)
        linked[entry.role.profile] = _chained(entry, linked[parent.role.profile], report)
    return [linked[profile].role for profile in by_profile]


def _unique(entries: list[Entry], report: Report) -> dict[str, Entry]:
    by_profile: dict[str, Entry] = {}
    for entry in entries:
        first = by_profile.setdefault(entry.role.profile, entry)
        if first is not entry:
            line = report.line(("roles", first.index, "profile"))
            report.add(
                ("roles", entry.index, "profile"),
                f"is kept by the role at line {line} already; a profile has one role, give this one another name",
            )
    return by_profile


def _circles(parents: dict[str, Entry | None]) -> Iterator[list[Entry]]:
    """Each circle once, from the one of its roles that comes first in the file."""
    done: set[str] = set()
    for start in parents:
        walk: dict[str, Entry] = {}
        name = start
        while name not in done and name not in walk and (parent := parents[name]) is not None:
            walk[name] = parent
            name = parent.role.profile
        if name in walk:
            names = list(walk)
            circle = [walk[step] for step in names[names.index(name) :]]
            first = min(range(len(circle)), key=lambda position: circle[position].index)
            yield circle[first:] + circle[:first]
        done.update(walk, (name,))


def _report_circle(circle: list[Entry], report: Report) -> None:
    at = ("roles", circle[0].index, "source_profile")
    if len(circle) == 1:
        report.add(at, "is the profile that this role keeps; name the profile whose credentials assume the role")
        return
    path = " -> ".join(entry.role.profile for entry in [*circle, circle[0]])
    report.add(at, f"closes a circle, {path}, so nobody could sign first; let one of them have an outside source")


def _parents_first(by_profile: dict[str, Entry], parents: dict[str, Entry | None]) -> Iterator[Entry]:
    done: set[str] = set()
    for entry in by_profile.values():
        line: list[Entry] = []
        step: Entry | None = entry
        while step is not None and step.role.profile not in done:
            line.append(step)
            done.add(step.role.profile)
            step = parents[step.role.profile]
        yield from reversed(line)


def _report_link(entry: Entry, parent: Entry, report: Report) -> None:
    name = show(parent.role.profile)
    if entry.role.enabled and not parent.role.enabled:
        report.add(
            ("roles", entry.index, "source_profile"),
            f"is {name}, whose role at line {report.line(('roles', parent.index))} is disabled; "
            "enable that one, or disable this one too",
        )
    if entry.role.duration_seconds > LONGEST_IN_CHAIN and "duration_seconds" in entry.own:
        report.add(
            ("roles", entry.index, "duration_seconds"),
            f"is {entry.role.duration_seconds}, but {name} is a role itself, and AWS ends chained sessions "
            f"after {LONGEST_IN_CHAIN} seconds; write at most that",
        )
    if entry.role.mfa_serial is not None and "mfa_serial" in entry.own:
        report.add(
            ("roles", entry.index, "mfa_serial"),
            f"does not go with the source {name}, a role, which has no MFA device; "
            "set it at the role whose source is a user",
        )


def _chained(entry: Entry, parent: _Link, report: Report) -> _Link:
    """The role as the chain leaves it. STS refuses a tag that the signing session passes on already."""
    role = entry.role
    again = [name for name, _ in role.tags if name.casefold() in parent.passes_on]
    if again and "tags" in entry.own:
        report.add(
            ("roles", entry.index, "tags", again[0]),
            f"is passed on by {show(parent.role.profile)} already, and AWS refuses it twice; leave it out here",
        )
    chained = replace(
        role,
        parent=parent.role.profile,
        duration_seconds=min(role.duration_seconds, LONGEST_IN_CHAIN),
        mfa_serial=None,
        tags=tuple(tag for tag in role.tags if tag[0] not in again),
        transitive_tag_keys=tuple(key for key in role.transitive_tag_keys if key.casefold() not in parent.passes_on),
    )
    return _Link(chained, parent.passes_on | _lowered(role.transitive_tag_keys))


def _lowered(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(name.casefold() for name in names)
