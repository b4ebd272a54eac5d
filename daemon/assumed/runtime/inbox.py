"""What the main loop's inbox takes: events of the engine, and what only the loop acts on. Threads and signal handlers
put, the loop alone gets."""

from __future__ import annotations

from dataclasses import dataclass

from assumed.aws.sources import Resolved
from assumed.engine.events import Event


@dataclass(frozen=True, slots=True)
class Wanted:
    """A reader did not find a session that is fit to be handed out."""

    profile: str


@dataclass(frozen=True, slots=True)
class Hint:
    """Something happened in a watched directory."""


@dataclass(frozen=True, slots=True)
class Reload:
    """SIGHUP, or `reload` on the control socket: read the configuration now."""


@dataclass(frozen=True, slots=True)
class Stop:
    """SIGTERM or SIGINT."""

    signal: int


Message = Event | Wanted | Resolved | Hint | Reload | Stop
