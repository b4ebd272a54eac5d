"""`assumed status`: every role, once or again and again."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from .app import FAILING, NOT_RUNNING, OK, config_option, say
from .health import is_healthy
from .place import locate
from .render import render
from .terminal import is_smart, terminal_of, write

PERIOD = 1.0
"""Seconds between two looks on a terminal."""
PLAIN_PERIOD = 10.0
"""The same where nothing can be redrawn, and every look adds lines."""
CLEAR, HOME, END_OF_LINE, END_OF_SCREEN = "\x1b[2J", "\x1b[H", "\x1b[K", "\x1b[J"


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="The whole document, for scripts; its keys only grow.")
@click.option("--watch", is_flag=True, help="Look again every second, until Ctrl-C.")
def status(config_path: Path | None, as_json: bool, watch: bool) -> int:
    """Show every role: time left, next renewal, last error in words.

    The state is what a reader of the profile gets, read from the disk. Exit status 1 when a role is not
    delivered, expired, needs a login, or is failing with less than 15 minutes (or 25 %) left; 3 when the
    daemon is not running: then the stored sessions are shown.

    \b
    Examples:
      assumed status
      assumed status --watch
      assumed status --json | jq -r '.roles[] | select(.state != "fresh") | .profile'
    """
    if watch:
        _watch(config_path, as_json)
    document = locate(config_path).document()
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        write(render(document, time.time(), terminal_of(sys.stdout)))
    if document["daemon"] is None:
        say("the daemon is not running; start it with `assumed run`")
        return NOT_RUNNING
    return OK if is_healthy(document) else FAILING


def _watch(config_path: Path | None, as_json: bool) -> None:
    """Look until Ctrl-C. Each frame begins at the top left corner, so a resize leaves nothing behind."""
    redraws = is_smart(sys.stdout) and not as_json
    if redraws:
        sys.stdout.write(CLEAR)
    while True:
        document = locate(config_path).document()
        if redraws:
            lines = render(document, time.time(), terminal_of(sys.stdout, full_screen=True))
            sys.stdout.write(HOME)
            write([line + END_OF_LINE for line in lines])
            sys.stdout.write(END_OF_SCREEN)
            sys.stdout.flush()
        else:
            _write_block(document, as_json)
        time.sleep(PERIOD if redraws or as_json else PLAIN_PERIOD)


def _write_block(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        write([json.dumps(document)])
    else:
        write([time.strftime("%H:%M:%S"), *render(document, time.time(), terminal_of(sys.stdout)), ""])
