"""The configuration as the daemon holds it: frozen, checked, with every default filled in; and what changed in it."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from assumed.model import Role


@dataclass(frozen=True, slots=True)
class HostFacts:
    """The account and the host that this process runs as and on; they make up the default `role_session_name`."""

    user: str
    host: str


def session_name(host: HostFacts) -> str:
    """`assumed-<user>-<host>` within STS's rule: 2 to 64 of `[A-Za-z0-9_+=,.@-]`.

    The host's domain is left out: it changes with the network, and a name that changes asks for new sessions.
    """
    parts = ("assumed", host.user, host.host.split(".")[0])
    cleaned = (re.sub(r"[^A-Za-z0-9_+=,.@-]+", "-", part).strip("-") for part in parts)
    return "-".join(part for part in cleaned if part)[:64]


@dataclass(frozen=True, slots=True)
class Hooks:
    """Commands as words, run without a shell when something has changed; an empty one is none."""

    after_renewal: tuple[str, ...] = ()
    after_failure: tuple[str, ...] = ()
    when_needed: tuple[str, ...] = ()
    timeout_seconds: int = 10

    def commands(self) -> dict[str, tuple[str, ...]]:
        """Those that are configured, by their key; none when there are no hooks."""
        named = {name: getattr(self, name) for name in ("after_renewal", "after_failure", "when_needed")}
        return {name: words for name, words in named.items() if words}


@dataclass(frozen=True)
class Config:
    """One valid configuration file. `text` is the TOML it came from, kept as the last good one."""

    path: Path
    roles: tuple[Role, ...]
    """Enabled and disabled ones, in the order of the file."""
    credentials_file: Path
    """Absolute, `~` and the environment resolved; a symlink is left as it is."""
    log_level: str = "info"
    log_format: str = "auto"
    text: str = field(default="", repr=False)
    metrics_textfile: Path | None = None
    """Where the daemon writes its metrics for node_exporter; None: nowhere."""
    hooks: Hooks = field(default_factory=Hooks)

    @cached_property
    def _by_profile(self) -> dict[str, Role]:
        return {role.profile: role for role in self.roles}

    def role(self, profile: str) -> Role | None:
        """The role that keeps `profile`, enabled or not."""
        return self._by_profile.get(profile)

    def enabled(self) -> tuple[Role, ...]:
        """The roles to keep assumed."""
        return tuple(role for role in self.roles if role.enabled)

    @property
    def config_id(self) -> str:
        """Marks what this configuration owns in the credentials file: same path, same owner."""
        return hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]


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
