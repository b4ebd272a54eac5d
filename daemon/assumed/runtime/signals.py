"""Signals as messages, from a thread of their own.

Python runs a handler in the main thread, between two bytecodes. A signal that arrives just before that thread waits in
the C library is handled when the wait ends (half a minute for a SIGTERM: seen on a busy machine), and so is one that
the kernel delivers to another thread. What is written to the wake-up descriptor can be read at once.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Collection


def relay(numbers: Collection[int], received: Callable[[int], None]) -> Callable[[], None]:
    """Call `received` with the number of each signal. Returns a function that restores the handlers."""
    outlet, inlet = os.pipe()
    os.set_blocking(inlet, False)
    # First: a signal between the handlers and this would be lost, since the handlers do nothing.
    signal.set_wakeup_fd(inlet, warn_on_full_buffer=False)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}

    def listen() -> None:
        while data := os.read(outlet, 512):
            for number in data:
                if number in before:
                    received(number)

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
    """Those that the process was not started to ignore (`nohup`, a shell's `&`): a handler would undo that, also for
    every program that it runs."""
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
