"""Which processes carry a variable of ours: those that a command has left behind."""

from __future__ import annotations

import os
import time
from pathlib import Path

PROC = Path("/proc")
LONGEST = 0.25
"""Seconds for a look at all processes of the machine."""


def carrying(name: str, value: str) -> list[tuple[int, str]]:
    """Number and name of each process that was started with this variable, as far as we may see; [] without /proc."""
    wanted, found = f"\0{name}={value}\0".encode(), []
    deadline = time.monotonic() + LONGEST
    for process in (entry for entry in _entries() if entry.name.isdigit()):
        if time.monotonic() > deadline:
            break
        try:
            if wanted in b"\0" + (process / "environ").read_bytes():
                command = (process / "comm").read_text(errors="replace").strip()
                found.append((int(process.name), "".join(c if c.isprintable() else "?" for c in command)))
        except OSError:  # another account's, or it has ended
            continue
    return [(number, command) for number, command in found if number != os.getpid()]


def _entries() -> list[Path]:
    try:
        return list(PROC.iterdir())
    except OSError:
        return []
