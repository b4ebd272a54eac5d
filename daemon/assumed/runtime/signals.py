"""Signals as messages, from a thread of their own.

A handler of Python's runs in the main thread, between two of its bytecodes. One that arrives when that thread is just
about to wait in the C library is not seen before the wait ends (half a minute for a SIGTERM: seen on a busy machine),
nor is one that the kernel gives to another thread. What is written to the wake-up descriptor is there at once.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Collection


def relay(numbers: Collection[int], heard: Callable[[int], None]) -> Callable[[], None]:
    """Call `heard` with the number of each signal that comes. Returns what puts everything back as it was."""
    outlet, inlet = os.pipe()
    os.set_blocking(inlet, False)
    # First of all: a signal between the handlers and this would be written nowhere, and a handler does nothing else.
    signal.set_wakeup_fd(inlet, warn_on_full_buffer=False)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}

    def listen() -> None:
        while data := os.read(outlet, 512):
            for number in data:
                if number in before:
                    heard(number)

    thread = threading.Thread(target=listen, name="signals", daemon=True)
    thread.start()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        os.close(inlet)
        thread.join()
        os.close(outlet)

    return restore


def heeded(numbers: Collection[int]) -> list[int]:
    """Those that we were not started to ignore (`nohup`, a shell's `&`): a handler would undo that, also for every
    program that we run."""
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
