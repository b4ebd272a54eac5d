"""Where a service is installed, for whom, and the command that it starts."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from assumed.errors import AssumedError
from assumed.files import shown_account

DROP_IN = "10-sandbox.conf"
NO_MANAGER = (
    "this machine runs neither systemd nor launchd (a container?); start `assumed run` with whatever starts your "
    "programs, or see container/"
)
PLAIN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What systemd gives to a service that has no PATH of its own (systemd.exec(5), "Environment variables")."""
TRIAL_SECONDS = 30.0
_INSTALL = "install assumed where that account may read it (pipx, uv tool, a virtual environment), and run that one"


class NoAccount(AssumedError):
    """This machine has no account of that name."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whose roles are kept."""

    name: str
    uid: int
    gid: int
    home: Path

    @property
    def is_ours(self) -> bool:
        """Whether this process runs as the account."""
        return self.uid == os.getuid()


@dataclass(frozen=True, slots=True)
class Site:
    """One place for one service: `manager` is `systemd` or `launchd`.

    `system`: the machine's systemd, which starts the service as the account. `unit`: the manager's name of it; `title`:
    the name in messages. `file`: the unit file, or the agent's property list. `environment`: the file with the captured
    variables, for launchd the agent itself. `record`: what install has made, for uninstall.
    """

    manager: str
    account: Account
    system: bool
    unit: str
    title: str
    file: Path
    environment: Path
    record: Path

    @property
    def drop_in(self) -> Path:
        """The sandbox of a user unit."""
        return self.file.parent / f"{self.unit}.d" / DROP_IN

    def is_of_machine(self, directory: Path) -> bool:
        """Whether the directory is root's; those of the account are made and removed in its name."""
        return self.system and directory in (self.file.parent, self.record.parent)

    @property
    def systemctl(self) -> tuple[str, ...]:
        """The command that talks to this manager."""
        return ("systemctl",) if self.system else ("systemctl", "--user")

    @property
    def restart(self) -> str:
        """The command that restarts the service, for a person to type."""
        if self.manager == "launchd":
            return f"launchctl kickstart -k {self.unit}"
        return shlex.join([*(["sudo"] if self.system else []), *self.systemctl, "restart", self.unit])

    def command(self, *words: str, setting: str = "") -> str:
        """A command of `assumed service` for this site, for a person to type; `setting`: `NAME=` before it."""
        if self.system:
            return typed(["service", *words, "--system", "--user", self.account.name], as_root=True, setting=setting)
        return shlex.join([*([setting] if setting else []), "assumed", "service", *words])

    def may_hold(self, path: Path) -> bool:
        """Whether install may have written this file: a record that names another is no reason to remove it.

        In a home the directory of units may have been another one then (XDG_CONFIG_HOME of the user manager).
        """
        if self.system or self.manager == "launchd" or ".." in path.parts:
            return path in (self.file, self.environment)
        is_unit = path.parts[-3:] in (("systemd", "user", self.unit), ("user", *self.drop_in.parts[-2:]))
        return path == self.environment or (is_unit and path.is_relative_to(self.account.home))


def account_of(name: str | None, environ: Mapping[str, str]) -> Account:
    """The account of that name, or our own (with `$HOME` as this shell has it).

    Raises NoAccount, and AssumedError where `$HOME` belongs to another user (`sudo -E`, `su -m`): that user controls
    where its links lead, also to files that root alone may write.
    """
    try:
        found = pwd.getpwnam(name) if name is not None else pwd.getpwuid(os.getuid())
    except KeyError:
        missing = name if name is not None else f"uid {os.getuid()}"
        raise NoAccount(f"this machine has no account {missing}; `getent passwd` lists them") from None
    home = Path(found.pw_dir if name is not None else environ.get("HOME") or found.pw_dir)
    if name is None:
        refuse_foreign(home, "$HOME")
    return Account(found.pw_name, found.pw_uid, found.pw_gid, home)


def refuse_foreign(path: Path, what: str) -> None:
    """Raises AssumedError where the path, or the nearest directory above it that exists, is neither ours nor root's."""
    while not os.path.exists(path) and path != path.parent:  # noqa: PTH110 (Path.exists raises where we may not look)
        path = path.parent
    owner = path.stat().st_uid
    if owner in (0, os.getuid()):
        return
    name = shown_account(owner)
    raise AssumedError(
        f"{what} is {path}, owned by {name}; for a service of that account use --system --user {name}, for your own "
        "use your own home (sudo -H)"
    )


