"""What metrics are read from: the status document, and what only a running daemon knows."""

from __future__ import annotations

import platform
from functools import cache
from typing import Any

from assumed import __version__
from assumed.config import Config
from assumed.model import Instant
from assumed.snapshot import Snapshot, document, offline

from .counters import Counters
from .samples import Facts
from .usage import usage


def facts(snapshot: Snapshot, counters: Counters, now: Instant) -> Facts:
    """All that metrics are read from (see samples); as JSON for `assumed metrics`, which makes the text."""
    state = snapshot.state
    running = {
        "counts": counters.counts(),
        "durations": counters.durations(),
        "down": sorted({role.source() for profile, role in state.roles.items() if state.is_down(profile)}),
        "not_stored": len(snapshot.unsaved),
        "started_at": snapshot.started.wall,
        "heartbeat_at": snapshot.beaten.wall,
        "build": _build(),
        **usage(),
    }
    return {"status": document(snapshot, now), "running": running}


def facts_offline(config: Config) -> Facts:
    """The same without a daemon: what the disk says."""
    return {"status": offline(config), "running": None}


@cache
def _build() -> dict[str, Any]:
    from importlib.metadata import version  # noqa: PLC0415 - 15 ms that the start need not wait for

    return {"version": __version__, "python": platform.python_version(), "boto3": version("boto3")}
