"""Run `python -m MODULE…` in this process; SIGUSR1 then kills a thread: `sabotage.py THREAD python -m …`.

The exception carries a secret in its message and in a local variable, which must appear nowhere.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
from typing import Any

SECRET = os.environ.get("SABOTAGE_SECRET", "")


def kill(name: str) -> None:
    """Let APScheduler's thread or the main thread die of an exception."""
    if name == "MainThread":
        raise_it()
    (thread,) = (thread for thread in threading.enumerate() if thread.name == name)
    scheduler: Any = thread._target.__self__  # type: ignore[attr-defined]
    scheduler._process_jobs = raise_it
    scheduler.wakeup()
    thread.join(60)
    del scheduler._process_jobs


def raise_it() -> None:
    """Raise with the secret in the message and in the frame."""
    secret = SECRET
    raise RuntimeError(f"sabotaged: {secret}")


if __name__ == "__main__":
    victim, arguments = sys.argv[1], sys.argv[2:]
    signal.signal(signal.SIGUSR1, lambda *_: kill(victim))
    sys.argv = arguments[arguments.index("-m") + 1 :]
    sys.path.pop(0)
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