def site_of(
    account: Account,
    *,
    system: bool = False,
    platform: str = sys.platform,
    root: Path = Path("/"),
    units: Path | None = None,
) -> Site:
    """The place for this account on a platform (`sys.platform`). `root`: where the machine's own files begin; `units`:
    the directory of units that the manager reads, where it is not the usual one.

    Raises AssumedError where there is none.
    """
    base, name = account.home / ".config", account.name  # not $XDG_CONFIG_HOME: the next shell may have another
    own = base / "assumed"
    if platform == "darwin" and not system:
        file = account.home / "Library" / "LaunchAgents" / "assumed.plist"
        unit, title = f"gui/{account.uid}/assumed", "the launchd agent"
        return Site("launchd", account, False, unit, title, file, file, own / "service.json")
    if not platform.startswith("linux"):
        raise AssumedError("--system is for systemd alone" if platform == "darwin" else NO_MANAGER)
    unit = f"assumed@{instance(name)}.service" if system else "assumed.service"
    own = root / "etc" / "assumed" if system else own
    file = (units or (root / "etc" / "systemd" / "system" if system else base / "systemd" / "user")) / unit
    suffix = f"-{name}" if system else ""
    return Site(
        "systemd", account, system, unit, unit, file, own / f"service{suffix}.env", own / f"service{suffix}.json"
    )


def instance(name: str) -> str:
    """An account's name between `assumed@` and `.service` (systemd.unit(5)). systemd-escape escapes hyphens too."""
    return re.sub(r"^\.|[^A-Za-z0-9:_.-]", lambda one: "".join(f"\\x{byte:02x}" for byte in one[0].encode()), name)


def program(argv0: str | None = None, executable: str | None = None, path: str | None = None) -> tuple[str, ...]:
    """The words that start this very tool. Raises AssumedError where it lies in a cache.

    Links are kept: the link that pipx and uv leave in ~/.local/bin survives an upgrade, its target does not; the same
    holds for a virtual environment's `bin/python`. A program that was started by its target is replaced by the link.
    """
    argv0 = argv0 or sys.argv[0]
    if os.path.basename(argv0) == "__main__.py":  # noqa: PTH119
        return (os.path.abspath(executable or sys.executable), "-m", "assumed")  # noqa: PTH100 (Path.absolute keeps `..`)
    started = os.path.abspath(argv0)  # noqa: PTH100
    if "/.cache/" in started or "/.cache/" in os.path.realpath(started):
        raise AssumedError(
            f"{started} lies in a cache (uvx, pipx run) that may be emptied; install it first: "
            "uv tool install assumed, or pipx install assumed"
        )
    directories = (os.environ.get("PATH", "") if path is None else path).split(os.pathsep)
    for link in [started, *(os.path.join(directory, os.path.basename(started)) for directory in directories)]:  # noqa: PTH119
        # Not Path.is_symlink, which raises where PATH names a directory that we may not enter (`sudo -u`).
        if link.startswith("/") and os.path.islink(link) and os.path.realpath(link) == os.path.realpath(started):  # noqa: PTH114
            return (link,)
    return (started,)


def trial(words: Sequence[str], account: Account) -> None:
    """Starts the program as a service would: from /, as the account, without this shell's environment.

    Does nothing where we may not act as the account. Raises AssumedError where the program fails.
    """
    if not account.is_ours and os.geteuid() != 0:
        return  # a dry run for another account
    done = run_as(account, [*words, "--version"], {})
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise AssumedError(f"`{shlex.join(words)} --version` fails outside of this shell: {last}; {_INSTALL}")


def run_as(account: Account, words: Sequence[str], more: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """One of our programs as that account, to its end. Raises AssumedError where it cannot be started.

    It gets nothing of root's: no environment but `more` (processes with the same uid read it in /proc), no terminal
    (into which they can type, TIOCSTI), no directory, no group.
    """
    environ = {"HOME": str(account.home), "PATH": PLAIN_PATH, "USER": account.name, "LOGNAME": account.name}
    if not account.is_ours and list(words[1:3]) == ["-m", "assumed"]:
        words = [words[0], "-I", *words[1:]]  # no module from the account's own directories
    try:
        return subprocess.run(
            words,
            cwd="/",
            env={**environ, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TRIAL_SECONDS,
            check=False,
            start_new_session=True,
            user=None if account.is_ours else account.uid,
            group=None if account.is_ours else account.gid,
            extra_groups=None if account.is_ours else os.getgrouplist(account.name, account.gid),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AssumedError(f"{account.name} cannot start {Path(words[0])}: {error}; {_INSTALL}") from None


def typed(arguments: Sequence[str], *, as_root: bool, setting: str = "") -> str:
    """One of our commands as a person types it. `as_root`: with its path where sudo's PATH does not lead to it."""
    words: tuple[str, ...] = ("assumed",)
    with contextlib.suppress(AssumedError):  # in a cache: tomorrow that path may be gone
        if as_root and os.path.dirname(program()[0]) not in PLAIN_PATH.split(os.pathsep):
            words = program()
    sudo = ["sudo"] if as_root and os.geteuid() != 0 else []
    return shlex.join([*sudo, *([setting] if setting else []), *words, *arguments])
