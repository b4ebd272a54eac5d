"""What this process uses of the machine."""

from __future__ import annotations

import contextlib
import os
import resource
from pathlib import Path


def usage() -> dict[str, float]:
    """CPU seconds, resident bytes, file descriptors; without what this system does not tell."""
    times = os.times()
    found: dict[str, float] = {"cpu_seconds": times.user + times.system}
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY:
        found["max_fds"] = float(limit)
    with contextlib.suppress(OSError):  # macOS has no /proc, and getrusage tells only the peak
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        found["resident_bytes"] = float(pages) * resource.getpagesize()
    with contextlib.suppress(OSError):
        found["open_fds"] = float(sum(1 for _ in Path("/dev/fd").iterdir()) - 1)  # without the one that lists them
    return found
