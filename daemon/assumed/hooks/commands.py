"""Runs a command of `[hooks]`: with a limit, as the leader of a session and group of its own, and killed with it.

It has no input, no terminal and no descriptor of the daemon, and what it prints is kept only as far as it is short.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

LONGEST_OUTPUT = 2000
"""Bytes kept of what a command prints: the beginning, which mostly holds the reason."""
POLL = 0.1
"""Seconds between two checks for the end of a command whose output a child of it still holds."""
REAP = 1.0
"""Seconds that a killed command has to end."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended. `code` is its exit status, negative for a signal; None when it was killed after its time or
    could not be started: `message` is the reason. `output` is what it printed, not yet through `assumed.redact`."""

    code: int | None
    seconds: float
    message: str = ""
    output: str = ""

    @property
    def is_well(self) -> bool:
        """Whether it ended by itself with status 0."""
        return self.code == 0


def run(
    argv: tuple[str, ...],
    environ: Mapping[str, str],
    within: float,
    deadline: Callable[[], float] = lambda: float("inf"),
) -> Outcome:
    """Run one command to its end, for `within` seconds, or until `deadline()` by the monotonic clock has come."""
    began = time.monotonic()
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environ),
            start_new_session=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Outcome(None, time.monotonic() - began, f"{argv[0]} could not be started: {reason}")
    output, ended = _watch(process, lambda: min(began + within, deadline()))
    if process.stdout is not None:
        process.stdout.close()
    seconds = time.monotonic() - began
    text = output.decode(errors="replace")
    if ended:
        return Outcome(process.returncode, seconds, _reason(process.returncode), text)
    reason = "the daemon stopped" if seconds < within else f"it took more than {within:.0f} s"
    if _is_killed(process):
        return Outcome(None, seconds, f"killed: {reason}", text)
    # Another user's (sudo), or one that waits for a disk. The next command must not wait for it.
    return Outcome(None, seconds, f"{reason} and cannot be killed: process {process.pid} runs on", text)


def _watch(process: subprocess.Popen[bytes], deadline: Callable[[], float]) -> tuple[bytes, bool]:
    """Read what the command prints until it has ended. Returns the beginning of it, and whether it has."""
    pipe = process.stdout.fileno() if process.stdout else -1
    ready = select.poll()
    ready.register(pipe, select.POLLIN)
    kept, is_open = b"", True
    while (left := deadline() - time.monotonic()) > 0:
        if is_open and ready.poll(min(left, POLL) * 1000):
            data = os.read(pipe, 65536)
            is_open = bool(data)
            kept += data[: LONGEST_OUTPUT - len(kept)]
            continue
        if process.poll() is not None:
            return kept, True
        if not is_open:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(min(left, POLL))
    return kept, process.poll() is not None


def _is_killed(process: subprocess.Popen[bytes]) -> bool:
    """Kill the command and what it has started; whether it ends within a moment. It is not reaped yet, so its group's
    number has not been used again."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # gone; or another user's (sudo), out of reach
        os.killpg(process.pid, signal.SIGKILL)
    try:
        process.wait(REAP)
    except subprocess.TimeoutExpired:
        return False
    return True


def _reason(code: int) -> str:
    if code == 0:
        return ""
    return f"exit status {code}" if code > 0 else f"killed by signal {-code}"
