"""The clock with two hands: wall time, and seconds since boot that go on during sleep."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from assumed.model import Instant

# CLOCK_MONOTONIC stands still in suspend on Linux and goes on on macOS (clock_gettime(3) of each); CLOCK_BOOTTIME is
# Linux's alone, CLOCK_UPTIME_RAW, which stands still, macOS's. Both count seconds of the same length.
BOOT_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
AWAKE_CLOCK: int = getattr(time, "CLOCK_UPTIME_RAW", time.CLOCK_MONOTONIC)

TOGETHER = 0.1
"""Seconds within which the hands are read: a thread that is interrupted between two of them would see a jump."""
READINGS = 5
"""Tries for that; a machine too busy for it has the last one."""


def boot_id() -> str:
    """A text that differs from boot to boot; empty where the system offers none."""
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


class SystemClock:
    """The machine's clock. Its boot id is read once: it cannot change while the process lives."""

    def __init__(self) -> None:
        self._boot_id = boot_id()

    def now(self) -> Instant:
        """All hands, read together."""
        for _ in range(READINGS):
            awake = time.clock_gettime(AWAKE_CLOCK)
            wall, boot = time.time(), time.clock_gettime(BOOT_CLOCK)
            if time.clock_gettime(AWAKE_CLOCK) - awake < TOGETHER:
                break
        return Instant(wall, boot, self._boot_id, slept=boot - awake)


def machine_id() -> str:
    """A text that differs from machine to machine, for the spread of renewals; the host's name at worst."""
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            return Path(path).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
    import socket  # noqa: PLC0415 - 3 MB that Linux does not need here

    return socket.gethostname()
