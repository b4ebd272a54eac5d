"""`assumed probe`: what a supervisor of containers asks."""

from __future__ import annotations

from pathlib import Path

import click

from .app import FAILING, OK, config_option, say
from .probing import PATHS, PORT, ask


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
    """Say by the exit status whether a container is alive, or ready: for the probes of Kubernetes and Docker.

    Readiness: whoever depends on it finds a session with life left in every profile. Liveness: it answers and
    goes on working; an AWS that is down, or a role that is refused, is nothing that a restart would mend.

    \b
    Examples:
      assumed probe readiness                                      (of assumed run)
      assumed probe liveness --token-file /run/assumed/token       (of assumed serve)
    """
    if token_file is not None:
        return ask(kind, str(token_file), port)
    from .health import Document, stuck, trouble
    from .place import locate

    place = locate(config_path)
    # Liveness asks for nothing that takes longer the more roles there are. An older daemon answers with less.
    daemon = place.ask({"command": "ping"}) if kind == "liveness" else {}
    alive: Document = {"daemon": daemon, "roles": []}
    document = alive if "beat_age_seconds" in daemon else place.ask({"command": "status"})
    if problem := stuck(document):
        say(problem)
        return FAILING
    if kind == "liveness":
        return OK
    problems = [f"{role['profile']} {found}" for role in document["roles"] if (found := trouble(role))]
    for problem in problems:
        say(problem)
    return FAILING if problems else OK
