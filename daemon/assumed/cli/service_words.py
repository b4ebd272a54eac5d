"""What the service commands say while they work: marked sentences and a line of progress, on stderr."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from .app import say
from .check import line
from .render import wrapped
from .terminal import show_line, terminal_of, write

if TYPE_CHECKING:
    from assumed.edge.service.plan import Command, File, Plan

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


def shown_files(planned: Plan, remark: Callable[[File], str] = lambda _: "") -> list[str]:
    """Every file, whole, under its name."""
    lines = []
    for file in planned.files:
        lines += [f"# ---- {file.path} (mode {file.mode:04o}{remark(file)})", *file.shown.splitlines(), ""]
    return lines


def shown_command(command: Command) -> str:
    """A command, and why it is given."""
    return f"$ {command!s:<58}  # {command.why}"


def say_what_is_hidden(planned: Plan) -> None:
    """That the shown files are not quite those that are written."""
    if any(file.shown != file.text for file in planned.files):
        say("passwords are not shown ([hidden]); install writes them")


def counted(number: int, noun: str) -> str:
    """`1 role`, `2 roles`."""
    return f"{number} {noun}{'s' * (number != 1)}"
