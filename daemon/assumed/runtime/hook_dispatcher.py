"""Tells what has changed to the commands of `[hooks]`. Main thread only; the commands run in a thread of their own.

Compares how things stand with what has been told (hooks.due) whenever something may have changed, and at each
heartbeat. What has been told is kept in the state directory: a restart tells nothing again, and what a stop has cut
off is told by the next start. After a boot, what still needs a person is told once more: who sat there is gone.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping

from assumed.aws.source import sign_in_of
from assumed.config import Hooks
from assumed.errors import FileRefused
from assumed.hooks import due as hooks
from assumed.hooks.due import Change, Told, Trouble, Verdict
from assumed.model import Instant

from .desk import Desk
from .hook_environment import errand
from .inbox import Ran
from .status import Known, last_error

AHEAD = 20
"""Changes that are made ready at a time: one command runs after the other, and a burst of a thousand renewals would
make a thousand environments for each of them."""


class Herald:
    """`tick` after everything else has been done."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._told: Told | None = None
        """None while no hook is configured."""
        self._verdicts: dict[str, Verdict] = {}
        self._since: dict[str, tuple[str, float]] = {}
        """Subject → mark of its trouble, and since when it stands."""
        self._delivered: Mapping[str, str] = {}
        self._hindered: set[str] = set()
        """Profiles that something keeps out of the file, as of the last look."""
        self._offered: list[tuple[Change, Hooks]] = []
        self._failed: dict[str, str] = {}
        """Hook → how it failed last: said once."""
        self._unkept = False
        self.due_at: float | None = None
        """When a trouble becomes a person's, by the boot clock; None while time alone changes nothing."""

    def open(self, now: Instant) -> None:
        """Recall what has been told; where nothing has, the sessions from before the start are no news."""
        self._hooks(now)

    def tick(self, now: Instant) -> None:
        """Offer what is to be told."""
        if self._hooks(now) is None:
            return
        self._look(now)
        troubles = hooks.troubles(self._verdicts, self._common())
        since = self._standing(troubles, now)
        ends = (since[subject] + trouble.stands for subject, trouble in troubles.items())
        self.due_at = min((at for at in ends if now.boot < at < math.inf), default=None)
        told = self._told or Told()
        self._offer(hooks.due(told, self._verdicts, troubles, since, now.boot), now)

    def _standing(self, troubles: Mapping[str, Trouble], now: Instant) -> dict[str, float]:
        """Since when each trouble stands, by the boot clock; another mark is another trouble."""
        before, self._since = self._since, {}
        for subject, trouble in troubles.items():
            mark, at = before.get(subject, ("", 0.0))
            self._since[subject] = (trouble.mark, at if mark == trouble.mark else now.boot)
        return {subject: at for subject, (_, at) in self._since.items()}

    def ran(self, message: Ran, now: Instant) -> None:
        """A command has ended: what it was to tell has been told, however it went."""
        desk, done, outcome = self._desk, message.errand, message.outcome
        if desk.ports.hooks is not None:
            desk.ports.hooks.acknowledge(done.key)
        if self._told is not None and isinstance(done.key, Change):
            self._tell(hooks.after(self._told, done.key), now)
        facts = {"hook": done.hook, "took_seconds": round(outcome.seconds, 3)}
        if outcome.is_well:
            self._failed.pop(done.hook, None)
            desk.ports.say("debug", "hook.ran", **facts)
            return
        said = self._failed.get(done.hook) == outcome.message
        self._failed[done.hook] = outcome.message
        desk.ports.say(
            "debug" if said else "warning",
            "hook.failed",
            **facts,
            code=outcome.code,
            message=outcome.message,
            output=outcome.output.strip(),
            advice=f"run it by hand, or correct {done.hook} under [hooks]: {shlex.join(done.argv)}",
        )

    def close(self, now: Instant) -> None:
        """Let the command under way end, and keep what it has told."""
        runner, inbox = self._desk.ports.hooks, self._desk.inbox
        if runner is None:
            return
        runner.close()
        while not inbox.empty():
            message = inbox.get_nowait()
            if isinstance(message, Ran):
                self.ran(message, now)

    # -- what there is to tell ----------------------------------------------------------------------------------

    def _hooks(self, now: Instant) -> Told | None:
        """What has been told; None where nobody is to be."""
        desk = self._desk
        if desk.ports.hooks is None or not desk.watch.running.hooks.commands():
            if self._told is not None and desk.ports.hooks is not None:
                desk.ports.hooks.offer([])
            self._told, self._verdicts, self.due_at = None, {}, None
            return None
        if self._told is None:
            desk.unheard |= set(desk.book.roles)
            self._told = self._recalled(now)
        return self._told

    def _recalled(self, now: Instant) -> Told:
        kept = self._desk.ports.store.told()
        if kept is None:
            with self._desk.lock:
                sessions = {p: s.session.access_key_id for p, s in self._desk.book.states.items() if s.session}
            return Told({profile: hooks.mark_of(key) for profile, key in sessions.items()})
        marks = {
            name: {str(k): str(v) for k, v in part.items()} if isinstance(part := kept.get(name), dict) else {}
            for name in ("sessions", "failures", "needs")
        }
        if kept.get("boot_id") != now.boot_id:
            return Told(marks["sessions"])
        return Told(**marks)

    def _look(self, now: Instant) -> None:
        """Judge the roles that may have changed."""
        desk = self._desk
        heard, desk.unheard = desk.unheard, set()
        delivered = desk.delivery.delivered
        if delivered is not self._delivered:
            both = {**self._delivered, **delivered}
            heard |= {profile for profile in both if self._delivered.get(profile) != delivered.get(profile)}
            self._delivered = delivered
        hindered = {*desk.delivery.refused, *desk.delivery.overwritten_by}
        heard |= self._hindered | hindered
        self._hindered = hindered
        first = not self._verdicts
        with desk.lock:
            for profile in heard & desk.book.roles.keys():
                self._verdicts[profile] = self._verdict(profile, now)
            gone = self._verdicts.keys() - desk.book.roles.keys()
        for profile in gone:
            del self._verdicts[profile]
        told = self._told
        if told is not None and (first or gone or told.failures or told.needs):
            self._told = hooks.pruned(told, self._verdicts)

    def _verdict(self, profile: str, now: Instant) -> Verdict:
        desk = self._desk
        key = "" if profile in desk.unsaved else self._delivered.get(profile, "")
        role = desk.book.roles[profile]
        source = desk.files.sources.get(desk.book.root(role).source())
        return hooks.verdict(
            role,
            desk.book.states[profile],
            desk.book.decide(profile, now),
            now,
            session=hooks.mark_of(key) if key else "",
            obstacle=self._obstacle(profile),
            sign_in=sign_in_of(source) if source is not None else "",
        )

    def _obstacle(self, profile: str) -> Trouble | None:
        """What keeps a role's session out of the file."""
        delivery = self._desk.delivery
        error = last_error(
            Known(refusal=delivery.refused.get(profile), overwritten_by=delivery.overwritten_by.get(profile, ""))
        )
        if error is None:
            return None
        code = error["code"]
        return Trouble(f"role {profile}", code, error["message"], error["advice"], 0.0, profile, code)

    def _common(self) -> dict[str, Trouble]:
        """What is everybody's."""
        desk, found = self._desk, {}
        if desk.watch.error is not None:
            first, *more = desk.watch.error.problems
            message = f"the configuration has an error: {first}" + (f" (and {len(more)} more)" if more else "")
            advice = "correct it; until then the last good one goes on"
            found[hooks.CONFIGURATION] = Trouble(hooks.CONFIGURATION, "", message, advice, hooks.EDITING, "", "bad")
        if (error := desk.delivery.error) is not None:
            message = f"the credentials file is not written: {error.message}"
            file = hooks.CREDENTIALS_FILE
            found[file] = Trouble(file, "", message, error.advice, hooks.EDITING, "", "refused")
        return found

    # -- telling it ---------------------------------------------------------------------------------------------

    def _offer(self, changes: list[Change], now: Instant) -> None:
        desk, told, configured = self._desk, self._told, self._desk.watch.running.hooks
        if told is None or desk.ports.hooks is None:
            return
        commands = configured.commands()
        silent = {change for change in changes if hooks.needs_no_command(told, change, commands)}
        for change in silent:
            told = hooks.after(told, change)
        self._told = told
        if any(change.event != "renewed" for change in silent):
            self._tell(told, now)
        loud = [(change, configured) for change in changes if change not in silent][:AHEAD]
        if loud == self._offered:
            return
        self._offered = loud
        desk.ports.hooks.offer([errand(desk, change, now) for change, _ in loud])

    def _tell(self, told: Told, now: Instant) -> None:
        """Record what has been told, also for the next start."""
        self._told, said = told, self._unkept
        desk = self._desk
        document = {"boot_id": now.boot_id, "sessions": told.sessions, "failures": told.failures, "needs": told.needs}
        try:
            desk.ports.store.keep_told(document)
            self._unkept = False
        except FileRefused as error:
            self._unkept = True
            if not said:
                desk.ports.say("warning", "hook.not_remembered", message=error.message, advice=error.advice)
