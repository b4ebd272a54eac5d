"""systemd's readiness protocol (sd_notify(3)): datagrams to $NOTIFY_SOCKET. Silent where there is no systemd."""

from __future__ import annotations

import os
import socket
import time

PATIENCE = 1.0
"""Seconds that a full queue is waited for."""


def is_wanted() -> bool:
    """Whether a service manager has asked to be told."""
    return bool(os.environ.get("NOTIFY_SOCKET"))


def notify(*lines: str) -> bool:
    """Send the lines in one datagram. Returns whether there was a service manager that took them."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    if address.startswith("@"):  # abstract namespace
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            # A manager that is stopped lets the queue fill (10 datagrams, by default), and the next one wait for ever.
            channel.settimeout(PATIENCE)
            channel.sendto("\n".join(lines).encode(), address)
    except OSError:
        # A manager that does not listen must never stop the renewal of credentials.
        return False
    return True


def watchdog_seconds() -> float | None:
    """Seconds without WATCHDOG=1 after which we count as dead; None where nobody looks (sd_watchdog_enabled(3))."""
    usec = os.environ.get("WATCHDOG_USEC", "")
    if not usec.isdecimal() or int(usec) == 0 or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(usec) / 1e6


def reloading() -> tuple[str, str]:
    """A reload begins. MONOTONIC_USEC goes in the same datagram, or `systemctl reload` hangs (OpenVox PR 110)."""
    return "RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}"
