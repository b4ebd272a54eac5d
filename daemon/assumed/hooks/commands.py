"""Runs the commands of `[hooks]`: one at a time, in a thread of its own, with a limit, and never anybody's wait.

What waits is whatever was offered last: a slow command finds the newest state of affairs when its turn comes, and the
line cannot grow beyond what is to be told. A command is the leader of a session and group of its own and is killed
with it; it has no input, no terminal and no descriptor of ours, and what it prints is kept only as far as it is short.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

LONGEST_OUTPUT = 2000
"""Bytes kept of what a command prints: its beginning, where the reason mostly stands."""
GLANCE = 0.1
"""Seconds between two looks whether a command has ended that has left a child behind: the child holds its output."""
REAP = 1.0
"""Seconds that a killed command has to end."""
MOMENT = 2.0
"""Seconds that a command under way has left when the daemon stops."""


@dataclass(frozen=True, slots=True)
class Errand:
    """A command to run. `key` says what for: two of the same are one."""

    key: Hashable
    hook: str
    argv: tuple[str, ...]
    environ: Mapping[str, str] = field(repr=False)
    within: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command went. `code` is its exit status, negative for a signal; None when it was killed for its time, or
    did not begin: `message` says it in words. `output` is what it printed, not yet through `assumed.redact`."""

    code: int | None
    seconds: float
    message: str = ""
    output: str = ""

    @property
    def is_well(self) -> bool:
        """Whether it ended by itself with status 0."""
        return self.code == 0


class Errands:
    """The line of commands and the thread that runs them, which begins with the first."""

    def __init__(self, ran: Callable[[Errand, Outcome], None]) -> None:
        """`ran(errand, outcome)` is called in the thread, and answered by `acknowledge`."""
        self._ran = ran
        self._waiting: list[Errand] = []
        self._in_hand: set[Hashable] = set()
        """Begun and not acknowledged: whoever offers may not know yet that they have been run."""
        self._news = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._deadline = float("inf")

    def offer(self, errands: Sequence[Errand]) -> None:
        """Run these, in this order; what was offered before and has not begun is forgotten."""
        with self._news:
            self._waiting = [errand for errand in errands if errand.key not in self._in_hand]
            if not self._waiting or self._closing:
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="hooks", daemon=True)
                self._thread.start()
            self._news.notify()

    def acknowledge(self, key: Hashable) -> None:
        """What was run is known: if it is offered again, it is to be run again."""
        with self._news:
            self._in_hand.discard(key)

    def close(self, moment: float = MOMENT) -> None:
        """Begin nothing more, and let what is under way end within a moment. Returns when nothing runs any more."""
        with self._news:
            self._closing = True
            self._deadline = time.monotonic() + moment
            self._news.notify()
        if self._thread is not None:
            self._thread.join(moment + REAP + 1.0)

    def _work(self) -> None:
        while True:
            with self._news:
                while not self._waiting and not self._closing:
                    self._news.wait()
                if self._closing:
                    return
                errand = self._waiting.pop(0)
                self._in_hand.add(errand.key)
            self._ran(errand, run(errand, lambda: self._deadline))


def run(errand: Errand, deadline: Callable[[], float] = lambda: float("inf")) -> Outcome:
    """Run one command to its end, or to `errand.within`, or until `deadline()` by the monotonic clock has come."""
    began = time.monotonic()
    try:
        process = subprocess.Popen(
            errand.argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(errand.environ),
            start_new_session=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Outcome(None, time.monotonic() - began, f"{errand.argv[0]} could not be started: {reason}")
    output, ended = _watch(process, lambda: min(began + errand.within, deadline()))
    if process.stdout is not None:
        process.stdout.close()
    seconds = time.monotonic() - began
    text = output.decode(errors="replace")
    if ended:
        return Outcome(process.returncode, seconds, _in_words(process.returncode), text)
    reason = "the daemon stopped" if seconds < errand.within else f"it took more than {errand.within:.0f} s"
    if _is_killed(process):
        return Outcome(None, seconds, f"killed: {reason}", text)
    # Another user's (sudo), or one that waits for a disk. The next command must not wait for it.
    return Outcome(None, seconds, f"{reason} and cannot be killed: process {process.pid} runs on", text)


def _watch(process: subprocess.Popen[bytes], deadline: Callable[[], float]) -> tuple[bytes, bool]:
    """Drink what the command prints until it has ended. Returns the beginning of it, and whether it has."""
    pipe = process.stdout.fileno() if process.stdout else -1
    ready = select.poll()
    ready.register(pipe, select.POLLIN)
    kept, is_open = b"", True
    while (left := deadline() - time.monotonic()) > 0:
        if is_open and ready.poll(min(left, GLANCE) * 1000):
            data = os.read(pipe, 65536)
            is_open = bool(data)
            kept += data[: LONGEST_OUTPUT - len(kept)]
            continue
        if process.poll() is not None:
            return kept, True
        if not is_open:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(min(left, GLANCE))
    return kept, process.poll() is not None


def _is_killed(process: subprocess.Popen[bytes]) -> bool:
    """Kill the command and what it has started; whether it ends within a moment. It is not reaped yet, so its group's
    number is nobody else's."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # gone; or another user's (sudo), out of reach
        os.killpg(process.pid, signal.SIGKILL)
    try:
        process.wait(REAP)
    except subprocess.TimeoutExpired:
        return False
    return True


def _in_words(code: int) -> str:
    if code == 0:
        return ""
    return f"exit status {code}" if code > 0 else f"killed by signal {-code}"
