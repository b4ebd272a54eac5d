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
    """A whole service. `directories`: those that must exist first. `kept`: variables from the last install's shell."""

    site: Site
    directories: tuple[Path, ...]
    files: tuple[File, ...]
    kept: tuple[str, ...]


def plan(site: Site, spec: Spec) -> Plan:
    """The service at this site. Raises AssumedError for what its files cannot hold."""
    masked = {name: shown(name, value) for name, value in spec.variables.items()}
    captured = ", ".join(name for name in spec.variables if name not in spec.kept)
    note = f" (from this shell's environment: {captured})" if captured else ""
    directories = [*map(Path, spec.directories), site.file.parent]
    if site.manager == "launchd":
        files = [File(site.file, units.agent(spec, spec.variables), units.agent(spec, masked), note=note)]
        return Plan(site, (*directories, site.account.home / "Library" / "Logs"), tuple(files), spec.kept)
    text = units.unit(site, spec)
    files = [File(site.file, text, text, 0o644 if site.system else 0o600)]
    if spec.sandboxed and not site.system:
        drop_in = units.sandbox(spec)
        files.append(File(site.drop_in, drop_in, drop_in))
        directories.append(site.drop_in.parent)
    if spec.variables:
        texts = [units.environment_file(variables) for variables in (spec.variables, masked)]
        files.append(File(site.environment, texts[0], texts[1], note=note))
        directories.append(site.environment.parent)
    return Plan(site, tuple(directories), tuple(files), spec.kept)


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
            Command((*systemctl, "enable", unit), "start it by itself from now on"),
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
