"""The installed service, read from its files, whoever has written them. Looks and changes nothing."""

from __future__ import annotations

import os
import plistlib
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from assumed.aws import variables as aws_variables
from assumed.config import find
from assumed.doctor.service import TEMPORARY, Installed
from assumed.errors import ConfigError
from assumed.service.environment_file import read_environment_file

from .site import Site
from .unit_settings import Settings, assignments, expanded, program, settings, words

HOMES = ("/home", "/root", "/run/user")
_NOTHING = {"", "no", "off", "false", "0"}


def installed(site: Site, manager_variables: Callable[[], Mapping[str, str]]) -> Installed | None:
    """The service at this site; None where there is none. `manager_variables`: asks what its manager gives to all."""
    return _agent(site) if site.manager == "launchd" else _unit(site, manager_variables)


def unit_file(site: Site) -> Path | None:
    """The file that systemd takes the unit from; None where there is none."""
    places = [site.units] if site.system else [site.units, Path("/etc/systemd/user")]
    for place in places:
        if (place / site.unit).is_file():
            return place / site.unit
    template = site.units / "assumed@.service"
    wanted = site.units / "multi-user.target.wants" / site.unit
    return template if site.system and template.is_file() and wanted.is_symlink() else None


def taken_along(site: Site) -> dict[str, str]:
    """What the last install has taken along of its shell; empty where that cannot be read by us."""
    if site.manager == "launchd":
        agent = _agent(site)
        variables = (agent.variables if agent else None) or {}
    else:
        variables = read_environment_file(_text(site.environment) or "")
    return {name: value for name, value in variables.items() if aws_variables.is_carried(name)}


def _unit(site: Site, manager_variables: Callable[[], Mapping[str, str]]) -> Installed | None:
    file = unit_file(site)
    if file is None:
        return None
    account = site.account
    specifiers = {"h": str(account.home), "i": account.name, "u": account.name, "U": str(account.uid)}
    specifiers["t"] = f"/run/user/{account.uid}"
    said = settings(_texts([file, *_drop_ins(site, file)]))
    if site.system:
        specifiers["h"] = "/root"  # systemd.unit(5): the manager's, whatever User= says
    started = said.get("ExecStart") or [""]
    command = program(started[-1], specifiers)
    confined = site.system or _is_on(said, "PrivateUsers")
    variables = _variables(said, specifiers, manager_variables())
    return Installed(
        name=site.title,
        file=file,
        program=tuple(command),
        startable=bool(command) and os.access(command[0], os.X_OK),
        variables=variables,
        writable=_writable(said, specifiers) if confined else None,
        hidden=_hidden(said, specifiers) if confined else (),
        may_compile=not _is_on(said, "MemoryDenyWriteExecute"),
        passed_keys=any(
            value.startswith("aws-credentials")
            for key in ("LoadCredential", "LoadCredentialEncrypted")
            for value in said.get(key, [])
        ),
        config=_config(site, command, variables),
        again=site.again,
        restart=shlex.join([*(["sudo"] if site.system else []), *site.systemctl, "restart", site.unit]),
        logs=site.command("logs", "-n", "20"),
        drop=site.command("install", setting="NAME="),
    )


def _agent(site: Site) -> Installed | None:
    try:
        agent = plistlib.loads(site.file.read_bytes())
        words_ = [str(word) for word in agent["ProgramArguments"]]
        variables = {str(name): str(value) for name, value in agent.get("EnvironmentVariables", {}).items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, plistlib.InvalidFileException):
        return None
    if words_[:2] == ["/bin/sh", "-c"] and len(words_) > 2:
        words_ = shlex.split(words_[2].replace("$HOME", str(site.account.home)).removeprefix("exec "))
    return Installed(
        name=site.title,
        file=site.file,
        program=tuple(words_),
        startable=bool(words_) and os.access(words_[0], os.X_OK),
        variables=variables,
        writable=None,
        hidden=(),
        may_compile=True,
        passed_keys=False,
        config=_config(site, words_, variables),
        again=site.again,
        restart=f"launchctl kickstart -k {site.unit}",
        logs=site.command("logs", "-n", "20"),
        drop=site.command("install", setting="NAME="),
    )


def _config(site: Site, command: Sequence[str], variables: Mapping[str, str] | None) -> Path | None:
    """The configuration that the service keeps, as `assumed run` looks for it; None where that cannot be told."""
    options = [second for first, second in pairwise(command) if first == "--config"]
    options += [word.removeprefix("--config=") for word in command if word.startswith("--config=")]
    if variables is None and not options:
        return None
    try:
        return find(options[-1] if options else None, {**(variables or {}), "HOME": str(site.account.home)})
    except ConfigError:
        return None


def _drop_ins(site: Site, file: Path) -> list[Path]:
    """Those beside the unit, by name as systemd reads them; those of the template come first."""
    names = dict.fromkeys([*(["assumed@.service"] if site.system else []), file.name, site.unit])
    return [path for name in names for path in sorted((site.units / f"{name}.d").glob("*.conf"))]


def _texts(paths: Iterable[Path]) -> list[str]:
    return [text for path in paths if (text := _text(path)) is not None]


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None


def _variables(
    said: Settings, specifiers: Mapping[str, str], manager_variables: Mapping[str, str]
) -> dict[str, str] | None:
    found = {**manager_variables, **assignments(said.get("Environment", []), specifiers)}
    for value in said.get("EnvironmentFile", []):
        path = Path(expanded(value.removeprefix("-"), specifiers).replace("\\", ""))
        text = _text(path)
        if text is None and path.exists():
            return None  # the machine's own, for root alone
        found |= read_environment_file(text or "")
    return found


def _writable(said: Settings, specifiers: Mapping[str, str]) -> tuple[Path, ...] | None:
    if said.get("ProtectSystem", [""])[-1:] != ["strict"]:
        return None
    named = [word.lstrip("-+") for value in said.get("ReadWritePaths", []) for word in words(value, specifiers)]
    return tuple(Path(os.path.realpath(path)) for path in named)


def _hidden(said: Settings, specifiers: Mapping[str, str]) -> tuple[Path, ...]:
    found = list(TEMPORARY) if _is_on(said, "PrivateTmp") else []
    if said.get("ProtectHome", [""])[-1:] in (["yes"], ["true"], ["1"], ["on"], ["tmpfs"]):
        found += HOMES
    listed = (word for value in said.get("InaccessiblePaths", []) for word in words(value, specifiers))
    return tuple(Path(path) for path in [*found, *(word.lstrip("-+") for word in listed)])


def _is_on(said: Settings, key: str) -> bool:
    values = said.get(key) or [""]
    return values[-1].lower() not in _NOTHING
