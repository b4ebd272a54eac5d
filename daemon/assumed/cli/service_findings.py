"""What makes an installed service differ from this shell, for `assumed check` and `assumed service status`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assumed import __version__

if TYPE_CHECKING:
    from assumed.config import Config
    from assumed.edge.surroundings import Finding

    from .service_facts import Choice


def everywhere(config: Config, status: dict[str, Any] | None) -> list[Finding]:
    """About our own service, and the machine's for our account, as far as they are installed."""
    from assumed.core.errors import AssumedError

    from .service_facts import Choice

    found: list[Finding] = []
    for choice in (Choice(config.path), Choice(config.path, user=Choice(None).account.name)):
        try:
            found += of_site(choice, config, status)
        except AssumedError:
            continue  # on this system there is no such service
    if not found and status is not None and str(status["daemon"]["version"]) != __version__:
        found.append(_old_daemon(status["daemon"]))
    return found


def _old_daemon(daemon: dict[str, Any]) -> Finding:
    """One that no service manager starts: a terminal's, a container's."""
    from assumed.edge.surroundings import Finding

    message = f"is assumed {daemon['version']}, while {__version__} is installed"
    return Finding("warning", f"the running daemon (pid {daemon['pid']})", message, "stop it, and start it again")


def of_site(choice: Choice, config: Config, status: dict[str, Any] | None) -> list[Finding]:
    """About the service of one site; nothing where none is installed. Raises AssumedError."""
    from assumed.config.service import service, version
    from assumed.edge.service.found import installed
    from assumed.edge.surroundings import started_programs

    service_ = installed(choice.site, {})
    if service_ is None:
        return []
    if service_.variables is not None:
        service_ = installed(choice.site, choice.manager.variables()) or service_
    real = Path(os.path.realpath(config.credentials_file))
    found = list(service(service_, config, choice.environ, real, started_programs(config, choice.environ)))
    if status is not None and status.get("daemon"):
        found += version(service_, str(status["daemon"]["version"]), __version__)
    return found
