"""What makes an installed service differ from this shell, for `assumed check` and `assumed service status`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assumed import __version__

if TYPE_CHECKING:
    from assumed.config import Config
    from assumed.config.service import Installed
    from assumed.edge.surroundings import Finding

    from .facts import Choice


def services(config_path: Path | None) -> list[tuple[Choice, Installed]]:
    """Our own service, and the machine's for our account, as far as they are installed."""
    from assumed.core.errors import AssumedError

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


def service_of(choice: Choice) -> Installed | None:
    """The service of one site; None where none is installed. Raises AssumedError."""
    from assumed.edge.service.found import installed

    return installed(choice.site, choice.manager.variables)


def about(services: Sequence[tuple[Choice, Installed]], config: Config, status: dict[str, Any] | None) -> list[Finding]:
    """What is to be said of these services, and of a daemon that is none of them."""
    from assumed.config.service import service, version
    from assumed.edge.surroundings import started_programs

    found: list[Finding] = []
    for choice, installed in services:
        real = Path(os.path.realpath(config.credentials_file))
        found += service(installed, config, choice.environ, real, started_programs(config, choice.environ))
    if status is None or not status.get("daemon"):
        return found
    running = str(status["daemon"]["version"])
    if services:
        found += version(services[0][1], running, __version__)
    elif running != __version__:
        found.append(_old_daemon(status["daemon"]))
    return found


def _old_daemon(daemon: dict[str, Any]) -> Finding:
    """One that no service manager starts: a terminal's, a container's."""
    from assumed.edge.surroundings import Finding

    message = f"is assumed {daemon['version']}, while {__version__} is installed"
    return Finding("warning", f"the running daemon (pid {daemon['pid']})", message, "stop it, and start it again")
