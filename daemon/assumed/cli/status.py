"""`assumed status`: every role, once or again and again."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import click

from .app import FAILING, NO_DAEMON, NOT_RUNNING, OK, config_option, say
from .health import is_healthy
from .place import locate
from .render import render
from .terminal import terminal_of, write


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="The whole document, for scripts; its keys only grow.")
@click.option("--all", "show_all", is_flag=True, help="A line for each role, in the configuration's order.")
@click.option("--watch", is_flag=True, help="Look again every second, until q or Ctrl-C.")
def status(config_path: Path | None, as_json: bool, show_all: bool, watch: bool) -> int:
    """Show every role: time left, next renewal, last error in words.

    Roles that need somebody come first; those of one source that fail alike are one line with their number.

    The state is what a reader of the profile gets, read from the disk. Exit status 1 when a role is not
    delivered, expired, needs a login, or is failing with less than 15 minutes (or 25 %) left, or when the
    daemon runs but does not answer; 3 when it is not running. In the last two cases the stored sessions
    are shown.

    \b
    Examples:
      assumed status
      assumed status --watch
      assumed status --json | jq -r '.roles[] | select(.state != "fresh") | .profile'
    """
    if watch:
        from .watch import watch as look_on

        return look_on(config_path, as_json)
    document = locate(config_path).document()
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        write(render(document, time.time(), terminal_of(sys.stdout), show_all))
    if document.get("daemon_error"):
        say(document["daemon_error"])
        return FAILING
    if document["daemon"] is None:
        say(NO_DAEMON)
        return NOT_RUNNING
    return OK if is_healthy(document) else FAILING
