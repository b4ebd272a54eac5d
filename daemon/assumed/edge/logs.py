"""structlog: console on a terminal, JSON otherwise; no secret, no frame locals, no chatter of libraries.

Two lessons are built in: structlog's documented production set-up puts frame locals, and so secrets, into the
traceback (`dict_tracebacks`); and botocore at DEBUG logs STS's whole answer, so libraries stay at WARNING even
when ours is DEBUG.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
JOURNAL = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}

# What a credential looks like: an access key id, a 40-character secret, a long base64 token.
KEY_ID = re.compile(r"\b(A[KS]IA[A-Z0-9]{8,124})\b")
SECRET = re.compile(r"(?<![A-Za-z0-9/+=])(?:[A-Za-z0-9/+]{40}|[A-Za-z0-9/+=]{100,})(?![A-Za-z0-9/+=])")

Event = MutableMapping[str, Any]


def scrub(text: str) -> str:
    """`text` without anything that looks like a credential; of a key id the last four characters stay."""
    return SECRET.sub("[redacted]", KEY_ID.sub(lambda m: f"[key …{m.group(1)[-4:]}]", text))


def configure(level: str, form: str, stream: TextIO) -> None:
    """Set logging up for the whole process. `form` is auto (by whether `stream` is a terminal), console or json."""
    as_json = form == "json" or (form == "auto" and not stream.isatty())
    colours = not as_json and stream.isatty() and "NO_COLOR" not in os.environ
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _plain_exception,
            _scrub_event,
            _renderer(as_json, colours, stream),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    _quiet_libraries()


def _renderer(as_json: bool, colours: bool, stream: TextIO) -> Any:
    if not as_json:
        return structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)
    render = structlog.processors.JSONRenderer(ensure_ascii=False)
    if not _goes_to_journal(stream):
        return render

    def with_priority(logger: Any, name: str, event: Event) -> str:
        priority = JOURNAL.get(str(event.get("level")), 6)
        return f"<{priority}>{render(logger, name, event)!s}"

    return with_priority


def _goes_to_journal(stream: TextIO) -> bool:
    """systemd says in $JOURNAL_STREAM which device and inode the journal's stream has (systemd.exec(5))."""
    named = os.environ.get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return named == f"{status.st_dev}:{status.st_ino}"


def _plain_exception(_logger: Any, _name: str, event: Event) -> Event:
    """The traceback as text: file, line and code, never the values of locals."""
    info = event.pop("exc_info", None)
    if info:
        kind, error, trace = sys.exc_info() if info is True else (type(info), info, info.__traceback__)
        event["exception"] = "".join(traceback.format_exception(kind, error, trace))
    return event


def _scrub_event(_logger: Any, _name: str, event: Event) -> Event:
    return {key: _scrub_value(value) for key, value in event.items()}


def _scrub_value(value: Any) -> Any:
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, dict):
        return {key: _scrub_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_scrub_value(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return scrub(str(value))


class _Library(logging.Handler):
    """Warnings of libraries, in our form, without their tracebacks (whose messages we did not write)."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().warning("library.warned", library=record.name, message=record.getMessage())


def _quiet_libraries() -> None:
    root = logging.getLogger()
    root.handlers[:] = [_Library()]
    root.setLevel(logging.WARNING)
    for name in ("botocore", "boto3", "urllib3", "apscheduler", "watchdog"):
        logging.getLogger(name).setLevel(logging.WARNING)
