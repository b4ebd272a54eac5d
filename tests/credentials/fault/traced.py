"""Acts under strace: what was called, and what happens when a call fails or is the last."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fault.once import Call
from world.waiting import eventually

_CALL = re.compile(r"(?P<name>\w+)\((?P<args>.*)\) = (?P<result>-?\w+)")
_OURS = {"rt_sigtimedwait", "prctl", "writev", "exit_group", "restart_syscall"}
"""What the actor calls around the act."""
_NEVER_FAIL = {"getpid", "geteuid", "getuid", "getgid"}
_PYTHONS = {"brk", "mmap", "munmap", "mremap", "madvise", "mprotect", "futex", "sched_yield"}
"""Memory and threads: how many of these there are differs from run to run, and no file depends on them."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`said` is empty when the act was killed."""

    said: str
    calls: tuple[Call, ...]
    failed: bool
    """Whether a call that should have failed was made."""

    @property
    def killed(self) -> bool:
        """Whether it did not come to its end."""
        return not self.said


class NotTraced(Exception):
    """strace is missing, or may not trace or inject here (containers, Yama); why, in its words."""


class Stage:
    """Has an actor do scenes; see `open_stage`."""

    def __init__(self, orders: subprocess.Popen[str]) -> None:
        assert orders.stdin is not None
        assert orders.stdout is not None
        self._orders = orders.stdin
        self._answers = orders.stdout

    def act(self, scene: str, directory: Path, *inject: str, stops: Sequence[Callable[[int], object]] = ()) -> Outcome:
        """The scene's act in `directory`; `inject` as strace's option takes it, counting the act's calls alone.

        Raises NotTraced, or FileNotFoundError where there is no strace.
        What is in `stops` is done with the process's pid, one at each injected SIGSTOP, after which the act goes on.
        """
        print(scene, directory, sep="\t", file=self._orders, flush=True)
        pid = int(self._answers.readline())
        trace = directory / "trace"
        command = ["strace", "-xx", "-s", "1000000", "-a", "1", "-o", str(trace), "-p", str(pid)]
        command += [word for one in inject for word in ("-e", f"inject={one}")]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
            assert strace.stderr is not None
            attached = strace.stderr.readline()
            os.kill(pid, signal.SIGUSR1)
            for number, do in enumerate(stops if "attached" in attached else ()):
                eventually(partial(_has_stopped, trace, number), 30, every=0.001)
                do(pid)
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            first = self._answers.readline().rstrip("\n")
            killed = first.isdigit()
            if not killed:
                self._answers.readline()
            words = attached + strace.stderr.read()
        if "attached" not in attached:
            raise NotTraced(words)
        text = trace.read_text()
        trace.unlink()
        return Outcome("" if killed else first, _calls(text), "(INJECTED)" in text)


@contextmanager
def open_stage() -> Iterator[Stage]:
    """A stage with its actor, who is gone afterwards."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "credentials.fault.actor"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environ, text=True, stdin=pipe, stdout=pipe) as actor:
        yield Stage(actor)  # leaving closes its stdin, which ends it


def _has_stopped(trace: Path, before: int) -> bool:
    """Whether it stands still, after so many stops that are over, or has come to its end."""
    text = trace.read_text()
    return text.count("\n--- stopped by SIGSTOP") > before or "\n+++ " in text


def _calls(trace: str) -> tuple[Call, ...]:
    found = [_CALL.match(line) for line in trace.splitlines()]
    calls = [Call(one["name"], one["args"], int(one["result"], 0)) for one in found if one and one["result"] != "?"]
    return tuple(call for call in calls if call.name not in _OURS | _PYTHONS)


def fallible(calls: tuple[Call, ...]) -> list[str]:
    """The names of the calls that can fail, in the order of their first use."""
    return list(dict.fromkeys(call.name for call in calls if call.name not in _NEVER_FAIL))
