"""The last events that concern a person, in words, for `assumed status`. A listener of the events."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from assumed.events import Event
from assumed.logs import LEVELS
from assumed.store import iso

KEPT = 20
LONGEST = 300
"""Characters of one message."""
LEAST = LEVELS["info"]

Facts = Mapping[str, Any]
Document = dict[str, Any]


def span(seconds: Any) -> str:
    """`45 s`, `59 min`, `11 h 59 min`: rounded down."""
    whole = int(seconds or 0)
    hours, minutes = divmod(whole // 60, 60)
    parts = [f"{hours} h"] * (hours > 0) + [f"{minutes} min"] * (minutes > 0)
    return " ".join(parts) or f"{whole} s"


def _failed(facts: Facts) -> str:
    retry = facts["retry_in_seconds"]
    again = "" if retry is None else f", tried again in {span(retry)}"
    return f"{facts['code'] or 'not renewed'}{again}: {facts['message']}"


def _loaded(facts: Facts) -> str:
    kinds = {"added": "added", "changed": "changed", "removed": "removed", "leaving": "to be removed in 5 s"}
    changes = [f"{len(facts[kind])} {words}" for kind, words in kinds.items() if facts.get(kind)]
    return f"configuration reloaded: {', '.join(changes) or 'no role changed'}"


def _jumped(facts: Facts) -> str:
    slept, stepped = facts["suspended_seconds"], facts["stepped_seconds"]
    parts = [f"the machine slept for {span(slept)}"] * bool(slept) + [f"the clock was set by {stepped} s"] * bool(
        stepped
    )
    return f"{' and '.join(parts)}; every role is checked"


# Event → its words: a text with facts to fill in, or a function of the facts. All others have a `message`.
WORDS: dict[str, str | Callable[[Facts], str]] = {
    "aws_file.broken": "{path}: {message}; its last readable version stays in use",
    "aws_file.mended": "{path}: {message}",
    "clock.jumped": _jumped,
    "config.loaded": _loaded,
    "config.rejected": "configuration rejected: {problems[0]}",
    "daemon.started": "started",
    "daemon.stopped": "stopped",
    "hook.failed": "the command {hook} failed: {message}",
    "role.renewal_failed": _failed,
    "role.renewed": lambda facts: f"new session for {span(facts['lives_seconds'])}",
    "role.restored": lambda facts: f"continues with its earlier session, {span(facts['left_seconds'])} left",
    "source.changed": "{source} has changed and is read again",
    "source.down": "{source} cannot sign: {message}",
    "source.recovered": "{source} can sign again",
}


class Recent:
    """Callable from any thread, as a listener has to be."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: deque[Document] = deque(maxlen=KEPT)

    def add(self, event: Event) -> None:
        """Keep an event of level info or above."""
        if LEVELS.get(event.level, LEAST) < LEAST:
            return
        profile = event.facts.get("profile")
        entry = {
            "at": iso(event.at),
            "level": event.level,
            "event": event.name,
            "profile": str(profile) if profile is not None else None,
            "message": in_words(event.name, event.facts),
        }
        with self._lock:
            self._events.append(entry)

    def document(self) -> list[Document]:
        """The last events, the oldest first."""
        with self._lock:
            return list(self._events)


def in_words(name: str, facts: Facts) -> str:
    """An event in words, on one line."""
    words = WORDS.get(name, "{message}")
    try:
        text = words.format_map(facts) if isinstance(words, str) else words(facts)
    except (KeyError, IndexError, TypeError, ValueError):
        text = str(facts.get("message") or name.replace(".", " ").replace("_", " "))
    return " ".join(text.split())[:LONGEST]
