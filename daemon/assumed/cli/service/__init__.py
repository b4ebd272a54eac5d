"""`assumed service …`: the daemon as a service of systemd or launchd."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from assumed.cli.app import LazyGroup, config_option

SUBCOMMANDS = {
    "install": ("service.install:install_command", "Install the service and start it; or bring it up to date."),
    "uninstall": ("service.remove:uninstall_command", "Stop the service and remove it."),
    "status": ("service.look:status_command", "Show how the service is installed and whether it runs."),
    "logs": ("service.look:logs_command", "Show the service's log."),
    "print": ("service.show:print_command", "Print the files that install would write."),
}


class ServiceGroup(LazyGroup):
    """The subcommands, each imported when it is called for."""

    known = SUBCOMMANDS


@click.group(cls=ServiceGroup)
@config_option
@click.pass_context
def service(ctx: click.Context, config_path: Path | None) -> None:
    """The daemon as a service: a systemd user unit on Linux, a launchd agent on macOS.

    Installed once, it is started with the machine (Linux) or at login (macOS), is started again if it ever
    fails, and takes a changed configuration up by itself.

    \b
    Examples:
      assumed service install
      assumed service install --dry-run      every file and command, nothing done
      sudo assumed service install --system --user alice
      assumed service logs --follow
    """
    ctx.obj = config_path


def system_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--system --user NAME`: the machine's systemd, instead of the user's own."""
    function = click.option(
        "--user", "user", metavar="NAME", help="With --system: the account whose roles are kept (~/.aws is NAME's)."
    )(function)
    return click.option(
        "--system", is_flag=True, help="A unit of the machine's systemd, as root installs it, that runs as NAME."
    )(function)


def options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What every subcommand takes."""
    return config_option(system_options(function))


def chosen(config_path: Path | None, system: bool, user: str | None, *, needs_root: bool = True) -> Any:
    """The service that the options mean. Raises click.UsageError for a contradiction, AssumedError."""
    import os

    from .facts import Choice

    if system and user is None:
        raise click.UsageError("--system needs --user NAME: the account whose roles are kept")
    if user is not None and not system:
        raise click.UsageError("--user NAME needs --system; without both, the service is your own")
    if system and needs_root and os.geteuid() != 0:
        raise click.UsageError(f"a unit of the machine's systemd is root's to change; try: sudo {_typed()}")
    return Choice(config_path, user)


def _typed() -> str:
    import shlex
    import sys

    return shlex.join(["assumed", *sys.argv[1:]])
