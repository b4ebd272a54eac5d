"""What other processes, also those of the same user, may learn of this one: nothing."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import sys

PR_SET_DUMPABLE = 4
"""linux/prctl.h"""


def close_off() -> None:
    """From here on: no file wider than 0600, no core file, and on Linux no look into our memory or environment.

    Sessions lie in the memory of this process for as long as it runs. RLIMIT_CORE alone would not do: a core pattern
    that is a pipe (systemd-coredump) is not bound by it, and any program of the user's may attach to a process that
    can be dumped (core(5), PR_SET_DUMPABLE in prctl(2)). Helpers inherit the limit; what they execute can be dumped.
    Who wants to debug the daemon does so as root.
    """
    os.umask(0o077)
    with contextlib.suppress(OSError):  # a sandbox may forbid it; what follows keeps cores away, too
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hide_memory()


def hide_memory() -> None:
    """The part of `close_off` that a command which we start does not inherit: its files and cores are its own."""
    if sys.platform == "linux":
        unused = ctypes.c_ulong(0)
        # It fails for an argument that is unknown, and where a sandbox forbids it.
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, ctypes.c_ulong(0), unused, unused, unused)
