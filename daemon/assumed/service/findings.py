"""What makes an installed service differ from this shell, for `assumed check` and `assumed service status`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assumed import __version__

if TYPE_CHECKING:
    from assumed.config import Config
    from assumed.doctor.service import Installed, Needs
    from assumed.model import Finding

    from .facts import Choice


def services(config_path: Path | None) -> list[tuple[Choice, Installed]]:
    """Our own service, and the machine's for our account, as far as they are installed."""
    from assumed.errors import AssumedError

    from .facts import Choice

    found = []
    try:
        choices = [Choice(config_path), Choice(config_path, user=Choice(None).account.name)]
        for choice in choices:
            service = service_of(choice)
            if service is not None:
                found.append((choice, service))
    except AssumedError:
        pass  # this system has no (such) service manager
    return found


def others(choice: Choice) -> list[Finding]:
    """What is installed beside this choice for the same person, and how to look at it."""
    from assumed.model import Finding

    found: list[Finding] = []
    for other, installed in services(choice.config_path):
        if other.site.unit != choice.site.unit:
            words = ["assumed", "service", "status", *(["--system", "--user", other.user] if other.user else [])]
            found.append(Finding("ok", installed.name, "is installed", shlex.join(words)))
    return found


def service_of(choice: Choice) -> Installed | None:
    """The service of one site; None where none is installed. Raises AssumedError."""
    from .found import installed

    return installed(choice.site, choice.manager.variables)


def about(services: Sequence[tuple[Choice, Installed]], config: Config, status: dict[str, Any] | None) -> list[Finding]:
    """What is to be said of these services, and of a daemon that is none of them."""
    from assumed.doctor.service import service, version

    found: list[Finding] = []
    for choice, installed in services:
        found += service(installed, config, choice.environ, needs(choice, installed, config))
    if status is None or not status.get("daemon"):
        return found
    running = str(status["daemon"]["version"])
    keeping = [installed for _, installed in services if installed.config in (None, config.path)]
    if keeping:
        found += version(keeping[0], running, __version__)
    elif running != __version__:
        found.append(_old_daemon(status["daemon"]))
    return found


def needs(choice: Choice, installed: Installed, config: Config) -> Needs:
    """What this configuration needs of this service."""
    from assumed.doctor.inspect import asked_of_environment, started_programs
    from assumed.doctor.named import found_only_here
    from assumed.doctor.service import Needs
    from assumed.paths import socket_path, state_dir

    from .program import PLAIN_PATH

    here, there = choice.environ.get("PATH", os.defpath), installed.variables
    real, home = real_places(choice, config)
    return Needs(
        home=home,
        real=real,
        socket=socket_path(state_dir(config.credentials_file)),
        asked=asked_of_environment(config, choice.environ),
        compilers=tuple(started_programs(config, choice.environ)),
        only_here={} if there is None else found_only_here(config, here, there.get("PATH") or PLAIN_PATH),
    )


def real_places(choice: Choice, config: Config) -> tuple[Path, Path]:
    """The credentials file and the account's home, links resolved."""
    return Path(os.path.realpath(config.credentials_file)), Path(os.path.realpath(choice.account.home))


def asleep(services: Sequence[tuple[Choice, Installed]]) -> list[Finding]:
    """Those of these services that do not run, by the word of their manager.

    Silent where systemd knows nothing of it, which may be a manager that does not answer (su, cron).
    """
    from assumed.doctor.service import standing

    found: list[Finding] = []
    for choice, installed in services:
        seen = choice.manager.seen()
        if seen.loaded or choice.site.manager == "launchd":
            found += standing(installed, seen.said, running=seen.running, loops=seen.loops)
    return found


def _old_daemon(daemon: dict[str, Any]) -> Finding:
    """One that no service manager starts: a terminal's, a container's."""
    from assumed.model import Finding

    message = f"is assumed {daemon['version']}, while {__version__} is installed"
    return Finding("warning", f"the running daemon (pid {daemon['pid']})", message, "stop it, and start it again")
