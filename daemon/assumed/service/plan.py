"""What a service consists of: directories, files and commands. Facts in, plan out; nothing is read or done here.

One plan drives install, `--dry-run`, `print` and uninstall.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from assumed.aws.variables import shown

from . import units
from .site import Site
from .units import Spec

Phase = Literal["register", "linger", "start", "restart", "replace", "stop", "forget", "unlinger"]
"""`register`: after the files are written. `restart`: with the same files; `replace`: with other files than it was
started with. `stop`: before the files are removed; `forget`: after. `linger`, `unlinger`: whether a user's manager runs
without a login."""


@dataclass(frozen=True, slots=True)
class File:
    """A file to write. `shown` is its text without passwords; `note` follows its name when it is written."""

    path: Path
    text: str = field(repr=False)
    shown: str
    mode: int = 0o600
    note: str = ""


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory that must exist before the service starts. `of_account`: made in the name of the account."""

    path: Path
    of_account: bool = True
    mode: int = 0o700


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the service manager, and why it is run.

    `instead`: what a person can type where it is refused, which then is no failure of the service. `optional`: a
    refusal means that there was nothing to do.
    """

    words: tuple[str, ...]
    why: str
    instead: str = ""
    optional: bool = False

    def __str__(self) -> str:
        return shlex.join(self.words)


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole service. `kept`: names of the variables from the last install's shell."""

    site: Site
    directories: tuple[Directory, ...]
    files: tuple[File, ...]
    kept: tuple[str, ...]


def plan(site: Site, spec: Spec) -> Plan:
    """The service at this site. Raises AssumedError for what its files cannot hold."""
    files, directories = _agent(site, spec) if site.manager == "launchd" else _unit(site, spec)
    directories = [*(Directory(Path(path)) for path in spec.directories), *directories]
    return Plan(site, tuple(directories), tuple(files), spec.kept)


def _unit(site: Site, spec: Spec) -> tuple[list[File], list[Directory]]:
    def of_site(path: Path) -> Directory:
        return Directory(path, of_account=not site.system, mode=0o755 if site.system else 0o700)

    text = units.unit(site, spec)
    files, directories = [File(site.file, text, text, 0o644 if site.system else 0o600)], [of_site(site.file.parent)]
    if spec.sandboxed and not site.system:
        drop_in = units.sandbox(spec)
        files.append(File(site.drop_in, drop_in, drop_in))
        directories.append(Directory(site.drop_in.parent))
    if spec.variables:
        masked = units.environment_file(_masked(spec))
        files.append(File(site.environment, units.environment_file(spec.variables), masked, note=_note(spec)))
        directories.append(of_site(site.environment.parent))
    return files, directories


def _agent(site: Site, spec: Spec) -> tuple[list[File], list[Directory]]:
    text, masked = (units.agent(spec, variables) for variables in (spec.variables, _masked(spec)))
    return [File(site.file, text, masked, note=_note(spec))], [
        Directory(site.file.parent),
        Directory(site.account.home / "Library" / "Logs"),
    ]


def _note(spec: Spec) -> str:
    captured = ", ".join(name for name in spec.variables if name not in spec.kept)
    return f" (from this shell's environment: {captured})" if captured else ""


def _masked(spec: Spec) -> dict[str, str]:
    return {name: shown(name, value) for name, value in spec.variables.items()}


def commands(site: Site, phase: Phase) -> tuple[Command, ...]:
    """What the manager is to do in a phase; nothing where it has none."""
    return (_of_launchd(site) if site.manager == "launchd" else _of_systemd(site)).get(phase, ())


def _of_launchd(site: Site) -> dict[Phase, tuple[Command, ...]]:
    domain = f"gui/{site.account.uid}"
    bootstrap = Command(("launchctl", "bootstrap", domain, str(site.file)), "load the agent and start it")
    bootout = Command(("launchctl", "bootout", site.unit), "stop it", optional=True)
    return {
        "register": (Command(("launchctl", "enable", site.unit), "start it at every login", optional=True),),
        "start": (bootstrap,),
        "restart": (Command(("launchctl", "kickstart", "-k", site.unit), "restart it"),),
        "replace": (bootout, bootstrap),
        "stop": (bootout,),
    }


def _of_systemd(site: Site) -> dict[Phase, tuple[Command, ...]]:
    systemctl, unit, name = site.systemctl, site.unit, site.account.name
    restart = (Command((*systemctl, "restart", unit), "restart it"),)
    of_machine: dict[Phase, tuple[Command, ...]] = {
        "register": (
            Command((*systemctl, "daemon-reload"), "read the unit"),
            Command((*systemctl, "enable", unit), "start it at boot" if site.system else "start it with your manager"),
        ),
        "start": (Command((*systemctl, "start", unit), "returns when it is ready"),),
        "restart": restart,
        "replace": restart,
        "stop": (Command((*systemctl, "disable", "--now", unit), "stop it", optional=True),),
        "forget": (
            Command((*systemctl, "daemon-reload"), "forget the unit"),
            Command((*systemctl, "reset-failed", unit), "and its last result", optional=True),
        ),
    }
    if site.system:
        return of_machine
    enable, disable = (
        Command(("loginctl", verb, name), why, instead=f"sudo loginctl {verb} {shlex.quote(name)}")
        for verb, why in (
            ("enable-linger", "run from boot on, also while logged out"),
            ("disable-linger", "install had enabled it"),
        )
    )
    return {**of_machine, "linger": (enable,), "unlinger": (disable,)}
