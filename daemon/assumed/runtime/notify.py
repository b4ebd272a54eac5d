"""systemd's readiness protocol (sd_notify(3)): datagrams to $NOTIFY_SOCKET. Silent where there is no systemd."""

from __future__ import annotations

import os
import socket
import time

from assumed import redact
from assumed.model import Instant
from assumed.snapshot import Snapshot

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


def status_line(snapshot: Snapshot, now: Instant) -> str:
    """The state of affairs for `systemctl status`: one line, for a line feed would begin another assignment."""
    states = snapshot.state.states
    fresh = sum(1 for facts in states.values() if facts.session is not None and facts.session.left(now) > 0)
    failing = [profile for profile, facts in states.items() if facts.failure is not None]
    parts = [f"{fresh} of {len(states)} roles have a session"]
    if failing:
        more = f" and {len(failing) - 1} more" if len(failing) > 1 else ""
        parts.append(f"failing: {failing[0]}{more}")
    if snapshot.delivered.error is not None:
        parts.append(f"credentials file: {snapshot.delivered.error.message}")
    if snapshot.config_error is not None:
        first, *others = snapshot.config_error.problems
        more = f" (and {len(others)} more)" if others else ""
        parts.append(f"configuration not usable, the last good one stays in use: {first}{more}")
    return " ".join(redact.clean("; ".join(parts)).split())  # a rejected configuration's problems quote what it says
