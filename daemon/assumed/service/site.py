"""Where a service is installed: which manager, whose account, which directories."""

from __future__ import annotations

import os
import pwd
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from assumed.errors import AssumedError

from .program import Account, typed
from .texts import DROP_IN
from .units import escaped_instance

NEITHER = (
    "this machine runs neither systemd nor launchd (a container?), so there is nothing to install a service into; "
    "start `assumed run` by whatever starts your programs, or see container/"
)


class NoAccount(AssumedError):
    """This machine knows no account of that name."""


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
        """The file with the variables that it takes along: the agent itself, or the EnvironmentFile."""
        if self.manager == "launchd":
            return self.file
        return self.own / (f"service-{self.account.name}.env" if self.system else "service.env")

    @property
    def systemctl(self) -> tuple[str, ...]:
        """The command that asks this manager."""
        return ("systemctl",) if self.system else ("systemctl", "--user")

    @property
    def again(self) -> str:
        """The command that a person types to install it anew."""
        return self.command("install")

    def command(self, *words: str, setting: str = "") -> str:
        """One of `assumed service`, as a person types it for this site; `setting`: `NAME=` before it."""
        if not self.system:
            return shlex.join([*([setting] if setting else []), "assumed", "service", *words])
        return typed(["service", *words, "--system", "--user", self.account.name], as_root=True, setting=setting)

    def is_own_file(self, path: Path) -> bool:
        """Whether install may have written it here: a record that says otherwise is no reason to remove a file."""
        if path in (self.file, self.environment):
            return True
        if self.system or self.manager == "launchd" or os.path.normpath(path) != str(path):
            return False
        # The manager may have read another directory of units in its user's home then.
        places = (("systemd", "user", self.unit), ("systemd", "user", f"{self.unit}.d", DROP_IN))
        return path.is_relative_to(self.account.home) and any(path.parts[-len(tail) :] == tail for tail in places)

    def is_own_directory(self, path: Path) -> bool:
        """Whether it is a directory of this site's; all others are the account's own."""
        return any(path == place or path in place.parents for place in (self.units, self.own))


def account_of(name: str | None, environ: Mapping[str, str]) -> Account:
    """The account of that name, or who we are (with `$HOME` as this shell has it).

    Raises NoAccount, and AssumedError where `$HOME` is somebody else's (`sudo -E`, `su -m`): what lies there leads
    wherever its owner wants, also past what only root may write.
    """
    try:
        found = pwd.getpwnam(name) if name is not None else pwd.getpwuid(os.getuid())
    except KeyError:
        who = name if name is not None else f"uid {os.getuid()}"
        raise NoAccount(f"this machine has no account {who}; `getent passwd` lists them") from None
    home = Path(found.pw_dir if name is not None else environ.get("HOME") or found.pw_dir)
    if name is None:
        refuse_anothers(home, "$HOME")
    return Account(found.pw_name, found.pw_uid, found.pw_gid, home)


def refuse_anothers(path: Path, what: str) -> None:
    """Raises AssumedError where the path, or what there is of it, is neither ours nor root's."""
    place = path
    while not os.path.exists(place) and place != place.parent:  # noqa: PTH110 (Path.exists raises where we may not look)
        place = place.parent
    owner = place.stat().st_uid
    if owner in (0, os.getuid()):
        return
    try:
        whose = pwd.getpwuid(owner).pw_name
    except KeyError:
        whose = f"uid {owner}"
    raise AssumedError(
        f"{what} is {path}, which is {whose}'s: for a service of that account use --system --user {whose}, "
        "for one of your own your own home (sudo -H)"
    )


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
