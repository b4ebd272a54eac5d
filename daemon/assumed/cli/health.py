"""What a status document says about health. Pure: documents in, sentences and statuses out."""

from __future__ import annotations

from typing import Any

from assumed.engine.schedule import is_late

Role = dict[str, Any]
Document = dict[str, Any]

LONGEST_BEAT = 100.0
"""Seconds: three heartbeats and a write that waits 45 s for its lock. A daemon that answers and had none for longer
renews nothing."""


def trouble(role: Role) -> str | None:
    """Why the role needs attention, in words; None while its readers are well served."""
    if not is_enabled(role):
        return None
    if role["state"] == "needs_login":
        return "needs a login"
    left, life = role["left_seconds"], role["life_seconds"]
    if role["state"] == "expired" or (left is not None and left <= 0):
        return "has expired"
    if not role["delivered"] and role["state"] != "fresh":
        return "has no session in the credentials file"
    if role["state"] == "failing" and (left is None or is_late(left, life or 0.0)):
        return "is failing, and little of its session is left"
    return None


def is_enabled(role: Role) -> bool:
    """Whether the role is kept: a disabled one is shown, and nothing is expected of it."""
    return bool(role.get("enabled", True))


def is_served(role: Role) -> bool:
    """Whether a reader of the profile now gets a session with life left (what `assumed wait` waits for)."""
    return bool(role["delivered"]) and (role["left_seconds"] or 0.0) > 0


def stuck(document: Document) -> str | None:
    """What is wrong with the daemon itself, and what to do; None while its main loop runs, or without a daemon."""
    age = (document.get("daemon") or {}).get("beat_age_seconds")
    if age is None or age <= LONGEST_BEAT:
        return None
    return (
        f"assumed answers, but has renewed nothing for {age:.0f} s: its main loop has stalled. Restart it (under "
        "systemd its watchdog does); if the credentials file is on a network file system, look at that first"
    )


def is_healthy(document: Document) -> bool:
    """Whether neither a role nor the daemon needs attention: exit status 0 of `assumed status`."""
    return stuck(document) is None and all(trouble(role) is None for role in document["roles"])


def explanation(role: Role) -> str:
    """What is wrong with the role and what to do, in one line; empty when nothing is."""
    error = role["last_error"]
    if error is None:
        reason = trouble(role)
        if reason and role.get("waits"):
            reason += f": {role['waits']}"
        return f"it {reason}" if reason else ""
    what = f"{error['code']}: {error['message']}" if error["code"] else error["message"]
    return f"{what.rstrip('.')} → {error['advice']}" if error["advice"] else what
