"""The clock with two hands: wall time, and seconds since boot that go on during sleep.

Two samples of both tell what happened in between: a suspend, a step of the wall clock, or nothing. How late the thread
that takes them is says nothing: a busy machine and a stopped process are late, too.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
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


TOLERANCE = 2.0
"""Seconds by which the hands may drift apart between two samples (slewing by NTP is far below it)."""


@dataclass(frozen=True, slots=True)
class Jump:
    """What the clock did between two samples. `suspended` and `stepped` are seconds; 0 is nothing."""

    suspended: float
    stepped: float

    def __bool__(self) -> bool:
        return bool(self.suspended or self.stepped)


def compare(before: Instant, after: Instant) -> Jump:
    """Tell a suspend (the machine's own count of its sleep) and a step (the wall clock against the one since boot).

    A virtual machine that its host pauses notices no sleep: its wall clock is set right afterwards, a step. A false
    alarm costs one more look at the plan, so the tolerance is small.
    """
    slept, stepped = after.slept - before.slept, _stepped(before, after)
    return Jump(
        suspended=slept if slept > TOLERANCE else 0.0,
        stepped=stepped if abs(stepped) > TOLERANCE else 0.0,
    )


def misled(before: Instant, after: Instant) -> float:
    """Seconds by which a wait that was begun at `before`, for an instant of the wall clock, ends too late or too early.

    Waits count waking time, so both a sleep and a step falsify them; jumps too small for `compare` add up.
    """
    return abs(_stepped(before, after) + after.slept - before.slept)


def _stepped(before: Instant, after: Instant) -> float:
    return (after.wall - before.wall) - (after.boot - before.boot)
