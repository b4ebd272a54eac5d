"""What metrics are read from: the status document, and what only a running daemon knows."""

from __future__ import annotations

import platform
from functools import cache
from typing import Any

from assumed import __version__
from assumed.config import Config
from assumed.metrics.counters import Tally
from assumed.metrics.samples import Facts
from assumed.metrics.usage import usage

from . import status
from .desk import Desk
from .loop import Keeper


def facts(document: status.Document, keeper: Keeper, tally: Tally) -> Facts:
    """All that metrics are read from (see metrics.samples); as JSON for `assumed metrics`, which makes the text."""
    running = {
        "counts": tally.counts(),
        "durations": tally.durations(),
        "down": sources_down(keeper.desk),
        "not_stored": len(keeper.desk.unsaved),
        "started_at": keeper.started.wall,
        "heartbeat_at": keeper.beaten.wall,
        "build": _build(),
        **usage(),
    }
    return {"status": document, "running": running}


def offline(config: Config) -> Facts:
    """The same without a daemon: what the disk says."""
    return {"status": status.offline(config), "running": None}


def sources_down(desk: Desk) -> list[str]:
    """The sources that are held to be down."""
    with desk.lock:
        return sorted({role.source() for profile, role in desk.book.roles.items() if desk.book.is_down(profile)})


@cache
def _build() -> dict[str, Any]:
    from importlib.metadata import version  # noqa: PLC0415 - 15 ms that the start need not wait for

    return {"version": __version__, "python": platform.python_version(), "boto3": version("boto3")}
