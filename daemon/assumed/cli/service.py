"""`assumed service …`: the group, and what its commands share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from .app import LazyGroup, config_option

SUBCOMMANDS = {
    "install": ("service_install:install_command", "Install the service and start it; or bring it up to date."),
    "uninstall": ("service_uninstall:uninstall_command", "Stop the service and remove it."),
    "status": ("service_status:status_command", "Show how the service is installed and whether it runs."),
    "logs": ("service_status:logs_command", "Show the service's log."),
    "print": ("service_install:print_command", "Print the files that install would write."),
}


class ServiceGroup(LazyGroup):
    """The subcommands, each imported when it is called for."""

    known = SUBCOMMANDS


@click.group(cls=ServiceGroup)
@config_option
@click.pass_context
def service(ctx: click.Context, config_path: Path | None) -> None:
    """The daemon as a service: a systemd user unit on Linux, a launchd agent on macOS.

    It starts at boot (Linux) or at login (macOS), restarts on failure, and picks up configuration changes.

    \b
    Examples:
      assumed service install
      assumed service install --dry-run    show every file and command, change nothing
      sudo assumed service install --system --user alice
      assumed service logs --follow
    """
    ctx.obj = config_path


def options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What every subcommand takes: `--config` and `--system --user NAME`."""
    user = click.option("--user", metavar="NAME", help="With --system: the account whose roles are kept.")
    system = click.option(
        "--system", is_flag=True, help="A unit of the machine's systemd that runs as NAME (root only)."
    )
    return config_option(system(user(function)))


def chosen(
    config_path: Path | None, system: bool, user: str | None, *, needs_root: bool = True, may_be_gone: bool = False
) -> Any:
    """The service that the options name. Raises click.UsageError for a contradiction, AssumedError.

    `may_be_gone`: whether an account may have been deleted, as long as there is a record of its service.
    """
    from assumed.service.choice import Choice
    from assumed.service.site import NoAccount, typed

    if system and not user:
        raise click.UsageError("--system needs --user NAME: the account whose roles are kept")
    if user is not None and not system:
        raise click.UsageError("--user NAME needs --system; without both, the service is your own")
    if system and needs_root and os.geteuid() != 0:
        raise click.UsageError(f"--system needs root; run: {typed(sys.argv[1:], as_root=True)}")
    choice = Choice(config_path, user)
    try:
        _ = choice.account
    except NoAccount as error:
        choice = replace(choice, gone=True)
        if user is None or not may_be_gone or not choice.site.record.exists():
            raise click.UsageError(str(error)) from None
    return choice


def report(severity: Any, subject: str, message: str, advice: str = "") -> None:
    """A message with its mark on stderr, and the next step under it."""
    from assumed.model import Finding

    from .check import finding_lines
    from .terminal import write

    write(finding_lines(Finding(severity, subject, message, advice)), sys.stderr)


def counted(number: int, noun: str) -> str:
    """`1 role`, `2 roles`."""
    return f"{number} {noun}{'s' * (number != 1)}"
