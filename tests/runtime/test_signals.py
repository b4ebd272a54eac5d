"""Signals arrive as messages, also where a handler of Python's would be late."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from assumed.runtime.signals import relay
from world.waiting import eventually

DEAF = """
import queue, signal, sys, threading
from assumed.runtime.signals import relay

inbox = queue.SimpleQueue()
relay([signal.SIGTERM], inbox.put)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # the kernel gives it to another thread
print("ready", flush=True)
try:
    print(inbox.get(timeout=120), flush=True)
except queue.Empty:
    print("late", flush=True)
"""


@pytest.fixture
def heard() -> Iterator[list[int]]:
    """The signals that were told of; two kinds are listened for."""
    found: list[int] = []
    restore = relay([signal.SIGUSR1, signal.SIGUSR2], found.append)
    yield found
    restore()


def test_each_signal_is_told_by_its_number(heard: list[int]) -> None:
    signal.raise_signal(signal.SIGUSR1)
    eventually(lambda: heard == [signal.SIGUSR1], 5)
    signal.raise_signal(signal.SIGUSR2)
    eventually(lambda: heard == [signal.SIGUSR1, signal.SIGUSR2], 5)


def test_a_main_thread_that_is_not_interrupted_hears_of_it_all_the_same() -> None:
    """As when it comes between the last look for signals and the wait: a handler would run 30 s later."""
    with subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == f"{int(signal.SIGTERM)}\n"


def test_afterwards_everything_is_as_it_was() -> None:
    calls: list[int] = []
    ours: Callable[..., None] = lambda number, _frame: calls.append(number)  # noqa: E731
    before = signal.signal(signal.SIGUSR1, ours)
    try:
        relay([signal.SIGUSR1], lambda _: None)()
        signal.raise_signal(signal.SIGUSR1)
        assert calls == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert signal.set_wakeup_fd(-1) == -1
    assert "signals" not in {thread.name for thread in threading.enumerate()}
