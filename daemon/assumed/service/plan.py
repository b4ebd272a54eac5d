"""What a service consists of: directories, files and commands. Facts in, plan out; nothing is looked at or done here.

One plan drives install, `--dry-run`, `print` and uninstall.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from assumed.aws import variables as aws_variables
from assumed.service.environment_file import environment_file

from . import texts, units
from .site import Site
from .units import Wanted


@dataclass(frozen=True, slots=True)
class File:
    """A file to write. `shown` is its text as anybody may see it."""

    path: Path
    text: str = field(repr=False)
    shown: str
    mode: int = 0o600


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory that has to be there before the service starts. `of_account`: in the account's home, and its own."""

    path: Path
    of_account: bool = True
    mode: int = 0o700


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the service manager, and why."""

    words: tuple[str, ...]
    why: str
    instead: str = ""
    """What a person can type where it is refused; then its failing is not the service's."""
    optional: bool = False
    """Whether a refusal says only that there was nothing to do."""

    def __str__(self) -> str:
        return shlex.join(self.words)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the service is for."""

    wanted: Wanted
    variables: Mapping[str, str] = field(repr=False)
    """What it takes along of the shell's environment."""
    kept: tuple[str, ...] = ()
    """Those of them that only the shell of the last install had set."""
    needed: tuple[str, ...] = ()
    """Directories of the account that have to be there: a sandbox cannot make them."""
    sandboxed: bool = True
    linger: bool = True
    """Whether it is to run while its user is not logged in (a user manager of systemd)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole service."""

    site: Site
    directories: tuple[Directory, ...]
    files: tuple[File, ...]
    takes: tuple[str, ...]
    """Names of the variables that it takes along from this shell."""
    kept: tuple[str, ...]
    """Of those that it still has from the last install."""
    register: tuple[Command, ...]
    """After the files are there: the manager reads them, and starts the service from now on by itself."""
    lingering: Command | None
    start: tuple[Command, ...]
    restart: tuple[Command, ...]
    """With the same files."""
    replace: tuple[Command, ...]
    """With other files than it was started with."""
    unregister: tuple[Command, ...]
    """Before the files go."""
    forget: tuple[Command, ...]
    """After they are gone."""


def plan(site: Site, wish: Wish, text_of: Callable[[str], str] = texts.text_of) -> Plan:
    """The service at this site. Raises Unspeakable for what its files cannot hold."""
    return _launchd(site, wish, text_of) if site.manager == "launchd" else _systemd(site, wish, text_of)


def _systemd(site: Site, wish: Wish, text_of: Callable[[str], str]) -> Plan:
    environment = str(site.environment) if wish.variables else None
    wanted = replace(wish.wanted, environment_file=environment)
    edit = shlex.join([*site.systemctl, "edit", site.unit.removesuffix(".service")])
    mode = 0o644 if site.system else 0o600
    text = units.unit(text_of(texts.TEMPLATE if site.system else texts.UNIT), wanted, edit)
    files = [File(site.file, text, text, mode)]
    directories = [*(Directory(Path(path)) for path in wish.needed), _of_site(site, site.units)]
    if wish.sandboxed and not site.system:
        drop_in = units.sandbox(text_of(texts.SANDBOX), wanted)
        path = site.units / f"{site.unit}.d" / texts.DROP_IN
        directories.append(Directory(path.parent))
        files.append(File(path, drop_in, drop_in))
    if wish.variables:
        directories.append(_of_site(site, site.own))
        masked = {name: aws_variables.shown(name, value) for name, value in wish.variables.items()}
        files.append(File(site.environment, environment_file(wish.variables), environment_file(masked)))
    ask = site.systemctl
    name = site.account.name
    lingering = Command(
        ("loginctl", "enable-linger", name),
        "it runs while nobody is logged in, from the machine's start on",
        instead=f"sudo loginctl enable-linger {shlex.quote(name)}",
    )
    restart = (Command((*ask, "restart", site.unit), "the running one is another"),)
    return Plan(
        site=site,
        directories=tuple(directories),
        files=tuple(files),
        takes=tuple(name for name in wish.variables if name not in wish.kept),
        kept=wish.kept,
        register=(
            Command((*ask, "daemon-reload"), "systemd reads the unit"),
            Command((*ask, "enable", site.unit), "it is started by itself from now on"),
        ),
        lingering=lingering if wish.linger and not site.system else None,
        start=(Command((*ask, "start", site.unit), "until it says that it is ready"),),
        restart=restart,
        replace=restart,
        unregister=_unregister(site),
        forget=_forget(site),
    )


def _launchd(site: Site, wish: Wish, text_of: Callable[[str], str]) -> Plan:
    logs = site.account.home / "Library" / "Logs"
    shipped = text_of(texts.AGENT)
    masked = {name: aws_variables.shown(name, value) for name, value in wish.variables.items()}
    domain = f"gui/{site.account.uid}"
    bootstrap = Command(("launchctl", "bootstrap", domain, str(site.file)), "launchd reads the agent and starts it")
    return Plan(
        site=site,
        directories=(*(Directory(Path(path)) for path in wish.needed), Directory(site.units), Directory(logs)),
        files=(
            File(
                site.file,
                units.agent(shipped, wish.wanted, wish.variables),
                units.agent(shipped, wish.wanted, masked),
            ),
        ),
        takes=tuple(name for name in wish.variables if name not in wish.kept),
        kept=wish.kept,
        register=(Command(("launchctl", "enable", site.unit), "it is started at every login", optional=True),),
        lingering=None,
        start=(bootstrap,),
        restart=(Command(("launchctl", "kickstart", "-k", site.unit), "the running one is another"),),
        replace=(*_unregister(site), bootstrap),
        unregister=_unregister(site),
        forget=(),
    )


def removal(site: Site) -> Plan:
    """What takes any service at this site away, apart from its files: those a record names."""
    return Plan(site, (), (), (), (), (), None, (), (), (), _unregister(site), _forget(site))


def _unregister(site: Site) -> tuple[Command, ...]:
    if site.manager == "launchd":
        return (Command(("launchctl", "bootout", site.unit), "it ends", optional=True),)
    return (
        Command((*site.systemctl, "disable", "--now", site.unit), "it ends, and is started no more", optional=True),
    )


def _forget(site: Site) -> tuple[Command, ...]:
    if site.manager == "launchd":
        return ()
    return (
        Command((*site.systemctl, "daemon-reload"), "systemd forgets the unit"),
        Command((*site.systemctl, "reset-failed", site.unit), "and how it ended", optional=True),
    )


def unlinger(site: Site) -> Command:
    """Takes lingering away again, where install had enabled it."""
    name = site.account.name
    return Command(
        ("loginctl", "disable-linger", name),
        "install had enabled it",
        instead=f"sudo loginctl disable-linger {shlex.quote(name)}",
    )


def _of_site(site: Site, path: Path) -> Directory:
    return Directory(path, of_account=not site.system, mode=0o755 if site.system else 0o700)
