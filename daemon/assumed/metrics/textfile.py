"""The metrics as a file for node_exporter, kept fresh in a thread of its own: its directory may be slow or gone."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

from assumed.errors import FileRefused
from assumed.files import sweep

from .samples import Facts

PAUSE = 1.0
"""Seconds between two writes at least: a burst of renewals is one write."""
COST_SHARE = 20.0
"""And so many times as long as the last one took: with many hundred roles a burst does not become one of writes."""
STOP_WITHIN = 2.0
"""Seconds that the daemon's end waits for the last write."""


class Textfile:
    """Writes at every `wake`, where the configuration names a file. A failure costs a line of the log, said once."""

    def __init__(
        self,
        path: Callable[[], Path | None],
        facts: Callable[[], Facts],
        last: Callable[[], Facts],
        say: Callable[..., None],
    ) -> None:
        """`path()`: where to, now; `facts()`: what; `last()`: what is left behind at the end.

        Does nothing before `start`.
        """
        self._path = path
        self._facts = facts
        self._last = last
        self._say = say
        self._lock = threading.Lock()
        self._is_open = False
        self._due = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._written: Path | None = None
        self._problem = ""

    def start(self) -> None:
        """Write from now on. The thread is there once the configuration names a file: most need none."""
        self._is_open = True
        self.wake()

    def wake(self) -> None:
        """There is something new to tell. Quick, from any thread."""
        if self._is_open and self._thread is None and self._path() is not None:
            self._begin()
        self._due.set()

    def stop(self) -> None:
        """Leave a file behind that says that nobody keeps the roles any more."""
        self._is_open = False
        self._ended.set()
        self._due.set()
        if self._thread is not None:
            self._thread.join(STOP_WITHIN)

    def _begin(self) -> None:
        with self._lock:
            if self._thread is not None or self._ended.is_set():
                return
            thread = threading.Thread(target=self._run, name="metrics", daemon=True)
            with contextlib.suppress(RuntimeError):  # no thread to be had just now; the next heartbeat tries again
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            began = time.monotonic()
            if self._ended.is_set():
                self._keep(self._last)
                return
            self._keep(self._facts)
            self._ended.wait(max(PAUSE, COST_SHARE * (time.monotonic() - began)))

    def _keep(self, facts: Callable[[], Facts]) -> None:
        """Write the file, and take away one that is no longer asked for: nobody would keep it fresh."""
        path = self._path()
        if self._written is not None and self._written != path:
            self._remove(self._written)
            self._written = None
        if path is None:
            return
        problem, advice = self._write(path, facts)
        if problem and problem != self._problem:
            self._say("warning", "metrics.not_written", message=problem, advice=advice)
        if self._problem and not problem:
            self._say("info", "metrics.written", path=str(path), message="the metrics can be written again")
        self._problem = problem

    def _remove(self, path: Path) -> None:
        """Not what another program has put there meanwhile."""
        from .exposition import is_ours  # noqa: PLC0415 - imported already, by the first write

        with contextlib.suppress(OSError, FileRefused):
            if is_ours(path):
                path.unlink()

    def _write(self, path: Path, facts: Callable[[], Facts]) -> tuple[str, str]:
        """Returns what stands in the way, and what to do about it; empty where nothing does."""
        if self._written is None:
            sweep(path.parent, path.name)  # what an earlier crash has left
        try:
            from .exposition import text, write_textfile  # noqa: PLC0415 - its library costs 10 ms and 1 MB

            write_textfile(path, text(facts()))
        except FileRefused as refusal:
            return refusal.message, refusal.advice
        except Exception as error:  # noqa: BLE001 - a fault in what is told must not end the telling
            return f"a fault in assumed ({type(error).__name__}: {error})", "It is tried again"
        self._written = path
        return "", ""
