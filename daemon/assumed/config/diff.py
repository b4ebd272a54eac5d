"""What changed between two configurations, by profile."""

from __future__ import annotations

from dataclasses import dataclass

from .model import Config


@dataclass(frozen=True, slots=True)
class Changes:
    """Profiles, each in exactly one of the four, in the order of the file they come from."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]


def diff(old: Config, new: Config) -> Changes:
    """From `old` to `new`. A role has changed when anything about it has, its inherited values included."""
    both = [(old.role(role.profile), role) for role in new.roles]
    return Changes(
        added=tuple(role.profile for before, role in both if before is None),
        removed=tuple(role.profile for role in old.roles if new.role(role.profile) is None),
        changed=tuple(role.profile for before, role in both if before is not None and before != role),
        unchanged=tuple(role.profile for before, role in both if before == role),
    )
