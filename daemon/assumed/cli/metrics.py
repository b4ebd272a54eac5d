"""`assumed metrics`: what Prometheus may know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from assumed.errors import NotRunning

from .app import NO_DAEMON, NOT_RUNNING, OK, config_option, say
from .place import Place, locate


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
    from assumed.metrics.exposition import text, write_textfile

    if textfile is not None and textfile.suffix != ".prom":
        raise click.UsageError(f"{textfile} does not end in .prom; node_exporter reads no other files")
    facts = _facts(locate(config_path))
    if textfile is None:
        click.echo(text(facts), nl=False)
    else:
        write_textfile(textfile.absolute(), text(facts))
    if facts["running"] is None:
        say(NO_DAEMON)
        return NOT_RUNNING
    return OK


def _facts(place: Place) -> dict[str, Any]:
    """The daemon's own, or what the disk says."""
    try:
        return place.ask({"command": "metrics"})
    except NotRunning:
        from assumed.metrics.facts import facts_offline

        if place.config is None:
            raise
        return facts_offline(place.config)
