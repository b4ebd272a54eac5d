"""Which version of a file was read: cheap to compare, and different after every edit.

A session is stored with the stamp of the configuration that it was checked against. A reader that finds the same stamp
need not read the configuration again.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

Stamp = tuple[str, int, int, int, int, int]
"""Path, device, inode, size in bytes, and mtime and ctime in nanoseconds."""

SETTLED_NS = 50_000_000
"""Nanoseconds. Kernels count a file's times in ticks (10 ms at the longest): a second edit within the same tick leaves
size and times as they were, so a file that has just changed has no stamp yet (git's "racy" index entries)."""


def stamp_of(path: Path) -> Stamp | None:
    """The stamp of the file at `path`; None where there is none that can be relied on. Take it before reading."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    if 0 <= time.time_ns() - found.st_ctime_ns < SETTLED_NS:
        return None
    return str(path), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def is_same(one: Stamp | None, other: Stamp | None) -> bool:
    """Whether both are of the same version of the same file, by whatever path it was reached."""
    return one is not None and other is not None and one[1:] == other[1:]
