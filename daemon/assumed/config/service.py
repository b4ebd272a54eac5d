"""What an installed service does differently from this shell. Judgements on facts that were looked up elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from assumed.core import carried

from .around import Finding, Profiles
from .model import Config
from .report import listed

TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - as names, to compare with


@dataclass(frozen=True, slots=True)
class Installed:
    """A service as its files describe it, whoever wrote them."""

    name: str
    """`assumed.service`."""
    file: Path
    program: tuple[str, ...]
    startable: bool
    """Whether that program is there and may be started."""
    variables: Mapping[str, str] | None = field(repr=False)
    """Its environment; None where that cannot be read by us."""
    writable: tuple[Path, ...] | None
    """Where it may write, links resolved; None: wherever its user may."""
    hidden: tuple[Path, ...]
    """What it cannot see."""
    may_compile: bool
    """Whether what it starts may write code and run it."""
    passed_keys: bool
    """Whether systemd passes it an AWS credentials file (`LoadCredential=aws-credentials:…`)."""
    again: str
    """The command that installs it anew."""
    restart: str
    """The command that starts it again."""


def service(
    installed: Installed, config: Config, environ: Mapping[str, str], real: Path, compilers: list[str]
) -> Iterator[Finding]:
    """What in the service's files keeps it from what it works like here.

    `real`: the credentials file, links resolved; `compilers`: what of the configuration may compile, in words.
    """
    if not installed.startable:
        message = f"starts {installed.program[0] if installed.program else 'nothing'}, which is not there"
        yield Finding("error", installed.name, message, installed.again)
    yield from _environment(installed, config, environ)
    yield from _keys(installed, config)
    yield from _places(installed, config, real)
    if compilers and not installed.may_compile:
        message = (
            f"sets MemoryDenyWriteExecute=yes, under which programs of node, Java or .NET fail, and starts "
            f"{listed(compilers, 'and')}"
        )
        yield Finding("warning", installed.name, message, f"{installed.again} (or set it to no in a drop-in)")


def version(installed: Installed, running: str, here: str) -> Iterator[Finding]:
    """An upgrade does not stop the old daemon."""
    if running != here:
        message = f"runs assumed {running}, while {here} is installed"
        yield Finding("warning", installed.name, message, f"{installed.restart}, or: {installed.again}")


def _environment(installed: Installed, config: Config, environ: Mapping[str, str]) -> Iterator[Finding]:
    if installed.variables is None:
        return
    for name, value in carried.carried(environ).items():
        has = installed.variables.get(name)
        if has == value:
            continue
        here = carried.shown(name, value)
        there = "not for the service" if has is None else f"but {carried.shown(name, has)} for the service"
        yield Finding("warning", f"${name}", f"is {here} here, {there}", f"{installed.again} takes it along")
    named = installed.variables.get(carried.CONFIG)
    if named and Path(named) != config.path:
        message = f"keeps the roles of {named}, not those of {config.path}"
        yield Finding("warning", installed.name, message, f"{installed.again}, with --config if it is another one")


def _keys(installed: Installed, config: Config) -> Iterator[Finding]:
    asking = [role.profile for role in config.enabled() if role.credential_source == "Environment"]
    if asking and installed.variables is not None and "AWS_ACCESS_KEY_ID" not in installed.variables:
        message = f"has no AWS_ACCESS_KEY_ID in its environment, by which {listed(asking[:3], 'and')} would be signed"
        advice = "use a source_profile, whose keys systemd can pass: LoadCredential=aws-credentials:FILE in a drop-in"
        yield Finding("error", installed.name, message, advice)


def _places(installed: Installed, config: Config, real: Path) -> Iterator[Finding]:
    for path in [config.path, *([Path(installed.program[0])] if installed.program else [])]:
        if any(path.is_relative_to(hidden) for hidden in installed.hidden):
            message = f"cannot see {path}: its unit hides that directory"
            yield Finding(
                "error", installed.name, message, f"move it into your home directory, then: {installed.again}"
            )
    written = {"the credentials file": real.parent}
    if config.metrics_textfile is not None:
        written["metrics_textfile"] = config.metrics_textfile.parent
    for what, directory in written.items():
        if any(directory.is_relative_to(hidden) for hidden in installed.hidden):
            message = f"writes {what} into a {directory} of its own, which nobody else sees"
            yield Finding("error", installed.name, message, "name a directory that is not temporary")
        elif installed.writable is not None and not any(map(directory.is_relative_to, installed.writable)):
            message = f"may not write in {directory}, where {what} lies"
            yield Finding("error", installed.name, message, f"{installed.again} (or name it in ReadWritePaths=)")


def compilers(config: Config, credentials: Profiles, aws_config: Profiles) -> list[str]:
    """What the daemon starts for this configuration that may compile at run time, in words."""
    found: dict[str, None] = {}
    for role in config.enabled():
        name, seen = role.source_profile if role.parent is None else None, set[str]()
        while name is not None and name not in seen:
            seen.add(name)
            values = {**aws_config.get(name, {}), **credentials.get(name, {})}
            if "credential_process" in values:
                found[f"the credential_process of {name}"] = None
            name = values.get("source_profile")
    return [*found, *(f"the hook {name}" for name in config.hooks.commands())]
