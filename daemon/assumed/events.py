"""The daemon's events: logged first, then handed to whatever counts or shows them."""

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


FAULT = "a fault in assumed; see its log"
"""The message of an event with a traceback."""

Listener = Callable[[Event], None]
"""Called in the thread of the event: quick, and safe from any."""


class EventLog:
    """Hands every event to the log first, then to the listeners. One that fails is logged and does not affect the
    others."""

    def __init__(self, write: Callable[..., None], wall: Callable[[], float]) -> None:
        """`write(level, name, **facts)`; `wall()` is POSIX time."""
        self.listeners: list[Listener] = []
        self._write = write
        self._wall = wall

    def __call__(self, level: str, name: str, **facts: Any) -> None:
        """Something has happened."""
        self._write(level, name, **facts)
        if not self.listeners:
            return
        event = Event(self._wall(), level, name, redact.event(facts))
        for listener in self.listeners:
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - a fault in a listener must not stop the caller
                self._write("error", "listener.crashed", message=FAULT, event_name=name, exc_info=error)
