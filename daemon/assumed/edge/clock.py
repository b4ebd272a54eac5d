"""The clock with two hands: wall time, and seconds since boot that go on during sleep."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from assumed.core.model import Instant

# CLOCK_MONOTONIC stands still in suspend on Linux and goes on on macOS; CLOCK_BOOTTIME is Linux's alone.
BOOT_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


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
        """Both hands, read together."""
        return Instant(wall=time.time(), boot=time.clock_gettime(BOOT_CLOCK), boot_id=self._boot_id)


def machine_id() -> str:
    """A text that differs from machine to machine, for the spread of renewals; the host's name at worst."""
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            return Path(path).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
    import socket  # noqa: PLC0415 - 3 MB that Linux does not need here

    return socket.gethostname()
