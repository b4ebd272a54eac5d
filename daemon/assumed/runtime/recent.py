"""The last events that a person may care about, in words, for `assumed status`. A listener of the events."""

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
    """`45 s`, `59 min`, `11 h 59 min`: rounded down, for a glance."""
    whole = int(seconds or 0)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    parts = [f"{hours} h"] * (hours > 0) + [f"{minutes} min"] * (minutes > 0)
    return " ".join(parts)


def _failed(facts: Facts) -> str:
    code, retry = facts.get("code") or "not renewed", facts.get("retry_in_seconds")
    when = "" if retry is None else f", tried again in {span(retry)}"
    return f"{code}{when}: {facts['message']}"


def _loaded(facts: Facts) -> str:
    changes = [f"{len(facts[kind])} {kind}" for kind in ("added", "changed", "removed") if facts.get(kind)]
    waiting = f"; {len(facts['leaving'])} leaving in a moment" if facts.get("leaving") else ""
    return f"the configuration has been read: {', '.join(changes) or 'no role has changed'}{waiting}"


def _jumped(facts: Facts) -> str:
    slept, stepped = facts.get("suspended_seconds"), facts.get("stepped_seconds")
    parts = [f"this machine slept for {span(slept)}"] * bool(slept)
    parts += [f"its clock was set by {stepped} s"] * bool(stepped)
    return f"{' and '.join(parts) or 'the clock jumped'}; every role is looked at"


def _first_problem(facts: Facts) -> str:
    return f"the configuration is rejected: {(facts.get('problems') or ['?'])[0]}"


# Event → its words: a text with facts to fill in, or a function of the facts. What is not here has a `message` that
# is a sentence already.
WORDS: dict[str, str | Callable[[Facts], str]] = {
    "config.loaded": _loaded,
    "config.rejected": _first_problem,
    "aws_file.broken": "{path}: {message}; what was last read of it goes on",
    "aws_file.mended": "{path}: {message}",
    "clock.jumped": _jumped,
    "control.crashed": "a fault in assumed while it answered a command; see its log",
    "daemon.started": "assumed has started",
    "daemon.stopped": "assumed has stopped",
    "edit.set_aside": "an edit by another program could not be merged; it is in {path}",
    "hook.failed": "the command {hook} failed: {message}",
    "hook.not_remembered": "what the hooks have told cannot be remembered: {message}",
    "listener.crashed": "a fault in assumed; see its log",
    "profile.overwritten": "overwritten by {overwritten_by}; put back",
    "profile.removed": "its keys are taken out of the credentials file",
    "profile.contested": "overwritten again by {overwritten_by} ({times} times); put back in {put_back_in_seconds} s",
    "role.renewed": lambda facts: f"new session for {span(facts.get('lives_seconds'))}",
    "role.renewal_failed": _failed,
    "role.renewal_crashed": "a fault in assumed; see its log",
    "role.restored": lambda facts: f"goes on with its session of before, {span(facts.get('left_seconds'))} left",
    "role.withdrawn": "{message}",
    "source.changed": "{source} has changed, and is read anew",
    "source.down": "{source} does not sign: {message}",
    "source.recovered": "{source} signs again",
    "watch.failed": "{message}",
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
    except (KeyError, TypeError, ValueError):
        text = str(facts.get("message") or name.replace(".", " ").replace("_", " "))
    return " ".join(text.split())[:LONGEST]
