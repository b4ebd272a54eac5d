"""Runs the commands of `[hooks]` for what has changed, one after the other, in a thread of its own.

Compares the newest snapshot with what has been reported (`due`), runs the most urgent command, and compares again: a
slow command finds the newest state when its turn comes. What was reported is kept in the state directory: a restart
reports nothing twice. A command that a stop cuts off counts as run: it may be the one that restarts the daemon. After
a boot, what still needs a person is reported once more: that person may not have been there before.
"""

from __future__ import annotations

import math
import os
import shlex
import threading
import time
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

from assumed import redact
from assumed.aws.variables import SHELL_VARIABLES
from assumed.errors import FileRefused
from assumed.events import FAULT
from assumed.model import Instant
from assumed.snapshot import Snapshot, running_role
from assumed.store import Store

from . import due
from .commands import Outcome, run
from .due import Change, Event, Reported

STOP_WITHIN = 2.0
"""Seconds that a command under way has left when the daemon stops."""
GATHER = 0.1
"""Seconds from a snapshot to the comparison: in a burst of renewals one comparison serves many."""
SLACK = 3.0
"""Seconds on top of its command's end that the daemon's end waits for the thread."""
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
"""Prefixes of variables that are the daemon's own: they lead to credentials, or to its service manager."""
KEPT_AS: dict[Event, str] = {"renewed": "sessions", "failed": "failures", "needed": "needs"}
"""Event → its part of the file in the state directory: subject → mark."""


