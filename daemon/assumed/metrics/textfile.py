"""The metrics as a file for node_exporter, kept fresh in a thread of its own: its directory may be slow or gone."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from stat import S_ISREG

from assumed.errors import FileRefused
from assumed.files import Temp, directory, explained, sweep

from .counters import Facts

PAUSE, COST_SHARE = 1.0, 20.0
"""Seconds between two writes at least, and so many times as long as the last write took: a burst of renewals is one
write, and with hundreds of roles it is not nothing but writes."""
STOP_WITHIN = 2.0
"""Seconds that the daemon's end waits for the last write."""
BEGINNING = b"# HELP assumed_"
"""Of every text that assumed writes."""


class Textfile:
    """`wake` after each snapshot. The thread begins once the configuration names a file: most name none."""

    def __init__(
        self,
        path: Callable[[], Path | None],
        facts: Callable[[], Facts],
        last: Callable[[], Facts],
        log: Callable[..., None],
    ) -> None:
        """`path()`: where to write now; `facts()`: what; `last()`: what is left behind at the end."""
        self._path, self._facts, self._last, self._log = path, facts, last, log
        self._due, self._ended = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._written: Path | None = None
        self._problem = ""

    def wake(self) -> None:
        """There is a new snapshot. Quick; the main loop's thread alone."""
        if self._thread is None and not self._ended.is_set() and self._path() is not None:
            thread = threading.Thread(target=self._run, name="metrics", daemon=True)
            with contextlib.suppress(RuntimeError):  # no thread can be had; the next snapshot tries again
                thread.start()
                self._thread = thread
        self._due.set()

    def stop(self) -> None:
        """Leave a file behind that says that the daemon is down."""
        self._ended.set()
        self._due.set()
        if self._thread is not None:
            self._thread.join(STOP_WITHIN)

    def _run(self) -> None:
        while not self._ended.is_set():
            self._due.wait()
            self._due.clear()
            began = time.monotonic()
            self._update(self._facts)
            self._ended.wait(max(PAUSE, COST_SHARE * (time.monotonic() - began)))
        self._update(self._last)

    def _update(self, facts: Callable[[], Facts]) -> None:
        """Write the file; remove one that the configuration no longer names. A failure is logged once."""
        path, problem, advice = self._path(), "", ""
        if self._written is not None and self._written != path:
            with contextlib.suppress(OSError, FileRefused):
                if may_replace(self._written):
                    self._written.unlink()
            self._written = None
        try:
            if path is not None:
                from .exposition import text  # noqa: PLC0415 - its library costs 10 ms and 1 MB

                if self._written is None:
                    sweep(path.parent, path.name)  # what an earlier crash has left
                write_textfile(path, text(facts()))
                self._written = path
        except FileRefused as refusal:
            problem, advice = refusal.message, refusal.advice
        except Exception as error:  # noqa: BLE001 - this thread must go on
            problem, advice = f"a fault in assumed ({type(error).__name__}: {error})", "It is tried again"
        if problem and problem != self._problem:
            self._log("warning", "metrics.not_written", message=problem, advice=advice)
        if self._problem and not problem:
            self._log("info", "metrics.written", path=str(path), message="the metrics can be written again")
        self._problem = problem


def may_replace(path: Path) -> bool:
    """Whether `path` may be replaced or removed: it is assumed's, empty, or not there. Raises FileRefused."""
    with explained("read", path):
        try:
            # Not waiting: it may be a FIFO.
            with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
                return S_ISREG(os.fstat(file.fileno()).st_mode) and file.read(len(BEGINNING)) in (BEGINNING, b"")
        except FileNotFoundError:
            return True


def write_textfile(path: Path, data: bytes) -> None:
    """Replace `path` by `data` at once, so that node_exporter never reads half of it. Raises FileRefused.

    The one file that assumed makes wider than 0600: node_exporter runs as another user. It holds names and times, and
    no secret. Not flushed: after a crash of the machine it would be out of date anyway.
    """
    if not may_replace(path):
        raise FileRefused(f"{path} is another program's file", "Name another one, or remove it")
    with explained("write", path), directory(path.parent) as dir_fd, Temp(dir_fd, path.name) as temp:
        temp.write(data, mode=0o644, durable=False)
        temp.publish(durable=False)
