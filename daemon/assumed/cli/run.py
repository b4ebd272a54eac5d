"""`assumed run`: the daemon, in the foreground."""

from __future__ import annotations

from pathlib import Path

import click

from .app import config_option


@click.command()
@config_option
def run(config_path: Path | None) -> int:
    """Keep the roles assumed, in the foreground, until SIGTERM or Ctrl-C.

    A changed configuration is picked up automatically (or on SIGHUP); a bad edit changes nothing, and the
    last good configuration stays in use. Logs go to stderr: sentences on a terminal, JSON elsewhere.

    \b
    Examples:
      assumed run
      assumed run --config ./config.toml
      ASSUMED_LOG_LEVEL=debug assumed run
    """
    from assumed.runtime.heap import keep_small

    keep_small()
    from assumed.runtime.main import run as keep

    return keep(config_path)
