"""Keeps glibc's heap small: 65 MB resident instead of 86 with 1,000 roles."""

from __future__ import annotations

import sys

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8
"""Their numbers in malloc.h; see mallopt(3)."""
LARGE = 128 * 1024
"""Bytes. glibc begins with this threshold and raises it with the first large buffer that is freed."""


def keep_small() -> None:
    """Buffers of a file's size go back to the system when they are freed, and threads share one heap.

    Otherwise the copies of a large credentials file leave holes that are never filled, and each worker has a heap of
    its own. To be called before anything large is imported. Does nothing where there is no glibc.
    """
    if sys.platform != "linux":
        return
    import ctypes  # noqa: PLC0415 - 2 MB that no other system needs here; watchdog imports it on this one

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE)
        mallopt(M_ARENA_MAX, 1)
