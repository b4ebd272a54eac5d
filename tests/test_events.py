"""Every event is told once to the log and once to whoever listens."""

from __future__ import annotations

from typing import Any

from assumed import redact
from assumed.events import Event, EventLog


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def __call__(self, level: str, name: str, **facts: Any) -> None:
        self.lines.append((level, name, facts))


def test_an_event_reaches_the_log_and_every_listener() -> None:
    log, heard = Log(), []
    events = EventLog(log, lambda: 1000.0)
    events.listeners = [heard.append, heard.append]

    events("info", "role.renewed", profile="a", took_seconds=0.2)

    assert log.lines == [("info", "role.renewed", {"profile": "a", "took_seconds": 0.2})]
    assert heard == [Event(1000.0, "info", "role.renewed", {"profile": "a", "took_seconds": 0.2})] * 2


def test_a_listener_that_fails_is_told_of_and_costs_nobody_else() -> None:
    def broken(event: Event) -> None:
        raise LookupError(event.name)

    log, heard = Log(), []
    events = EventLog(log, lambda: 0.0)
    events.listeners = [broken, heard.append]

    events("info", "role.renewed", profile="a")

    assert [event.name for event in heard] == ["role.renewed"]
    assert [(level, name) for level, name, _ in log.lines] == [("info", "role.renewed"), ("error", "listener.crashed")]


def test_no_listener_is_told_a_secret_or_an_exception() -> None:
    """Its message may hold what the log takes out: what is left of it belongs to the log alone."""
    redact.guard("test-events", "a-secret-of-no-known-form")
    heard: list[Event] = []
    events = EventLog(Log(), lambda: 0.0)
    events.listeners = [heard.append]

    events("error", "role.renewal_crashed", message="said a-secret-of-no-known-form", exc_info=ValueError("x"))

    assert heard[0].facts == {"message": "said [redacted]"}
