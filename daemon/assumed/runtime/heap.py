"""glibc's heap, told to stay small."""

from __future__ import annotations

import sys

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8
"""Their numbers in malloc.h; mallopt(3) tells what they do."""
LARGE = 128 * 1024
"""Bytes. glibc begins with this threshold and raises it with the first large buffer that is given back."""


def keep_small() -> None:
    """Buffers of a file's size go back to the system when they are freed, and threads share one heap.

    Otherwise the copies of a credentials file of a thousand profiles leave holes behind that nothing fills (8 MB), and
    each worker a heap of its own. To be called before anything large is imported. Where there is no glibc, nothing.
    """
    if sys.platform != "linux":
        return
    import ctypes  # noqa: PLC0415 - 2 MB that no other system needs here; watchdog imports it on this one

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has none
        return
    mallopt(M_MMAP_THRESHOLD, LARGE)
    mallopt(M_ARENA_MAX, 1)
