"""The service's log as lines: from the journal, or from the file that the launchd agent writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assumed.errors import AssumedError
from assumed.redact import printable

from .app import FAILING, OK, say
from .render import Terminal
from .terminal import terminal_of, write

if TYPE_CHECKING:
    from assumed.service.site import Site

LOOK_AGAIN = 0.5
"""Seconds between two looks at a file that is followed."""
COLOURS = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "31"}
PRIORITIES = {"0": "error", "1": "error", "2": "error", "3": "error", "4": "warning", "5": "info", "6": "info"}
"""Of the journal (syslog(3)) → our levels; 7 is debug."""
_MOST = 16 << 20
"""Bytes at the end of a log file that its last lines are looked for in."""


def show(site: Site, *, follow: bool, lines: int, readable: bool) -> int:
    """Write the last lines, and with `follow` what comes, until Ctrl-C. Returns the exit status."""
    terminal = terminal_of(sys.stdout)
    if site.manager == "launchd":
        path = site.account.home / "Library" / "Logs" / "assumed.log"
        texts = file_lines(path, follow=follow, lines=lines)
        _write_each((of_file(text, terminal) for text in texts) if readable else texts)
        return OK
    words = journal_words(site, follow=follow, lines=lines, readable=readable)
    try:
        with subprocess.Popen(words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as process:
            try:
                texts = (text.rstrip("\n") for text in process.stdout or ())
                _write_each((of_journal(text, terminal) for text in texts) if readable else texts)
                return OK if process.wait() == 0 else _cannot_read(site)
            finally:
                process.terminate()
    except FileNotFoundError:
        raise AssumedError("journalctl is not installed; the service's log is in systemd's journal") from None


def _cannot_read(site: Site) -> int:
    say(
        "the journal could not be read; where its files are for some alone: "
        f"sudo usermod --append --groups systemd-journal {site.account.name}, then log in again"
    )
    return FAILING


def journal_words(site: Site, *, follow: bool, lines: int, readable: bool) -> list[str]:
    """The command that reads the journal. `--user-unit` finds it in whatever journal a user's service writes to."""
    unit = f"--unit={site.unit}" if site.system else f"--user-unit={site.unit}"
    form = "json" if readable else "cat"
    following = ["--follow"] if follow else []
    return ["journalctl", "--quiet", "--no-pager", "--all", f"--output={form}", f"--lines={lines}", unit, *following]


def of_journal(text: str, terminal: Terminal) -> str:
    """An entry of the journal in JSON as a line for people; what is no entry, as it is."""
    entry = _object(text)
    if entry is None:
        return printable(text)
    message = entry.get("MESSAGE")
    if isinstance(message, list):  # bytes that are no text
        message = bytes(message).decode(errors="replace")
    seconds = int(entry.get("__REALTIME_TIMESTAMP", 0)) / 1e6
    level = PRIORITIES.get(str(entry.get("PRIORITY")), "debug")
    return _line(str(message or ""), seconds, level, terminal)


def of_file(text: str, terminal: Terminal) -> str:
    """A line of the log file as one for people."""
    return _line(text, None, "", terminal)


def _line(message: str, seconds: float | None, level: str, terminal: Terminal) -> str:
    """Time, level, event, facts. What is no event of ours (systemd's own words, a traceback) stands as it is."""
    event = _object(message) or {}
    if "event" in event:
        level = str(event.pop("level", level))
        seconds = _posix(event.pop("timestamp", None), seconds)
        name = terminal.paint(printable(str(event.pop("event"))), "1")
        said = " ".join([name, *(f"{printable(key)}={_fact(value)}" for key, value in event.items())])
    else:
        said = printable(message)
    clock = "" if seconds is None else time.strftime("%m-%d %H:%M:%S ", time.localtime(seconds))
    return f"{clock}{terminal.paint(f'{printable(level):<8}', COLOURS.get(level, ''))}{said}"


def _fact(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = printable(text)
    return text if text and " " not in text else json.dumps(text, ensure_ascii=False)


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _posix(when: Any, otherwise: float | None) -> float | None:
    try:
        return datetime.fromisoformat(str(when)).timestamp()
    except ValueError:
        return otherwise


def file_lines(path: Path, *, follow: bool, lines: int) -> Iterator[str]:
    """The last lines of a file, and with `follow` those that come; a file that is replaced or cut is read anew.

    Raises AssumedError where there is no such file.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise AssumedError(f"{path} cannot be read: {error.strerror}; has the service been started yet?") from None
    with file:
        file.seek(max(0, path.stat().st_size - _MOST))
        text = file.read()
        *whole, rest = text.split(b"\n")
        for line in whole[len(whole) - min(lines, len(whole)) :]:
            yield line.decode(errors="replace")
        while follow:
            more = file.read()
            if not more and _is_another(path, file.tell(), file.fileno()):
                yield from file_lines(path, follow=True, lines=sys.maxsize)
                return
            *whole, rest = (rest + more).split(b"\n")
            yield from (line.decode(errors="replace") for line in whole)
            if not more:
                time.sleep(LOOK_AGAIN)


def _is_another(path: Path, read: int, fd: int) -> bool:
    """Whether the file of that name is a new one by now, or shorter than what has been read of it."""
    try:
        now = path.stat()
    except OSError:
        return False  # between two names: rotation moves the old one first
    return now.st_size < read or not os.path.samestat(now, os.fstat(fd))


def _write_each(lines: Iterable[str]) -> None:
    for line in lines:
        write([line])