class Dispatcher:
    """`wake` after each snapshot. The thread begins with the first hook in the configuration: most have none."""

    def __init__(
        self, snapshot: Callable[[], Snapshot], store: Store, now: Callable[[], Instant], log: Callable[..., None]
    ) -> None:
        self._snapshot, self._store, self._now, self._log = snapshot, store, now, log
        self._reported: Reported | None = None
        """None while no hook is configured."""
        self._before: Reported | None = None
        """The sessions from before the first hook was configured; None while none is."""
        self._since: dict[tuple[str, str], float] = {}
        """(subject, mark) of a trouble → since when it has lasted, by the boot clock."""
        self._failed: dict[str, str] = {}
        """Hook → how it failed last: logged once."""
        self._is_unsaved = False
        self._due = threading.Event()
        self._thread: threading.Thread | None = None
        self._deadline = math.inf

    def wake(self) -> None:
        """There is a new snapshot. Quick; the main loop's thread alone."""
        snapshot = self._snapshot()
        if not snapshot.config.hooks.commands():
            self._before = None
        elif self._before is None:
            sessions = {p: facts.session for p, facts in snapshot.state.states.items() if facts.session is not None}
            self._before = {("renewed", p): due.mark_of(session.access_key_id) for p, session in sessions.items()}
        if self._thread is None and self._deadline == math.inf and self._before is not None:
            self._thread = threading.Thread(target=self._run, name="hooks", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # no thread can be had; the next snapshot tries again
                self._thread = None
        self._due.set()

    def close(self) -> None:
        """Begin no further command, and let the one under way end within a moment."""
        self._deadline = time.monotonic() + STOP_WITHIN
        self._due.set()
        if self._thread is not None:
            self._thread.join(STOP_WITHIN + SLACK)

    def _run(self) -> None:
        pause: float | None = None
        while self._deadline == math.inf:
            if self._due.wait(pause):
                time.sleep(GATHER)
            self._due.clear()
            try:
                pause = self._work()
            except Exception as error:  # noqa: BLE001 - this thread must go on
                self._log("error", "hook.crashed", message=FAULT, exc_info=error)
                pause = None

    def _work(self) -> float | None:
        """Run what is due. Returns the seconds until time alone makes something due, None for never."""
        while self._deadline == math.inf:
            snapshot, now = self._snapshot(), self._now()
            hooks = snapshot.config.hooks
            if not hooks.commands():
                self._reported = None
                return None
            change, pause = self._next(snapshot, now)
            if change is None:
                return pause
            name = due.HOOK_OF[change.event]
            command = hooks.commands()[name]
            environ = {**inherited(os.environ), **variables(snapshot, change, now)}
            outcome = run(command, environ, float(hooks.timeout_seconds), lambda: self._deadline)
            self._save(due.after(self._reported or {}, change), self._now())
            self._log_outcome(name, command, outcome)
        return None

    def _next(self, snapshot: Snapshot, now: Instant) -> tuple[Change | None, float | None]:
        """The most urgent change that a command is configured for; those without one count as reported. Where there is
        none, the seconds until a trouble has lasted long enough to need a person."""
        hooks, roles = snapshot.config.hooks.commands(), due.health_of_roles(snapshot, now)
        troubles = due.troubles(snapshot, roles)
        marks = [(trouble.subject, trouble.mark) for trouble in troubles.values()]
        self._since = {key: self._since.get(key, now.boot) for key in marks}
        reported = due.pruned(self._recalled(now) if self._reported is None else self._reported, roles)
        changes = due.due(reported, roles, troubles, self._since, now.boot)
        silent = [change for change in changes if due.needs_no_command(reported, change, hooks)]
        self._reported = reduce(due.after, silent, reported)
        if any(change.event != "renewed" for change in silent):
            self._save(self._reported, now)
        left = (self._since[key] + troubles[key[0]].grace - now.boot for key in marks)
        pause = min((seconds for seconds in left if 0 < seconds < math.inf), default=None)
        return next((change for change in changes if change not in silent), None), pause

    def _recalled(self, now: Instant) -> Reported:
        """What was reported before; where nothing was, the sessions from before the first hook are not new."""
        kept = self._store.told()
        if kept is None:
            return self._before or {}
        is_same_boot = kept.get("boot_id") == now.boot_id
        parts = {event: kept.get(name) for event, name in KEPT_AS.items() if is_same_boot or event == "renewed"}
        return {
            (event, str(subject)): str(mark)
            for event, marks in parts.items()
            if isinstance(marks, dict)
            for subject, mark in marks.items()
        }

    def _save(self, reported: Reported, now: Instant) -> None:
        """Record what has been reported, also for the next start."""
        self._reported, was_unsaved = reported, self._is_unsaved
        marks: dict[str, dict[str, str]] = {name: {} for name in KEPT_AS.values()}
        for (event, subject), mark in reported.items():
            marks[KEPT_AS[event]][subject] = mark
        try:
            self._store.keep_told({"boot_id": now.boot_id, **marks})
            self._is_unsaved = False
        except FileRefused as error:
            self._is_unsaved = True
            if not was_unsaved:
                message = f"cannot save what the hooks have reported: {error.message}"
                self._log("warning", "hook.not_remembered", message=message, advice=error.advice)

    def _log_outcome(self, hook: str, command: tuple[str, ...], outcome: Outcome) -> None:
        facts: dict[str, Any] = {"hook": hook, "took_seconds": round(outcome.seconds, 3)}
        before, self._failed[hook] = self._failed.get(hook, ""), outcome.message
        if outcome.is_well:
            self._log("debug", "hook.ran", **facts)
            return
        self._log(
            "debug" if before == outcome.message else "warning",
            "hook.failed",
            **facts,
            code=outcome.code,
            message=outcome.message,
            output=outcome.output.strip(),
            advice=f"run it by hand, or correct {hook} under [hooks]: {shlex.join(command)}",
        )


def variables(snapshot: Snapshot, change: Change, now: Instant) -> dict[str, str]:
    """What a command finds in its environment; a variable is empty where it does not apply."""
    role = snapshot.state.roles.get(change.profile)
    facts: dict[str, Any] = running_role(snapshot, role, now) if role is not None else {}
    left = facts.get("left_seconds")
    values = {
        "EVENT": change.event,
        "PROFILE": change.profile,
        "ROLE_ARN": facts.get("role_arn"),
        "STATE": facts.get("state"),
        "LEFT_SECONDS": None if left is None else str(max(0, int(left))),
        "EXPIRATION": facts.get("expiration"),
        "MESSAGE": change.message,
        "ADVICE": change.advice,
        "CONFIG": str(snapshot.config.path),  # for a command that runs `assumed`
    }
    return {f"ASSUMED_{name}": redact.clean(value or "") for name, value in values.items()}


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """The daemon's environment without what is its own."""
    return {n: v for n, v in environ.items() if n not in SHELL_VARIABLES and not n.startswith(PRIVATE)}
