"""A change as an errand for a command of `[hooks]`: its words, and the environment that tells it what has happened."""

from __future__ import annotations

import os
from collections.abc import Mapping

from assumed import redact
from assumed.aws.variables import SHELL_VARIABLES
from assumed.hooks.commands import Errand
from assumed.hooks.due import HOOK_OF, Change
from assumed.model import Instant
from assumed.store import iso

from .desk import Desk
from .status import Known, state_of

PRIVATE = (
    "AWS_CONTAINER_CREDENTIALS_",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "NOTIFY_SOCKET",
    "WATCHDOG_",
    "CREDENTIALS_DIRECTORY",
    "LISTEN_",
    "JOURNAL_STREAM",
    "ASSUMED_",
)
"""How variables begin that are the daemon's own: they lead to credentials, or to its service manager."""


def errand(desk: Desk, change: Change, now: Instant) -> Errand:
    """What is to be run for a change whose hook is configured."""
    hook, hooks = HOOK_OF[change.event], desk.watch.running.hooks
    environ = {**inherited(os.environ), **facts(desk, change, now)}
    return Errand(change, hook, hooks.commands()[hook], environ, float(hooks.timeout_seconds))


def facts(desk: Desk, change: Change, now: Instant) -> dict[str, str]:
    """What a command is told; a variable is empty where it does not apply."""
    profile = change.profile
    role, state = desk.book.roles.get(profile), desk.book.states.get(profile)
    session = state.session if state else None
    left = session.left(now) if session else None
    condition = ""
    if state is not None:
        is_delivered = session is not None and desk.delivery.delivered.get(profile) == session.access_key_id
        refusal, other = desk.delivery.refused.get(profile), desk.delivery.overwritten_by.get(profile, "")
        condition = state_of(is_delivered, left, Known(state, refusal=refusal, overwritten_by=other))
    told = {
        "EVENT": change.event,
        "PROFILE": profile,
        "ROLE_ARN": role.role_arn if role else "",
        "STATE": condition,
        "LEFT_SECONDS": "" if left is None else str(max(0, int(left))),
        "EXPIRATION": iso(session.expiration) if session else "",
        "MESSAGE": change.message,
        "ADVICE": change.advice,
    }
    config = str(desk.watch.running.path)  # for a command that runs one of ours
    return {"ASSUMED_CONFIG": config, **{f"ASSUMED_{name}": redact.clean(text) for name, text in told.items()}}


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """The daemon's environment without what is its own."""
    return {n: v for n, v in environ.items() if n not in SHELL_VARIABLES and not n.startswith(PRIVATE)}
