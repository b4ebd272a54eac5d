"""structlog: console on a terminal, JSON otherwise; no secret, no frame locals, no chatter of libraries.

Two lessons are built in: structlog's documented production set-up puts frame locals, and so secrets, into the
traceback (`dict_tracebacks`); and botocore at DEBUG logs STS's whole answer, so libraries stay at WARNING even
when ours is DEBUG. What looks like a credential is taken out of every line, and the secrets that we know of
(`guard`) are taken out whatever they look like.
"""

from __future__ import annotations

import logging
import math
import os
import re
import sys
import threading
import traceback
from collections import Counter, deque
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any, TextIO
from urllib.parse import quote

import structlog

from assumed.core.redaction import REDACTED, redacted

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
JOURNAL = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What a terminal or a reader of lines would act on, and what no stream can write; line feeds and tabs are layout."""

GUARDED_LEAST = 8
"""Characters of a secret that is worth guarding: a shorter one would blot out words."""
GUARDED_EACH = 4
"""Secrets kept for each owner: two sessions' worth, for the old one is good until it ends."""

_guarded: dict[str, deque[str]] = {}
"""Owner → its secrets."""
_by_length: dict[int, Counter[str]] = {}
"""The same: length → secret → how many owners have it. Most texts are too short for any, and pay nothing."""
_guard_lock, _lines_lock = threading.RLock(), threading.RLock()
"""Reentrant, for `take_crashes`: memory may be tidied up, and an error of nobody's told, in the midst of a line."""

Event = MutableMapping[str, Any]


def guard(owner: str, *secrets: str | None) -> None:
    """Never print these again, for as long as `owner` (a role, a source) has no newer ones."""
    with _guard_lock:
        kept = _guarded.setdefault(owner, deque())
        for secret in secrets:
            if secret is None or len(secret) < GUARDED_LEAST or secret in kept:
                continue
            kept.append(secret)
            _by_length.setdefault(len(secret), Counter())[secret] += 1
            if len(kept) > GUARDED_EACH:
                _forget(kept.popleft())


def _forget(secret: str) -> None:
    alike = _by_length[len(secret)]
    alike[secret] -= 1
    if not alike[secret]:
        del alike[secret]
    if not alike:
        del _by_length[len(secret)]


def scrub(text: str) -> str:
    """`text` on which nobody can act: no credential (of a key id the last four characters stay), no escape."""
    for secret in _known_secrets(len(text)):
        if secret in text:
            text = text.replace(secret, REDACTED)
        if "%" in text and (quoted := quote(secret, safe="")) in text:  # as a URL shows it
            text = text.replace(quoted, REDACTED)
    return CONTROL.sub(lambda m: f"\\u{ord(m[0]):04x}", redacted(text))


def _known_secrets(longest: int) -> list[str]:
    """The secrets that a text of so many characters has room for, the longest first: one may hold another."""
    with _guard_lock:
        lengths = sorted((length for length in _by_length if length <= longest), reverse=True)
        return [secret for length in lengths for secret in _by_length[length]]


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
        logger_factory=lambda *_: _Lines(stream),
        cache_logger_on_first_use=False,
    )
    _quiet_libraries()


def take_crashes() -> None:
    """From now on what nobody caught is logged in our form: Python itself would print an error's text as it is."""

    def of_thread(crash: threading.ExceptHookArgs) -> None:
        if crash.exc_type is not SystemExit:
            name = crash.thread.name if crash.thread else "unknown"
            structlog.get_logger().error("thread.crashed", thread=name, exc_info=crash.exc_value)

    def of_process(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
        structlog.get_logger().error("process.crashed", exc_info=error)

    def of_nobody(crash: sys.UnraisableHookArgs) -> None:
        structlog.get_logger().error("error.ignored", exc_info=crash.exc_value, message=crash.err_msg or "")

    threading.excepthook, sys.excepthook, sys.unraisablehook = of_thread, of_process, of_nobody


def tell_failure(sentence: str) -> None:
    """Log what ended a command, which may have failed before logging was set up."""
    configure("error", "json", sys.stderr)
    structlog.get_logger().error("command.failed", message=sentence)


class _Lines(structlog.PrintLogger):
    """Lines to a stream. One that cannot be written (a full disk, a reader that has gone) costs the line alone."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lock = _lines_lock  # type: ignore[assignment]

    def msg(self, message: str) -> None:
        """Write one line."""
        try:
            super().msg(message)
        except (OSError, ValueError, RuntimeError):  # the last: a line in the midst of a line, see `_lines_lock`
            return  # where to say it, if not here? The roles are still renewed, and `status` says how they are

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def _renderer(as_json: bool, colours: bool, stream: TextIO) -> Any:
    if not as_json:
        return structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)
    render = structlog.processors.JSONRenderer(ensure_ascii=False)
    if not goes_to_journal(stream):
        return render

    def with_priority(logger: Any, name: str, event: Event) -> str:
        priority = JOURNAL.get(str(event.get("level")), 6)
        return f"<{priority}>{render(logger, name, event)!s}"

    return with_priority


def goes_to_journal(stream: TextIO) -> bool:
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


def scrubbed(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of an event as anybody may see them; an exception is left to the log."""
    return {scrub(key): _scrub_value(value) for key, value in facts.items() if key != "exc_info"}


def _scrub_event(_logger: Any, _name: str, event: Event) -> Event:
    return {scrub(key): _scrub_value(value) for key, value in event.items()}


def _scrub_value(value: Any) -> Any:
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, dict):
        return {scrub(str(key)): _scrub_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_scrub_value(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # NaN and Infinity are no JSON
    if value is None or isinstance(value, bool | int | float):
        return value
    return scrub(_text(value))


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - a value that cannot be shown must not cost the line
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


class _Library(logging.Handler):
    """Warnings of libraries, in our form, without their tracebacks (whose messages we did not write)."""

    def emit(self, record: logging.LogRecord) -> None:
        """Never raises, as every handler: a warning must not end what the library was doing."""
        try:
            message = record.getMessage()
        except Exception as error:  # noqa: BLE001 - arguments that do not fit, a `__str__` that raises
            message = f"{_text(record.msg)} (its arguments do not fit: {type(error).__name__})"
        structlog.get_logger().warning("library.warned", library=record.name, message=message)


def _quiet_libraries() -> None:
    root = logging.getLogger()
    root.handlers[:] = [_Library()]
    root.setLevel(logging.WARNING)
    for name in ("botocore", "boto3", "urllib3", "apscheduler", "watchdog"):
        logging.getLogger(name).setLevel(logging.WARNING)
