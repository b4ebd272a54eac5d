"""What keeps an installed service from working as this shell does, for `assumed check` and `assumed service status`."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assumed import __version__
from assumed.aws.variables import shown
from assumed.config.model import Config
from assumed.config.report import listed
from assumed.errors import AssumedError
from assumed.model import Finding
from assumed.paths import socket_path, state_dir

from .choice import Choice
from .environment import differences, started_programs
from .manager import TEMPORARY, Installed, State
from .site import PLAIN_PATH

Services = list[tuple[Choice, Installed]]
# A service that a person has stopped or not started.
_STOPPED = re.compile(r"|inactive|deactivating|not running, last exit code (?:0|\(never exited\)|unknown)")


def services(config_path: Path | None) -> Services:
    """Our own service and the machine's for our account, as far as they are installed."""
    found: Services = []
    with contextlib.suppress(AssumedError):  # this system has no (such) service manager
        for user in (None, Choice(config_path).account.name):
            choice = Choice(config_path, user)
            service = choice.manager.installed()
            found += [(choice, service)] if service else []
    return found


def about(services: Services, config: Config, status: dict[str, Any] | None) -> list[Finding]:
    """Findings about these services, and about a daemon that belongs to none of them."""
    found = [finding for choice, installed in services for finding in _service(choice, installed, config)]
    if status is None or not status.get("daemon") or status["daemon"]["version"] == __version__:
        return found
    pid, running = status["daemon"]["pid"], str(status["daemon"]["version"])
    site = next((one.site for _, one in services if one.config in (None, config.path)), None)
    subject, verb, advice = f"the running daemon (pid {pid})", "is", "stop it, and start it again"
    if site is not None:
        subject, verb, advice = site.title, "runs", f"{site.restart}, or: {site.command('install')}"
    return [*found, Finding("warning", subject, f"{verb} assumed {running}; {__version__} is installed", advice)]


def stopped(services: Services) -> list[Finding]:
    """Those of these services that do not run, in their manager's words."""
    known = ((choice, installed) for choice, installed in services if installed.program is not None)
    return [finding for choice, installed in known for finding in not_running(installed, choice.manager.state())]


def not_running(installed: Installed, state: State) -> Iterator[Finding]:
    """A service that does not run."""
    site, detail = installed.site, state.detail
    message = "is installed but not running" + f" ({detail})" * bool(detail)
    if state.running:
        return
    if _STOPPED.fullmatch(detail):  # launchd forgets an agent after bootout, and reports nothing
        yield Finding("warning", site.title, message, site.restart if detail else site.command("install"))
    else:
        yield Finding("error", site.title, message, f"see its log: {site.command('logs', '-n', '20')}")


def _service(choice: Choice, installed: Installed, config: Config) -> Iterator[Finding]:
    title, again = installed.site.title, installed.site.command("install")
    if installed.program is None:
        message = f"{installed.file} exists, but no service manager answers here: its state and settings are unknown"
        yield Finding("warning", title, message, "run `assumed check` in a login session of this user")
        return
    if not os.access(installed.program, os.X_OK):
        yield Finding("error", title, f"starts {installed.program or 'nothing'}, which does not exist", again)
    if installed.config not in (None, config.path):
        message = f"uses {installed.config}, not {config.path}"
        yield Finding("warning", title, message, f"{again}, with --config for another configuration")
        return
    yield from _environment(choice, installed, config)
    yield from _places(installed, config)
    yield from _started(choice, installed, config)


