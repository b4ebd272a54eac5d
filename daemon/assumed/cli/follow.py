"""Waiting for renewals that a daemon was asked for, and showing how they go."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import click

from assumed.errors import NotAnswering

from .health import Role, explanation
from .place import Place
from .terminal import is_smart

LOOK_AGAIN = 0.1
"""Seconds between two looks at the status document."""
PATIENCE = 180.0
"""Seconds without any news after which a renewal counts as stuck: STS and sources have shorter deadlines."""
RENEWED = "renewed"
"""The outcome of a renewal that went well; any other is a sentence."""
BAR_AFTER = 1.0
"""Seconds after which a progress bar appears; what takes less needs none."""


class Progress:
    """What has been renewed, on stderr: a bar on a terminal, once it takes longer than a second; plain lines elsewhere.

    Failures are left to the end of the command, which says each once.
    """

    def __init__(self, total: int, label: str) -> None:
        self._smart = is_smart(sys.stderr)
        self._bar = click.progressbar(length=total, label=label, file=sys.stderr, show_pos=True)
        self._shown = False
        self._done = 0
        self._lock = threading.Lock()
        self._timer = threading.Timer(BAR_AFTER, self._show)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        if self._smart:
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        with self._lock:
            if self._shown:
                self._bar.render_finish()
            self._smart = False

    def done(self, profile: str, outcome: str) -> None:
        """One more role is through; callable from any thread."""
        with self._lock:
            self._done += 1
            if self._shown:
                self._bar.update(1)
            elif not self._smart and outcome == RENEWED:
                click.echo(f"{profile}: {outcome}", err=True)

    def _show(self) -> None:
        with self._lock:
            if self._smart and not self._shown:
                self._shown = True
                self._bar.render_progress()
                self._bar.update(self._done)


@dataclass(frozen=True, slots=True)
class Before:
    """How things stood before renewals were asked for."""

    document: dict[str, Any]
    keys: dict[str, str | None]
    """Profile → the access key id of its stored session: that alone tells two sessions of one second apart."""


def look(place: Place) -> Before:
    """How things stand now. Raises NotRunning, NotAnswering."""
    document = place.ask({"command": "status"})
    profiles = [role["profile"] for role in document["roles"]]
    return Before(document, _stored_keys(place, profiles))


def follow(place: Place, before: Before, profiles: list[str], progress: Progress) -> list[tuple[str, str]]:
    """Look until each of the profiles is renewed or has failed; the failures, each with a sentence."""
    old = {role["profile"]: role for role in before.document["roles"]}
    waiting, failures = set(profiles), []
    news = time.monotonic()
    while waiting:
        keys = _stored_keys(place, waiting)  # before the document, which says whether they are delivered
        try:
            document = place.ask({"command": "status"})
        except NotAnswering:  # it has taken the order, and is busy
            if time.monotonic() - news > PATIENCE:
                raise
            continue
        roles = {role["profile"]: role for role in document["roles"] if role["profile"] in waiting}
        outcomes = dict.fromkeys(waiting - roles.keys(), "is no longer configured")
        for name, role in roles.items():
            renewed = keys[name] not in (None, before.keys.get(name))
            outcome = _if_renewed(role, document) if renewed else _if_failed(old.get(name), role)
            if outcome:
                outcomes[name] = outcome
        if not outcomes and (_only_wait(roles.values()) or time.monotonic() - news > PATIENCE):
            outcomes = {profile: role.get("waits") or "no answer yet" for profile, role in roles.items()}
        for profile, outcome in outcomes.items():
            progress.done(profile, outcome)
            if outcome != RENEWED:
                failures.append((profile, outcome))
        waiting -= outcomes.keys()
        if outcomes:
            news = time.monotonic()
        if waiting:
            time.sleep(LOOK_AGAIN)
    return failures


def _stored_keys(place: Place, profiles: Iterable[str]) -> dict[str, str | None]:
    from assumed.store import Store

    store = Store(place.state_dir)
    sessions = {profile: store.load(profile) for profile in profiles}
    return {profile: session.access_key_id if session else None for profile, session in sessions.items()}


def _only_wait(roles: Iterable[Role]) -> bool:
    """Whether all that is left waits for the session of another role, which has failed."""
    return all(str(role.get("waits")).startswith("waits for ") for role in roles)


def _if_renewed(role: Role, document: dict[str, Any]) -> str | None:
    """What to say of a renewed role: None while its session has still to be written."""
    if role["delivered"]:
        return RENEWED
    reason = explanation(role) if role["last_error"] else document["credentials_file"]["error"]
    return f"renewed, but not written: {reason}" if reason else None


def _if_failed(before: Role | None, now: Role) -> str | None:
    """What to say of a role that has failed since `before`: None while nothing has come of it."""
    if now["last_error"] is None:
        return None
    if before and (now["failures"], now["last_error"]) == (before["failures"], before["last_error"]):
        return None
    return explanation(now)
