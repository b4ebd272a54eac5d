"""Whose credentials each role's are, down every chain."""

from __future__ import annotations

from collections.abc import Mapping

from assumed.model import Role, identity_of

from .decide import root_of


def identities(roles: Mapping[str, Role], endpoints: Mapping[str, str | None]) -> dict[str, str]:
    """Profile → fingerprint (`model.identity_of`). `endpoints`: source → its explicitly configured endpoint."""
    found: dict[str, str] = {}

    def identity(profile: str) -> str:
        if profile not in found:
            role = roles[profile]
            above = identity(role.parent) if role.parent is not None and role.parent in roles else None
            found[profile] = identity_of(role, endpoints.get(root_of(roles, role).source()), above)
        return found[profile]

    for profile in roles:
        identity(profile)
    return found
