"""What the service commands say while they work: marked sentences and a line of progress, on stderr."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from .check import line
from .render import wrapped
from .terminal import show_line, terminal_of, write

T = TypeVar("T")
TICK = 0.1
PROGRESS_AFTER = 1.0
"""Seconds; what takes less needs no line of progress."""


def tell(severity: str, subject: str, message: str, advice: str = "") -> None:
    """A marked sentence, and what to do under it."""
    terminal = terminal_of(sys.stderr)
    lines = line(severity, subject, message, terminal)
    if advice:
        lines += wrapped(advice, terminal, "    → " if terminal.unicode else "    -> ")
    write(lines, sys.stderr)


def with_progress(label: str, work: Callable[[], T]) -> T:
    """What `work` returns or raises; it runs beside a line that counts the seconds."""
    over = threading.Event()

    def count() -> None:
        began, shown = time.monotonic(), 0
        while not over.wait(TICK):
            seconds = time.monotonic() - began
            if seconds >= PROGRESS_AFTER:
                shown = show_line(f"{label}: {seconds:.0f} s", shown)
        show_line("", shown)

    counter = threading.Thread(target=count, name="progress")
    counter.start()
    try:
        return work()
    finally:
        over.set()
        counter.join()


def counted(number: int, noun: str) -> str:
    """`1 role`, `2 roles`."""
    return f"{number} {noun}{'s' * (number != 1)}"
