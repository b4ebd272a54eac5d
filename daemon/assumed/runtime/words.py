"""The keeper's sentences and the facts of its log events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assumed.config import Config, diff
from assumed.engine.clocks import Jump
from assumed.engine.decide import RoleState
from assumed.engine.schedule import is_late
from assumed.errors import ConfigError, FileRefused, RenewalFailed
from assumed.model import Instant, Role

from .reload import Edit

CAPPED = "STS refused duration_seconds and granted 3600 s; set duration_seconds = 3600 to spare it the question"
DOWN = "one role probes it from now on; the sessions in use stay"
REJECTED = "the configuration cannot be used; the last good one goes on"
ANOTHER_ROLE = "its role is another one now, so its old session is taken away first"


def level_of(state: RoleState, now: Instant) -> str:
    """A failed renewal is a warning while the session in use is good, an error when readers will soon feel it."""
    session = state.session
    return "error" if session is None or is_late(session.left(now), session.life) else "warning"


def failure_facts(
    role: Role, state: RoleState, failure: RenewalFailed, now: Instant, retry_in: float
) -> dict[str, Any]:
    """What a person needs to know of a failed renewal."""
    left = state.session.left(now) if state.session else 0.0
    return {
        "profile": role.profile,
        "kind": str(failure.kind),
        "code": failure.code,
        "message": failure.message,
        "advice": failure.advice,
        "left_seconds": max(0, round(left)),
        "failures": state.failure.count if state.failure else 1,
        "retry_in_seconds": None if retry_in == float("inf") else max(0, round(retry_in)),
    }


def skewed(offset: float) -> str:
    """A wrong local clock, in words. `offset` is STS's clock minus ours, in seconds."""
    direction = "behind" if offset > 0 else "ahead of"
    return f"this machine's clock is {abs(offset):.0f} s {direction} AWS's; renewals go by AWS's, your tools may not"


def jumped(jump: Jump) -> dict[str, Any]:
    """What the clock did."""
    return {"suspended_seconds": round(jump.suspended), "stepped_seconds": round(jump.stepped)}


def changes(before: Config, edit: Edit) -> dict[str, Any]:
    """What an edit of the configuration changes."""
    difference = diff(before, edit.config)
    return {
        "added": list(difference.added),
        "changed": list(difference.changed),
        "removed": list(difference.removed),
        "leaving": list(edit.leaving),
    }


def summary(
    states: Mapping[str, RoleState], file_error: FileRefused | None, rejected: ConfigError | None, now: Instant
) -> str:
    """The state of affairs in one line, for `systemctl status`. `rejected`: what is wrong with an edit that waits."""
    fresh = sum(1 for s in states.values() if s.session is not None and s.session.left(now) > 0)
    failing = [profile for profile, state in states.items() if state.failure is not None]
    parts = [f"{fresh} of {len(states)} roles have a session"]
    if failing:
        more = f" and {len(failing) - 1} more" if len(failing) > 1 else ""
        parts.append(f"failing: {failing[0]}{more}")
    if file_error is not None:
        parts.append(f"credentials file: {file_error.message}")
    if rejected is not None:
        more = f" (and {len(rejected.problems) - 1} more)" if len(rejected.problems) > 1 else ""
        parts.append(f"{REJECTED}: {rejected.problems[0]}{more}")
    return "; ".join(parts)
