"""What happens in the daemon, told once: to the log, and to whoever counts it, shows it or acts on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from assumed import redact


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the log (`noun.verb_past`), without anything secret. `at` is in POSIX seconds."""

    at: float
    level: str
    name: str
    facts: Mapping[str, Any]


Listener = Callable[[Event], None]
"""Called in the thread in which the event happened (a worker's, the scheduler's): quick, and safe from any."""


class News:
    """Hands every event to the log first, then to the listeners. One that fails is told of, and costs nobody else."""

    def __init__(self, log: Callable[..., None], wall: Callable[[], float]) -> None:
        """`log(level, name, **facts)`; `wall()` is POSIX time."""
        self.listeners: list[Listener] = []
        self._log = log
        self._wall = wall

    def say(self, level: str, name: str, **facts: Any) -> None:
        """Something has happened."""
        self._log(level, name, **facts)
        if not self.listeners:
            return
        event = Event(self._wall(), level, name, redact.event(facts))
        for listener in self.listeners:
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - a fault in what is told must not stop what happens
                self._log("error", "listener.crashed", event_name=name, exc_info=error)
