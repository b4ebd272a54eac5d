"""Runs the commands of `[hooks]` for what has changed, one after the other, in a thread of its own.

Compares the newest snapshot with what the commands have been told (`due`), runs the most urgent, and compares again: a
slow command finds the newest state of affairs when its turn comes. What was told is kept in the state directory: a
restart tells nothing twice, and what a stop has cut off is told by the next start. After a boot, what still needs a
person is told once more: that person may not have been there before.
"""

from __future__ import annotations

import math
import os
import shlex
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from assumed import redact
from assumed.aws.variables import SHELL_VARIABLES
from assumed.config import Hooks
from assumed.errors import FileRefused
from assumed.model import Instant
from assumed.snapshot import OBSTACLES, Snapshot, condition, error_document
from assumed.store import Store, iso

from . import due
from .commands import Outcome, run
from .due import Change, Told, Trouble, Verdict

MOMENT = 2.0
"""Seconds that a command under way has left when the daemon stops."""
GATHER = 0.1
"""Seconds from a snapshot to the look at it: in a burst of renewals one look serves many."""
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


class Dispatcher:
    """`wake` after each snapshot. The thread begins with the first hook in the configuration: most have none."""

    def __init__(
        self, snapshot: Callable[[], Snapshot], store: Store, now: Callable[[], Instant], log: Callable[..., None]
    ) -> None:
        self._snapshot, self._store, self._now, self._log = snapshot, store, now, log
        self._told: Told | None = None
        """None while no hook is configured."""
        self._before: dict[str, str] | None = None
        """Profile → mark of its session when the first hook was configured; None while none is."""
        self._since: dict[str, tuple[str, float]] = {}
        """Subject → mark of its trouble, and since when it has lasted, by the boot clock."""
        self._failed: dict[str, str] = {}
        """Hook → how it failed last: logged once."""
        self._is_unkept = False
        self._due = threading.Event()
        self._thread: threading.Thread | None = None
        self._deadline = math.inf

    def wake(self) -> None:
        """There is a new snapshot. Quick, and called by the thread that makes them."""
        snapshot = self._snapshot()
        if not snapshot.config.hooks.commands():
            self._before = None
        elif self._before is None:
            sessions = {p: facts.session for p, facts in snapshot.state.states.items() if facts.session is not None}
            self._before = {profile: due.mark_of(session.access_key_id) for profile, session in sessions.items()}
        if self._thread is None and self._deadline == math.inf and self._before is not None:
            self._thread = threading.Thread(target=self._run, name="hooks", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # no thread can be had; the next snapshot tries again
                self._thread = None
        self._due.set()

    def close(self, moment: float = MOMENT) -> None:
        """Begin no further command, and let the one under way end within a moment."""
        self._deadline = time.monotonic() + moment
        self._due.set()
        if self._thread is not None:
            self._thread.join(moment + SLACK)

    def _run(self) -> None:
        pause: float | None = None
        while self._deadline == math.inf:
            if self._due.wait(pause):
                time.sleep(GATHER)
            self._due.clear()
            try:
                pause = self._work()
            except Exception as error:  # noqa: BLE001 - a fault in what is told must not end the telling
                self._log("error", "hook.crashed", message="a fault in assumed; see its log", exc_info=error)
                pause = None

    def _work(self) -> float | None:
        """Run what there is to run. Returns the seconds until time alone makes something due, None for never."""
        while self._deadline == math.inf:
            snapshot, now = self._snapshot(), self._now()
            hooks = snapshot.config.hooks
            if not hooks.commands():
                self._told = None
                return None
            verdicts, troubles = self._look(snapshot, now)
            since = self._lasting(troubles, now)
            change = self._next(due.due(self._known(), verdicts, troubles, since, now.boot), hooks, now)
            if change is None:
                ends = (since[subject] + trouble.stands - now.boot for subject, trouble in troubles.items())
                return min((left for left in ends if 0 < left < math.inf), default=None)
            name = due.HOOK_OF[change.event]
            command = hooks.commands()[name]
            environ = {**inherited(os.environ), **variables(snapshot, change, now)}
            outcome = run(command, environ, float(hooks.timeout_seconds), lambda: self._deadline)
            self._tell(due.after(self._known(), change), self._now())
            self._report(name, command, outcome)
        return None

    def _known(self) -> Told:
        return self._told or Told()

    def _look(self, snapshot: Snapshot, now: Instant) -> tuple[dict[str, Verdict], dict[str, Trouble]]:
        """How each role is, and what does not go well."""
        if self._told is None:
            self._told = self._recalled(now)
        state = snapshot.state
        verdicts = {}
        for profile, role in state.roles.items():
            planned = snapshot.planned.get(profile)
            if planned is None:
                continue
            facts = state.states[profile]
            delivered = facts.session is not None and snapshot.has_delivered(profile)
            verdicts[profile] = due.verdict(
                role,
                facts,
                planned.decision,
                now,
                session=due.mark_of(facts.session.access_key_id) if facts.session is not None and delivered else "",
                obstacle=_obstacle(snapshot, profile),
                sign_in=snapshot.sign_ins.get(state.root(role).source(), ""),
            )
        if self._told.failures or self._told.needs or self._told.sessions.keys() - verdicts.keys():
            self._told = due.pruned(self._told, verdicts)
        return verdicts, due.troubles(verdicts, _common(snapshot))

    def _lasting(self, troubles: Mapping[str, Trouble], now: Instant) -> dict[str, float]:
        """Since when each trouble has lasted, by the boot clock; another mark is another trouble."""
        before, self._since = self._since, {}
        for subject, trouble in troubles.items():
            mark, at = before.get(subject, ("", 0.0))
            self._since[subject] = (trouble.mark, at if mark == trouble.mark else now.boot)
        return {subject: at for subject, (_, at) in self._since.items()}

    def _next(self, changes: list[Change], hooks: Hooks, now: Instant) -> Change | None:
        """The first change that a command is configured for; what comes before counts as told."""
        told, commands = self._known(), hooks.commands()
        silent = [change for change in changes if due.needs_no_command(told, change, commands)]
        for change in silent:
            told = due.after(told, change)
        self._told = told
        if any(change.event != "renewed" for change in silent):
            self._tell(told, now)
        return next((change for change in changes if change not in silent), None)

    def _recalled(self, now: Instant) -> Told:
        """What was told before; where nothing was, the sessions from before the first hook are not new."""
        kept = self._store.told()
        if kept is None:
            return Told(self._before or {})
        marks = {
            name: {str(k): str(v) for k, v in part.items()} if isinstance(part := kept.get(name), dict) else {}
            for name in ("sessions", "failures", "needs")
        }
        return Told(**marks) if kept.get("boot_id") == now.boot_id else Told(marks["sessions"])

    def _tell(self, told: Told, now: Instant) -> None:
        """Record what has been told, also for the next start."""
        self._told, was_unkept = told, self._is_unkept
        document = {"boot_id": now.boot_id, "sessions": told.sessions, "failures": told.failures, "needs": told.needs}
        try:
            self._store.keep_told(document)
            self._is_unkept = False
        except FileRefused as error:
            self._is_unkept = True
            if not was_unkept:
                self._log("warning", "hook.not_remembered", message=error.message, advice=error.advice)

    def _report(self, hook: str, command: tuple[str, ...], outcome: Outcome) -> None:
        facts: dict[str, Any] = {"hook": hook, "took_seconds": round(outcome.seconds, 3)}
        if outcome.is_well:
            self._failed.pop(hook, None)
            self._log("debug", "hook.ran", **facts)
            return
        is_known = self._failed.get(hook) == outcome.message
        self._failed[hook] = outcome.message
        self._log(
            "debug" if is_known else "warning",
            "hook.failed",
            **facts,
            code=outcome.code,
            message=outcome.message,
            output=outcome.output.strip(),
            advice=f"run it by hand, or correct {hook} under [hooks]: {shlex.join(command)}",
        )


def _obstacle(snapshot: Snapshot, profile: str) -> Trouble | None:
    """What keeps a role's session out of the file."""
    error = error_document(snapshot, profile)
    if error is None or error["code"] not in OBSTACLES:
        return None
    code = error["code"]
    return Trouble(f"role {profile}", code, error["message"], error["advice"], 0.0, profile, code)


def _common(snapshot: Snapshot) -> dict[str, Trouble]:
    """What concerns every role."""
    found = {}
    if snapshot.config_error is not None:
        first, *more = snapshot.config_error.problems
        message = f"the configuration has an error: {first}" + (f" (and {len(more)} more)" if more else "")
        advice = "correct it; until then the last good one stays in use"
        subject = due.CONFIGURATION
        found[subject] = Trouble(subject, "", message, advice, due.EDITING, "", "bad")
    if (error := snapshot.delivered.error) is not None:
        message = f"the credentials file is not written: {error.message}"
        subject = due.CREDENTIALS_FILE
        found[subject] = Trouble(subject, "", message, error.advice, due.EDITING, "", "refused")
    return found


def variables(snapshot: Snapshot, change: Change, now: Instant) -> dict[str, str]:
    """What a command is told; a variable is empty where it does not apply."""
    profile = change.profile
    role, facts = snapshot.state.roles.get(profile), snapshot.state.states.get(profile)
    session = facts.session if facts else None
    left = session.left(now) if session else None
    state = ""
    if facts is not None:
        state = condition(facts, left, snapshot.has_delivered(profile), error_document(snapshot, profile))
    told = {
        "EVENT": change.event,
        "PROFILE": profile,
        "ROLE_ARN": role.role_arn if role else "",
        "STATE": state,
        "LEFT_SECONDS": "" if left is None else str(max(0, int(left))),
        "EXPIRATION": iso(session.expiration) if session else "",
        "MESSAGE": change.message,
        "ADVICE": change.advice,
    }
    config = str(snapshot.config.path)  # for a command that runs `assumed`
    return {"ASSUMED_CONFIG": config, **{f"ASSUMED_{name}": redact.clean(text) for name, text in told.items()}}


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """The daemon's environment without what is its own."""
    return {n: v for n, v in environ.items() if n not in SHELL_VARIABLES and not n.startswith(PRIVATE)}
