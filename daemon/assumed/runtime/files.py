"""What the disk says: the configuration, the AWS files and the credentials file, and what their changes mean."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assumed import redact
from assumed.aws.files import look_of
from assumed.aws.source import sign_in_of
from assumed.aws.urls import is_unencrypted
from assumed.aws.variables import ENDPOINT, shown
from assumed.config import Config, diff
from assumed.doctor.environment import UNENCRYPTED
from assumed.engine import events as ev
from assumed.errors import FileRefused
from assumed.model import Instant

from .effects import Engine
from .reload import CONFIRM, Edit

QUIET = 1.0
"""Seconds for which a changed AWS file is left to settle before our sources are read from it."""
TIDY_AGAIN = 30.0
"""Seconds until sessions of roles that are gone, and that could not be removed, are tried again."""
REJECTED = "the configuration cannot be used; the last good one stays in use"


class Files:
    """The main loop's eyes. Events are hints; `look_around`, at each heartbeat, is the truth."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sources_at: float | None = None
        self._prune_at: float | None = None
        self._unremembered: str | None = None
        """A configuration that works and that the disk did not take as the last good one."""
        self._looks: list[list[int] | None] = []
        """Of the files beside the credentials file, before they were read; None for one that came into view then."""
        self._plain: set[str] = set()
        """Endpoints without TLS that the log has a warning of."""
        self.sign_ins: Mapping[str, str] = {}
        """Source → what a person signs in to for it."""
        self.watch_error = ""

    def open(self, now: Instant) -> None:
        """Take over what the disk holds, so that a restart assumes nothing again that is still good."""
        engine = self._engine
        engine.config.look(now.boot)
        self._look_at_sources()
        self._configure()
        sessions = [s for profile in engine.state.roles if (s := engine.outside.store.load(profile)) is not None]
        for session in sessions:
            redact.guard(session.profile, session.secret_access_key, session.session_token)
        engine.apply(ev.Restored(tuple(sessions)))
        self._prune_at = now.boot + CONFIRM
        engine.delivery.want(now.boot, at_once=True)

    def next_look(self) -> float | None:
        """When something that was left to settle is to be looked at again, by the boot clock."""
        times = (self._engine.config.next_look(), self._sources_at, self._prune_at)
        return min((t for t in times if t is not None), default=None)

    def look_around(self, now: Instant) -> None:
        """The heartbeat's look at everything."""
        self.look_at_what_changed(now)
        self.save_what_was_not()

    def look_at_what_changed(self, now: Instant) -> None:
        """The cheap look, also after every hint: has another program written one of our files?"""
        engine = self._engine
        # First of all: what happens from here on is hinted at, also where a link has just come to lead elsewhere.
        self._watch()
        self._reclaim()
        engine.config.look(now.boot)
        foreign = engine.delivery.look(now.boot)
        looks: list[list[int] | None] = [look_of(path) for path in engine.files.beside()]
        if foreign or looks != self._looks:
            self._looks = looks
            self._sources_at = now.boot + QUIET

    def _watch(self) -> None:
        self.watch_error = self._engine.outside.watch()
        self._engine.report("watch.failed", self.watch_error, "warning")

    def _reclaim(self) -> None:
        """Lock, socket and sessions come back when the state directory has been removed."""
        engine = self._engine
        retaken, refusal = engine.outside.reclaim()
        engine.report("state.refused", refusal.message if refusal else "", advice=refusal.advice if refusal else "")
        if not retaken:
            return
        message = "the state directory had been removed; created it again"
        engine.outside.log("warning", "state.restored", message=message)
        self._remember(engine.config.running.text)
        for facts in engine.state.states.values():
            if facts.session is not None:
                engine.save(facts.session)

    def save_what_was_not(self) -> None:
        """The disk was full or read-only; `credential-process` still finds the session before."""
        engine = self._engine
        for profile in sorted(engine.unsaved):
            facts = engine.state.states.get(profile)
            if facts is None or facts.session is None:
                engine.unsaved.discard(profile)
            else:
                engine.save(facts.session)
        if self._unremembered is not None:
            self._remember(self._unremembered)

    def settle(self, now: Instant) -> None:
        """Act on what has come to rest."""
        engine = self._engine
        if engine.wanted:
            engine.config.look(now.boot)  # the reader may have seen an edit that no event has told of yet
        at = engine.config.next_look()
        if at is not None and now.boot >= at:
            self.reload(now)
        if self._sources_at is not None and now.boot >= self._sources_at:
            self._sources_at = None
            self.look_at_sources_now()
            engine.delivery.want(now.boot)
        if self._prune_at is not None and now.boot >= self._prune_at:
            self._prune_at = None if self._tidy() else now.boot + TIDY_AGAIN
            engine.delivery.orphans = True
            engine.delivery.want(now.boot)
        if engine.wanted and engine.config.is_settled:
            self._store_checked()

    def _store_checked(self) -> None:
        """Store what readers wait for under the configuration as it is now. What it no longer allows is gone by now."""
        engine = self._engine
        for profile in sorted(engine.wanted):
            facts, stored = engine.state.states.get(profile), engine.outside.store.stored(profile)
            if facts is None or facts.session is None:
                continue
            if stored is None or stored.session != facts.session or stored.checked != engine.config.checked:
                engine.save(facts.session)
        engine.wanted.clear()

    def reload(self, now: Instant, at_once: bool = False) -> None:
        """Read the configuration; a bad one changes nothing but what status says (promise 10)."""
        engine, outside = self._engine, self._engine.outside
        self._watch()
        before, error = engine.config.running, engine.config.error
        edit = engine.config.settle(now.boot, at_once)
        if engine.config.error is not None and engine.config.error is not error:
            outside.log("error", "config.rejected", problems=engine.config.error.problems, message=REJECTED)
        if edit is None:
            return
        outside.reconfigure(edit.config.log_level, edit.config.log_format)
        outside.log("info", "config.loaded", **_changes(before, edit))
        self.look_at_sources_now()
        if edit.confirmed:
            self._remember(edit.config.text)
            self._prune_at = now.boot
        engine.delivery.want(now.boot, at_once=True)

    def _tidy(self) -> bool:
        """Remove the sessions of roles that are gone. False when the disk does not let us: they can still be read."""
        problem = ""
        try:
            self._engine.outside.store.prune(set(self._engine.state.roles))
        except FileRefused as error:
            problem = str(error)
        self._engine.report("session.not_removed", problem)
        return not problem

    def _remember(self, text: str) -> None:
        """Keep a configuration that works, for a start that finds a bad one."""
        self._unremembered, problem, advice = None, "", ""
        try:
            self._engine.outside.store.keep_config(text)
        except FileRefused as error:
            self._unremembered, problem, advice = text, error.message, error.advice
        self._engine.report("config.not_remembered", problem, advice=advice)

    # -- sources ------------------------------------------------------------------------------------------------------

    def look_at_sources_now(self) -> None:
        """Read the AWS files. A source that resolves to something else is read anew, its roles' failures forgotten."""
        engine = self._engine
        changed = self._look_at_sources()
        # In the old configuration a source may have had other roles: they are forgiven as well.
        engine.apply(ev.SourcesChanged(tuple(sorted(changed))))
        self._configure()

    def _look_at_sources(self) -> set[str]:
        engine = self._engine
        before = engine.files.broken_sources()
        # Before they are read: what is written while we read is looked at again.
        looks = {path: look_of(path) for path in engine.files.beside()}
        changed = engine.files.look(engine.roots())
        self._looks = [looks.get(path) for path in engine.files.beside()]
        self.sign_ins = {name: found for name, source in engine.files.sources.items() if (found := sign_in_of(source))}
        self._warn_of_plain_endpoints()
        self._log_what_is_broken(before, engine.files.broken_sources())
        return changed

    def _warn_of_plain_endpoints(self) -> None:
        engine = self._engine
        plain = {url for url in engine.files.endpoints(engine.roots()).values() if url and is_unencrypted(url)}
        for url in sorted(plain - self._plain):
            endpoint = shown(ENDPOINT, url)
            engine.outside.log("warning", "endpoint.unencrypted", endpoint=endpoint, message=UNENCRYPTED)
        self._plain |= plain

    def _log_what_is_broken(self, before: Mapping[Path, FileRefused], after: Mapping[Path, FileRefused]) -> None:
        log = self._engine.outside.log
        for path, error in after.items():
            if str(before.get(path)) != str(error):
                log("error", "aws_file.broken", path=str(path), message=error.message, advice=error.advice)
        for path in before.keys() - after.keys():
            log("info", "aws_file.mended", path=str(path), message="readable again")

    def _configure(self) -> None:
        """Hand configuration and endpoints to the engine; what they no longer mean loses its session (promise 5)."""
        engine = self._engine
        roles = engine.config.running.enabled()
        engine.apply(ev.Configured(tuple(roles), engine.files.endpoints(engine.roots())))


def _changes(before: Config, edit: Edit) -> dict[str, Any]:
    """What an edit of the configuration changes."""
    difference = diff(before, edit.config)
    return {
        "added": list(difference.added),
        "changed": list(difference.changed),
        "removed": list(difference.removed),
        "leaving": list(edit.leaving),
    }
