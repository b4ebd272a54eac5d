"""What an installed service does differently from this shell. Judgements on facts that were looked up elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from assumed.aws import variables as aws_variables
from assumed.config.model import Config
from assumed.config.report import listed
from assumed.model import Finding

from .aws_files import Profiles
from .variables import Asked, differences, signing

CALM = re.compile(r"|inactive|deactivating|not running, last exit code (?:0|\(never exited\)|unknown)")
"""What a manager says of a service that somebody has stopped or not started, which is his business."""
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
    config: Path | None
    """The configuration that it keeps; None where that cannot be told."""
    again: str
    """The command that installs it anew."""
    restart: str
    """The command that starts it again."""
    logs: str
    """The command that shows what it has said."""
    drop: str
    """The command that installs it without the variable NAME."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a configuration asks of whoever keeps it, as it was looked up in this shell."""

    home: Path
    """Of the account, links resolved."""
    real: Path
    """The credentials file, links resolved."""
    socket: Path
    """The daemon's control socket."""
    asked: Asked
    """Of its environment."""
    compilers: tuple[str, ...] = ()
    """What it starts that may compile, in words."""
    only_here: Mapping[str, str] = field(default_factory=dict)
    """Hook → the program that is found by this shell's $PATH and not by the service's."""


def service(installed: Installed, config: Config, environ: Mapping[str, str], needs: Needs) -> Iterator[Finding]:
    """What in the service's files keeps it from what it works like here."""
    if not installed.startable:
        message = f"starts {installed.program[0] if installed.program else 'nothing'}, which is not there"
        yield Finding("error", installed.name, message, installed.again)
    if installed.config not in (None, config.path):
        message = f"keeps the roles of {installed.config}, not those of {config.path}"
        yield Finding("warning", installed.name, message, f"{installed.again}, with --config if it is another one")
        return  # the rest is for whoever checks that configuration
    yield from _environment(installed, environ, needs)
    yield from _keys(installed, config)
    yield from _places(installed, config, needs)
    yield from too_wide(installed, needs.real, needs.home)
    yield from _started(installed, needs)
    for hook, program in needs.only_here.items():
        message = f"{program} is in $PATH here, not in that of {installed.name}"
        advice = f"write the whole path of the program, or: {installed.again}, which takes $PATH along"
        yield Finding("warning", f"hook {hook}", message, advice)


def standing(installed: Installed, said: str, *, running: bool, loops: bool) -> Iterator[Finding]:
    """A service that does not run, or ends `loops` again and again. `said`: the manager's own words about that."""
    if running:
        return
    message = said if loops else "is installed and does not run" + f" ({said})" * bool(said)
    if CALM.fullmatch(said):
        # launchd has forgotten what has been taken out (bootout), and says nothing of it
        yield Finding("warning", installed.name, message, installed.restart if said else installed.again)
    else:
        yield Finding("error", installed.name, message, f"what it said: {installed.logs}")


def _started(installed: Installed, needs: Needs) -> Iterator[Finding]:
    """Whether hooks and helpers get what they may need."""
    closed = [str(path) for path in installed.hidden if str(path) not in TEMPORARY]
    wrong = [] if installed.may_compile else ["sets MemoryDenyWriteExecute=yes, under which node, Java or .NET fail"]
    wrong += [f"hides {closed[0]} and more"] if closed else []
    if needs.compilers and wrong:
        message = f"starts {listed(needs.compilers, 'and')}, but {' and '.join(wrong)}"
        yield Finding("warning", installed.name, message, f"{installed.again} (or set it in a drop-in)")


def too_wide(installed: Installed, real: Path, home: Path) -> Iterator[Finding]:
    """Replacing a file is writing in its directory: one that lies in / or in the home itself opens all of that."""
    if real.parent in (Path("/"), home) and installed.writable is not None and real.parent in installed.writable:
        message = f"may write in all of {real.parent}, for the credentials file lies in it directly"
        advice = f"name a credentials_file in a directory of its own, such as {home}/.aws/credentials"
        yield Finding("warning", installed.name, message, advice)


def version(installed: Installed, running: str, here: str) -> Iterator[Finding]:
    """An upgrade does not stop the old daemon."""
    if running != here:
        message = f"runs assumed {running}, while {here} is installed"
        yield Finding("warning", installed.name, message, f"{installed.restart}, or: {installed.again}")


def _environment(installed: Installed, environ: Mapping[str, str], needs: Needs) -> Iterator[Finding]:
    if installed.variables is None:
        return
    there_alone = []
    for one in differences(needs.asked, environ, installed.variables):
        if one.here is None:
            there_alone.append(f"{one.name}={aws_variables.shown(one.name, one.there or '')}")
            continue
        here = aws_variables.shown(one.name, one.here)
        there = "not for the service" if one.there is None else f"but {aws_variables.shown(one.name, one.there)} for it"
        yield Finding("warning", f"${one.name}", f"is {here} here, {there}", f"{installed.again} takes it along")
    if there_alone:
        message = f"has {listed(there_alone, 'and')}, which this shell has not"
        yield Finding("warning", installed.name, message, f"to drop one: {installed.drop}")


def _keys(installed: Installed, config: Config) -> Iterator[Finding]:
    asking = [role.profile for role in config.enabled() if role.credential_source == "Environment"]
    if asking and installed.variables is not None and "AWS_ACCESS_KEY_ID" not in installed.variables:
        message = f"has no AWS_ACCESS_KEY_ID in its environment, by which {listed(asking[:3], 'and')} would be signed"
        advice = "use a source_profile, whose keys systemd can pass: LoadCredential=aws-credentials:FILE in a drop-in"
        yield Finding("error", installed.name, message, advice)


def _places(installed: Installed, config: Config, needs: Needs) -> Iterator[Finding]:
    for path in [config.path, *([Path(installed.program[0])] if installed.program else [])]:
        if any(path.is_relative_to(hidden) for hidden in installed.hidden):
            message = f"cannot see {path}: its unit hides that directory"
            yield Finding(
                "error", installed.name, message, f"move it into your home directory, then: {installed.again}"
            )
    elsewhere, here = "name a directory that is not temporary", f"{installed.again} (or name it in ReadWritePaths=)"
    written = [("the credentials file", needs.real.parent, elsewhere, here)]
    if config.metrics_textfile is not None:
        written.append(("metrics_textfile", config.metrics_textfile.parent, elsewhere, here))
    if not needs.socket.is_relative_to(needs.real.parent):  # whose path would be too long for a socket
        shared = f"{installed.again} (by hand: PrivateTmp=no and ReadWritePaths=/tmp)"
        written.append(("the socket by which every command reaches it", needs.socket.parents[1], shared, shared))
    for what, directory, if_hidden, if_closed in written:
        if any(directory.is_relative_to(hidden) for hidden in installed.hidden):
            message = f"writes {what} into a {directory} of its own, which nobody else sees"
            yield Finding("error", installed.name, message, if_hidden)
        elif installed.writable is not None and not any(map(directory.is_relative_to, installed.writable)):
            message = f"may not write in {directory}, where {what} lies"
            yield Finding("error", installed.name, message, if_closed)


def compilers(config: Config, credentials: Profiles, aws_config: Profiles) -> list[str]:
    """What the daemon starts for this configuration that may compile at run time, in words."""
    found: dict[str, None] = {}
    for role in config.enabled():
        for name, values in signing(role.source_profile if role.parent is None else None, credentials, aws_config):
            if "credential_process" in values:
                found[f"the credential_process of {name}"] = None
    return [*found, *(f"the hook {name}" for name in config.hooks.commands())]
