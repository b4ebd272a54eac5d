"""Where a service is installed: which manager, whose account, which directories."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from assumed.core.errors import AssumedError
from assumed.core.units import escaped_instance

NEITHER = (
    "this machine runs neither systemd nor launchd (a container?), so there is nothing to install a service into; "
    "start `assumed run` by whatever starts your programs, or see container/"
)


@dataclass(frozen=True, slots=True)
class Account:
    """Whose roles are kept."""

    name: str
    uid: int
    gid: int
    home: Path


@dataclass(frozen=True, slots=True)
class Site:
    """One place for one service."""

    manager: str
    """`systemd` or `launchd`."""
    account: Account
    system: bool
    """Whether it is the machine's systemd, which starts it as the account."""
    units: Path
    """The directory of unit files, or of launchd's agents."""
    own: Path
    """The directory of our own files beside: environment and record."""

    @property
    def unit(self) -> str:
        """The name that the manager knows it by."""
        if self.manager == "launchd":
            return f"gui/{self.account.uid}/assumed"
        return f"assumed@{escaped_instance(self.account.name)}.service" if self.system else "assumed.service"

    @property
    def title(self) -> str:
        """What a person calls it."""
        return "the launchd agent" if self.manager == "launchd" else self.unit

    @property
    def file(self) -> Path:
        """The unit file, or the agent's property list."""
        return self.units / ("assumed.plist" if self.manager == "launchd" else self.unit)

    @property
    def record(self) -> Path:
        """What install has made, for uninstall."""
        return self.own / (f"service-{self.account.name}.json" if self.system else "service.json")

    @property
    def environment(self) -> Path:
        """The EnvironmentFile."""
        return self.own / (f"service-{self.account.name}.env" if self.system else "service.env")

    @property
    def systemctl(self) -> tuple[str, ...]:
        """The command that asks this manager."""
        return ("systemctl",) if self.system else ("systemctl", "--user")

    @property
    def again(self) -> str:
        """The command that a person types to install it anew."""
        return (
            f"sudo assumed service install --system --user {self.account.name}"
            if self.system
            else ("assumed service install")
        )


def account_of(name: str | None, environ: Mapping[str, str]) -> Account:
    """The account of that name, or who we are (with `$HOME` as this shell has it). Raises AssumedError."""
    try:
        found = pwd.getpwnam(name) if name is not None else pwd.getpwuid(os.getuid())
    except KeyError:
        who = name if name is not None else f"uid {os.getuid()}"
        raise AssumedError(f"this machine has no account {who}; `getent passwd` lists them") from None
    home = found.pw_dir if name is not None else environ.get("HOME") or found.pw_dir
    return Account(found.pw_name, found.pw_uid, found.pw_gid, Path(home))


def site_of(
    account: Account,
    *,
    system: bool = False,
    platform: str = sys.platform,
    root: Path = Path("/"),
) -> Site:
    """The place for this account on such a platform (`sys.platform`). `root`: where the machine's own files begin.

    Raises AssumedError where there is none.
    """
    # Not by $XDG_CONFIG_HOME, which the service manager and the next shell may have otherwise.
    base = account.home / ".config"
    own = base / "assumed"
    if platform == "darwin":
        if system:
            raise AssumedError("--system is for systemd; on macOS the agent of each user is installed by that user")
        return Site("launchd", account, False, account.home / "Library" / "LaunchAgents", own)
    if not platform.startswith("linux"):
        raise AssumedError(NEITHER)
    if system:
        return Site("systemd", account, True, root / "etc" / "systemd" / "system", root / "etc" / "assumed")
    return Site("systemd", account, False, base / "systemd" / "user", own)
