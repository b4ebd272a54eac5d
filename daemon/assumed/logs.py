"""structlog: console on a terminal, JSON otherwise; no secret, no frame locals, no chatter of libraries.

Two lessons are built in: structlog's documented production set-up puts frame locals, and so secrets, into the
traceback (`dict_tracebacks`); and botocore at DEBUG logs STS's whole answer, so libraries stay at WARNING even
when assumed logs at DEBUG. Every event passes `assumed.redact`, and is one line.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, MutableMapping
from types import TracebackType
from typing import Any, TextIO

from assumed import redact

# Where rich is installed, structlog imports it for tracebacks that are never printed here: 35 ms and 4 MB.
_RICH = sys.modules.get("rich")
sys.modules["rich"] = None  # type: ignore[assignment]
try:
    import structlog
finally:
    del sys.modules["rich"]
    if _RICH is not None:
        sys.modules["rich"] = _RICH

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
JOURNAL = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}

LONGEST_LINE = 40_000
"""Bytes. journald splits lines of more than 48 KiB (LineMax= in journald.conf(5)), and `systemd-cat`'s kin alike."""

_lines_lock = threading.RLock()
"""Reentrant, for `take_crashes`: garbage may be collected, and an error in that be logged, while a line is written."""

Event = MutableMapping[str, Any]


def configure(level: str, form: str, stream: TextIO) -> None:
    """Set logging up for the whole process. `form` is auto (by whether `stream` is a terminal), console or json."""
    as_json = form == "json" or (form == "auto" and not stream.isatty())
    colours = not as_json and stream.isatty() and "NO_COLOR" not in os.environ
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _plain_exception,
            _renderer(as_json, colours, stream),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: _Lines(stream),
        cache_logger_on_first_use=False,
    )
    _quiet_libraries()


def take_crashes() -> None:
    """Log uncaught exceptions as events: Python itself would print an error's text unredacted."""

    def of_thread(crash: threading.ExceptHookArgs) -> None:
        if crash.exc_type is not SystemExit:
            name = crash.thread.name if crash.thread else "unknown"
            structlog.get_logger().error("thread.crashed", thread=name, exc_info=crash.exc_value)

    def of_process(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
        structlog.get_logger().error("process.crashed", exc_info=error)

    def of_finalizer(crash: sys.UnraisableHookArgs) -> None:
        structlog.get_logger().error("error.ignored", exc_info=crash.exc_value, message=crash.err_msg or "")

    threading.excepthook, sys.excepthook, sys.unraisablehook = of_thread, of_process, of_finalizer


def tell_failure(sentence: str) -> None:
    """Log why a command failed, perhaps before logging was set up."""
    configure("error", "json", sys.stderr)
    structlog.get_logger().error("command.failed", message=sentence)


class _Lines(structlog.PrintLogger):
    """Lines to a stream. One that cannot be written (a full disk, a closed pipe) is dropped."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lock = _lines_lock  # type: ignore[assignment]

    def msg(self, message: str) -> None:
        """Write one line: the second line of an event could pass for another event, with a priority of its own."""
        try:
            super().msg(message.replace("\n", "\\n"))
        except (OSError, ValueError, RuntimeError):  # the last: a line within a line, see `_lines_lock`
            return  # the roles are still renewed, and `status` shows how they are

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def _renderer(as_json: bool, colours: bool, stream: TextIO) -> Any:
    if not as_json:
        console = structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)
        return _fitting(console)
    render = _fitting(structlog.processors.JSONRenderer(ensure_ascii=False))
    if not goes_to_journal(stream):
        return render

    def with_priority(logger: Any, name: str, event: Event) -> str:
        priority = JOURNAL.get(str(event.get("level")), 6)
        return f"<{priority}>{render(logger, name, event)}"

    return with_priority


def _fitting(render: Callable[..., str | bytes]) -> Callable[[Any, str, Event], str]:
    """Renders events in lines of at most `LONGEST_LINE`; of a longer one the beginning of each fact."""

    def render_event(logger: Any, name: str, event: Event) -> str:
        line = str(render(logger, name, dict(event)))  # the console's renderer takes the event apart
        if len(line.encode()) <= LONGEST_LINE:
            return line
        return str(render(logger, name, {key: redact.cut(str(value), 300) for key, value in event.items()}))

    return render_event


def goes_to_journal(stream: TextIO) -> bool:
    """Whether the stream is the journal's: systemd sets $JOURNAL_STREAM to its device and inode (systemd.exec(5))."""
    named = os.environ.get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return named == f"{status.st_dev}:{status.st_ino}"


def _plain_exception(_logger: Any, _name: str, event: Event) -> Event:
    """The traceback as text."""
    info = event.pop("exc_info", None)
    error = sys.exc_info()[1] if info is True else info
    return {**redact.event(event), **({"exception": redact.crash(error)} if error else {})}


class _Library(logging.Handler):
    """Warnings of libraries as events, without their tracebacks, whose messages may hold anything."""

    def emit(self, record: logging.LogRecord) -> None:
        """Never raises, as every handler: a warning must not end what the library was doing."""
        try:
            message = record.getMessage()
        except Exception as error:  # noqa: BLE001 - arguments that do not fit, a `__str__` that raises
            message = f"{redact.text_of(record.msg)} (its arguments do not fit: {type(error).__name__})"
        structlog.get_logger().warning("library.warned", library=record.name, message=message)


def _quiet_libraries() -> None:
    root = logging.getLogger()
    root.handlers[:] = [_Library()]
    root.setLevel(logging.WARNING)
    for name in ("botocore", "boto3", "urllib3", "apscheduler", "watchdog"):
        logging.getLogger(name).setLevel(logging.WARNING)
