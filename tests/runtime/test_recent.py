"""The last events in `assumed status`: words for each, never a secret."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

import assumed
from assumed import redact
from assumed.events import EventLog
from assumed.model import Instant
from assumed.runtime.recent import KEPT, WORDS, Recent, in_words, span
from assumed.snapshot import beat_document


@pytest.mark.parametrize(
    ("name", "facts", "words"),
    [
        ("role.renewed", {"profile": "a", "lives_seconds": 3600}, ["1 h"]),
        ("role.restored", {"left_seconds": 2700}, ["45 min"]),
        (
            "role.renewal_failed",
            {"code": "AccessDenied", "message": "no", "retry_in_seconds": 5},
            ["AccessDenied", "5 s", "no"],
        ),
        ("role.renewal_failed", {"code": "", "message": "no", "retry_in_seconds": None}, ["not renewed", "no"]),
        ("role.length_capped", {"message": "granted\n3600 s"}, ["granted 3600 s"]),
        ("config.rejected", {"problems": ["c:1: x", "c:2: y"]}, ["rejected", "c:1: x"]),
        ("config.loaded", {"added": ["a"], "removed": ["b"], "leaving": ["b"]}, ["1 added", "1 removed", "1 to be"]),
        ("clock.jumped", {"suspended_seconds": 7200, "stepped_seconds": 0}, ["slept for 2 h"]),
        ("hook.failed", {"hook": "when_needed", "message": "exit status 1"}, ["when_needed", "exit status 1"]),
        ("of.tomorrow", {}, ["of tomorrow"]),
    ],
)  # fmt: skip
def test_an_event_in_words_has_its_facts(name: str, facts: dict[str, Any], words: list[str]) -> None:
    assert [word for word in words if word not in in_words(name, facts)] == []


@pytest.mark.parametrize(("seconds", "words"), [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (43140, "11 h 59 min")])
def test_a_span_is_rounded_down(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_every_event_of_the_daemon_has_a_message_or_words_here() -> None:
    """Found in the source: an event without words would be shown by its name alone."""
    wordless = set()
    for path in Path(assumed.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            match call:
                case ast.Call(
                    func=ast.Attribute(attr="log" | "_log") | ast.Name("log" | "_log"),
                    args=[_, ast.Constant(value=name)],
                ):
                    has_message = any(keyword.arg in ("message", None) for keyword in call.keywords)
                    wordless |= {name} if not has_message and name not in WORDS else set()
    assert wordless - {"file.swept", "file.written", "hook.ran"} == set()


def test_the_last_events_are_kept_without_a_secret_and_without_chatter() -> None:
    recent = Recent()
    log = EventLog(lambda *_args, **_facts: None, lambda: 1_800_000_000.0)
    log.listeners.append(recent.add)
    redact.guard("test-recent", "a-secret-of-no-known-form")
    for number in range(KEPT + 5):
        log("info", "role.renewed", profile=f"r{number}", lives_seconds=900)
    log("debug", "file.written", path="x")
    log("error", "file.refused", message="said a-secret-of-no-known-form")
    events = recent.document()
    assert len(events) == KEPT
    assert events[0]["profile"] == "r6"
    assert events[-1] == {
        "at": "2027-01-15T08:00:00Z",
        "level": "error",
        "event": "file.refused",
        "profile": None,
        "message": "said [redacted]",
    }


@pytest.mark.parametrize(
    ("now", "age"),
    [
        (Instant(1030.0, 130.0), 30.0),
        (Instant(9000.0, 8100.0, slept=7990.0), 10.0),
        (Instant(500.0, 101.0), 1.0),
        (Instant(1000.0, 99.9), 0.0),
    ],
)
def test_the_age_of_a_heartbeat_counts_neither_sleep_nor_steps(now: Instant, age: float) -> None:
    """A laptop that was closed overnight has no daemon that is stuck."""
    assert beat_document(Instant(1000.0, 100.0), now) == {
        "beat_at": "1970-01-01T00:16:40Z",
        "beat_age_seconds": pytest.approx(age),
    }
