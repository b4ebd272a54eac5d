"""`assumed service …`: the daemon as a service of systemd or launchd."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .app import LazyGroup, config_option

SUBCOMMANDS = {
    "install": ("service_install:install_command", "Install the service and start it; or bring it up to date."),
    "uninstall": ("service_uninstall:uninstall_command", "Stop the service and remove it."),
    "status": ("service_status:status_command", "Show how the service is installed and whether it runs."),
    "logs": ("service_status:logs_command", "Show the service's log."),
    "print": ("service_print:print_command", "Print the files that install would write."),
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


def chosen(
    config_path: Path | None, system: bool, user: str | None, *, needs_root: bool = True, may_be_gone: bool = False
) -> Any:
    """The service that the options mean. Raises click.UsageError for a contradiction, AssumedError.

    `may_be_gone`: whether an account that has been deleted will do, as long as there is a record of its service.
    """
    import os
    from dataclasses import replace

    from assumed.service.facts import Choice
    from assumed.service.site import NoAccount

    if system and not user:
        raise click.UsageError("--system needs --user NAME: the account whose roles are kept")
    if user is not None and not system:
        raise click.UsageError("--user NAME needs --system; without both, the service is your own")
    if system and needs_root and os.geteuid() != 0:
        raise click.UsageError(f"a unit of the machine's systemd is root's to change; try: {_by_root()}")
    choice = Choice(config_path, user)
    try:
        _ = choice.account
    except NoAccount as error:
        choice = replace(choice, gone=True)
        if user is None or not may_be_gone or not choice.site.record.exists():
            raise click.UsageError(str(error)) from None
    return choice


def _by_root() -> str:
    import sys

    from assumed.service.program import typed

    return typed(sys.argv[1:], as_root=True)
