"""A program under strace: its system calls, and a stop at each call of a kind, so that a test can act at that
moment."""

from __future__ import annotations

import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_UNFINISHED = " <unfinished ...>"
_RESUMED = re.compile(r"^\d+ +<\.\.\. \w+ resumed>")
_STOPPED = re.compile(r"^(\d+) +--- SIGSTOP \{", re.MULTILINE)


class Traced:
    """`command` runs another one under strace. Skips if strace is missing."""

    def __init__(self, trace: Path, calls: str, *options: str) -> None:
        """`calls`: the calls to record, in strace's syntax."""
        strace = shutil.which("strace")
        if strace is None:
            pytest.skip("strace is not installed")
        self._trace = trace
        self._stop = threading.Event()
        self.command = [strace, "-D", "-f", "-yy", "-o", str(trace), "-e", f"trace={calls}", *options]

    def calls(self) -> list[str]:
        """The calls recorded so far, in the order in which they ended."""
        begun: dict[str, str] = {}
        calls = []
        for line in self._lines():
            pid = line.partition(" ")[0]
            if line.endswith(_UNFINISHED):
                begun[pid] = line.removesuffix(_UNFINISHED)
            else:
                calls.append(_RESUMED.sub(begun.pop(pid, ""), line) if " resumed>" in line else line)
        return calls

    def _lines(self) -> list[str]:
        return self._trace.read_text().splitlines() if self._trace.exists() else []

    @contextmanager
    def at_each_stop(self, calls: str, act: Callable[[], object]) -> Iterator[None]:
        """Inside, the program stops at the end of each of these calls and continues after `act`."""
        self.command += ["-e", f"inject={calls}:signal=STOP"]
        thread = threading.Thread(target=self._go_on_after, args=[act], name="stops")
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _go_on_after(self, act: Callable[[], object]) -> None:
        stops = 0
        while not self._stop.wait(0.002):
            stopped = _STOPPED.findall("\n".join(self._lines()))[stops:]
            if not stopped:
                continue
            stops += 1
            pid = int(stopped[0])
            while _state(pid) not in "Tt":
                time.sleep(0.001)
            try:
                act()
            finally:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


def _state(pid: int) -> str:
    """Its process state; T if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "T"
