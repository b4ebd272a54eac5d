"""What a running daemon says of itself: `assumed status`, `assumed metrics`, and `assumed probe` for containers."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import click

from assumed.errors import NotRunning

from .app import FAILING, NO_DAEMON, NOT_RUNNING, OK, config_option, say
from .health import Document, is_healthy, stuck, trouble
from .place import locate
from .probe import PATHS, PORT, ask
from .terminal import ansi, console_of, is_smart, write


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="The whole document, for scripts; its keys only grow.")
@click.option("--all", "show_all", is_flag=True, help="A line for each role, in the configuration's order.")
@click.option("--watch", is_flag=True, help="Look again every second, until q or Ctrl-C.")
def status(config_path: Path | None, as_json: bool, show_all: bool, watch: bool) -> int:
    """Show every role: time left, next renewal, last error in words.

    Roles in trouble come first; those of one source that fail alike are one line with their number. `--watch` shows
    a screenful.

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
        from .screen import watch as look_on

        return look_on(config_path, as_json, show_all)
    document = locate(config_path).document()
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        show(document, show_all)
    if document.get("daemon_error"):
        say(document["daemon_error"])
        return FAILING
    if document["daemon"] is None:
        say(NO_DAEMON)
        return NOT_RUNNING
    return OK if is_healthy(document) else FAILING


def show(document: Document, show_all: bool = False) -> None:
    """A status document on stdout: drawn by rich on a terminal, plain elsewhere."""
    if is_smart(sys.stdout):
        from .screen import Screen

        console = console_of(sys.stdout)
        sys.stdout.write(ansi(console, Screen(console, time.time(), show_all=show_all).of(document)))
    else:
        from .render import render

        write(render(document, time.time(), show_all=show_all))


@click.command()
@config_option
@click.option(
    "--textfile",
    metavar="PATH",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write this file for node_exporter's textfile collector instead, all at once, readable by everybody.",
)
def metrics(config_path: Path | None, textfile: Path | None) -> int:
    """Print every metric in Prometheus' text format.

    The daemon opens no port: node_exporter's textfile collector is how they are scraped. `metrics_textfile` in the
    configuration has the daemon itself keep that file fresh. Without a daemon, what the disk says is printed, with
    `assumed_up 0`, and the exit status is 3.

    \b
    Examples:
      assumed metrics | grep assumed_role_session_left_seconds
      assumed metrics --textfile /var/lib/prometheus/node-exporter/assumed.prom
    """
    from assumed.metrics.exposition import text
    from assumed.metrics.textfile import write_textfile

    if textfile is not None and textfile.suffix != ".prom":
        raise click.UsageError(f"{textfile} does not end in .prom; node_exporter reads no other files")
    place = locate(config_path)
    try:
        facts = place.ask({"command": "metrics"})
    except NotRunning:
        from assumed.metrics.counters import facts_offline

        if place.config is None:
            raise
        facts = facts_offline(place.config)
    if textfile is None:
        click.echo(text(facts), nl=False)
    else:
        write_textfile(textfile.absolute(), text(facts))
    if facts["running"] is None:
        say(NO_DAEMON)
        return NOT_RUNNING
    return OK


@click.command()
@config_option
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PATH",
    help="Ask the `assumed serve` that wrote this file; without it, the daemon.",
)
@click.option(
    "--port", type=click.IntRange(1, 65535), default=PORT, show_default=True, help="Where that `assumed serve` listens."
)
@click.argument("kind", type=click.Choice(list(PATHS)), metavar="liveness|readiness")
def probe(config_path: Path | None, token_file: Path | None, port: int, kind: str) -> int:
    """Report by exit status whether a container is alive, or ready: for the probes of Kubernetes and Docker.

    Readiness: a reader of every profile finds a session with life left. Liveness: it answers and its main loop runs; an
    AWS outage or a refused role is not something that a restart fixes.

    \b
    Examples:
      assumed probe readiness                                      (of assumed run)
      assumed probe liveness --token-file /run/assumed/token       (of assumed serve)
    """
    if token_file is not None:
        return ask(kind, str(token_file), port)
    place = locate(config_path)
    # Liveness asks for nothing that takes longer the more roles there are. An older daemon answers with less.
    daemon = place.ask({"command": "ping"}) if kind == "liveness" else {}
    alive: Document = {"daemon": daemon, "roles": []}
    document = alive if "beat_age_seconds" in daemon else place.ask({"command": "status"})
    problem = stuck(document)
    problems = [problem] if problem else []
    if not problems and kind == "readiness":
        problems = [f"{role['profile']} {found}" for role in document["roles"] if (found := trouble(role))]
    for problem in problems:
        say(problem)
    return FAILING if problems else OK