def _environment(choice: Choice, installed: Installed, config: Config) -> Iterator[Finding]:
    """Variables that differ, keys that are missing, hooks that are not found."""
    title, again = installed.site.title, installed.site.command("install")
    if installed.variables is None:
        return
    extra = []
    for name, here, there in differences(config, choice.environ, installed.variables):
        if here is None:
            extra.append(f"{name}={shown(name, there or '')}")
            continue
        service = "not set for the service" if there is None else f"{shown(name, there)} for the service"
        yield Finding("warning", f"${name}", f"is {shown(name, here)} here, {service}", f"to capture it: {again}")
    if extra:
        advice = f"to drop one: {installed.site.command('install', setting='NAME=')}"
        yield Finding("warning", title, f"has {listed(extra, 'and')}, which this shell has not", advice)
    asking = [role.profile for role in config.enabled() if role.credential_source == "Environment"]
    if asking and "AWS_ACCESS_KEY_ID" not in installed.variables:
        message = f"has no AWS_ACCESS_KEY_ID in its environment, which {listed(asking[:3], 'and')} would be signed with"
        advice = "use a source_profile, whose keys systemd can pass: LoadCredential=aws-credentials:FILE in a drop-in"
        yield Finding("error", title, message, advice)
    here, there = choice.environ.get("PATH", os.defpath), installed.variables.get("PATH") or PLAIN_PATH
    for hook, program in _found_only_here(config, here, there).items():
        advice = f"write the program's whole path, or capture $PATH: {again}"
        yield Finding("warning", f"hook {hook}", f"{program} is in $PATH here, not in that of {title}", advice)


def _places(installed: Installed, config: Config) -> Iterator[Finding]:
    """What its sandbox hides, and where it may not write."""
    title, again = installed.site.title, installed.site.command("install")

    def is_hidden(path: Path) -> bool:
        return any(map(path.is_relative_to, installed.hidden))

    for path in filter(is_hidden, [config.path, Path(installed.program or "/")]):
        advice = f"move it into your home directory, then: {again}"
        yield Finding("error", title, f"cannot see {path}: its unit hides that directory", advice)
    real, home = (Path(os.path.realpath(path)) for path in (config.credentials_file, installed.site.account.home))
    socket = socket_path(state_dir(config.credentials_file))
    elsewhere, here = "name a directory that is not temporary", f"{again} (or name it in ReadWritePaths=)"
    written = [("the credentials file", real.parent, elsewhere, here)]
    if config.metrics_textfile is not None:
        written.append(("metrics_textfile", config.metrics_textfile.parent, elsewhere, here))
    if not socket.is_relative_to(real.parent):  # whose path would be too long for a socket
        shared = f"{again} (by hand: PrivateTmp=no and ReadWritePaths=/tmp)"
        written.append(("its control socket", socket.parents[1], shared, shared))
    for what, directory, if_hidden, if_closed in written:
        if is_hidden(directory):
            yield Finding("error", title, f"writes {what} into a private {directory}", if_hidden)
        elif installed.writable is not None and not any(map(directory.is_relative_to, installed.writable)):
            yield Finding("error", title, f"may not write in {directory}, the directory of {what}", if_closed)
    # A file is replaced by writing in its directory: one directly in / or in the home opens all of that.
    if real.parent in (Path("/"), home) and real.parent in (installed.writable or ()):
        message = f"may write in all of {real.parent}, as the credentials file lies directly in it"
        advice = f"name a credentials_file in a directory of its own, such as {home}/.aws/credentials"
        yield Finding("warning", title, message, advice)


def _started(choice: Choice, installed: Installed, config: Config) -> Iterator[Finding]:
    """Whether hooks and helpers get what they may need."""
    closed = [str(path) for path in installed.hidden if str(path) not in TEMPORARY]
    wrong = [] if installed.may_compile else ["sets MemoryDenyWriteExecute=yes, under which node, Java or .NET fail"]
    wrong += [f"hides {closed[0]} and more"] if closed else []
    programs = started_programs(config, choice.environ)
    if programs and wrong:
        message = f"starts {listed(programs, 'and')}, but {' and '.join(wrong)}"
        advice = f"{installed.site.command('install')} (or change it in a drop-in)"
        yield Finding("warning", installed.site.title, message, advice)


def _found_only_here(config: Config, here: str, there: str) -> dict[str, str]:
    """Hook → its program, where that is found by the $PATH `here` and not by the one `there`."""
    named = {hook: program for hook, (program, *_) in config.hooks.commands().items() if "/" not in program}
    return {
        hook: program
        for hook, program in named.items()
        if shutil.which(program, path=here) and not shutil.which(program, path=there)
    }
