"""Looking around: the configuration, the AWS files and the credentials file, and what their changes mean."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from assumed import redact
from assumed.aws.files import look_of
from assumed.aws.urls import is_unencrypted
from assumed.aws.variables import ENDPOINT, shown
from assumed.doctor.network import UNENCRYPTED
from assumed.errors import FileRefused
from assumed.model import Instant

from . import words
from .desk import Desk
from .reload import CONFIRM

QUIET = 1.0
"""Seconds for which a changed AWS file is left to settle before our sources are read from it."""

TIDY_AGAIN = 30.0
"""Seconds until sessions of roles that are gone, and that could not be removed, are tried again."""


class Lookout:
    """Main thread only. Events are hints; `look_around`, at each heartbeat, is the truth."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._sources_at: float | None = None
        self._prune_at: float | None = None
        self._refusal = ""
        self._untidy = False
        self._unremembered: str | None = None
        """A configuration that works and that the disk did not take as the last good one."""
        self._looks: list[list[int] | None] = []
        """Of the files beside the credentials file, before they were read; None for one that came into view then."""
        self._plain: set[str] = set()
        """Endpoints without TLS that the log has a warning of."""

    def open(self, now: Instant) -> None:
        """Take over what the disk holds, so that a restart assumes nothing again that is still good."""
        desk = self._desk
        desk.watch.look(now.boot)
        self._look_at_sources()
        with desk.lock:
            desk.book.configure(desk.watch.running.enabled(), desk.files.endpoints(desk.roots()))
            for profile in desk.book.roles:
                self._restore(profile, now)
        self._prune_at = now.boot + CONFIRM
        desk.delivery.want(now.boot, at_once=True)
        desk.touch(desk.book.roles)

    def _restore(self, profile: str, now: Instant) -> None:
        """A session from before a restart is used again; one that its role would not ask for now goes."""
        desk = self._desk
        session = desk.ports.store.load(profile)
        if session is None:
            return
        redact.guard(profile, session.secret_access_key, session.session_token)
        if desk.book.restore(session):
            desk.ports.say("info", "role.restored", profile=profile, left_seconds=round(session.left(now)))
            return
        desk.forget(profile)
        desk.ports.say("info", "role.withdrawn", profile=profile, message=words.ANOTHER_ROLE)

    def next_look(self) -> float | None:
        """When something that was left to settle is to be looked at again, by the boot clock."""
        times = (self._desk.watch.next_look(), self._sources_at, self._prune_at)
        return min((t for t in times if t is not None), default=None)

    def look_around(self, now: Instant) -> None:
        """The heartbeat's look at everything."""
        desk = self._desk
        self.look_at_what_changed(now)
        self.save_what_was_not()
        desk.touch(desk.book.roles)

    def look_at_what_changed(self, now: Instant) -> None:
        """The cheap look, also after every hint: has another program written one of our files?"""
        desk = self._desk
        # First of all: what happens from here on is hinted at, also where a link has just come to lead elsewhere.
        desk.ports.watch()
        self._stand()
        desk.watch.look(now.boot)
        foreign = desk.delivery.look(now.boot)
        looks: list[list[int] | None] = [look_of(path) for path in desk.files.beside()]
        if foreign or looks != self._looks:
            self._looks = looks
            self._sources_at = now.boot + QUIET

    def _stand(self) -> None:
        """Lock, socket and sessions come back when somebody has tidied the state directory away."""
        desk = self._desk
        retaken, refusal = desk.ports.stand()
        if refusal is not None and str(refusal) != self._refusal:
            desk.ports.say("error", "state.refused", message=refusal.message, advice=refusal.advice)
        self._refusal = str(refusal) if refusal else ""
        if not retaken:
            return
        desk.ports.say("warning", "state.restored", message="the state directory was gone; it has been made again")
        self._remember(desk.watch.running.text)
        for state in desk.book.states.values():
            if state.session is not None:
                desk.save(state.session)

    def save_what_was_not(self) -> None:
        """The disk was full or read-only; `credential-process` still finds the session before."""
        desk = self._desk
        for profile in sorted(desk.unsaved):
            state = desk.book.states.get(profile)
            if state is None or state.session is None:
                desk.unsaved.discard(profile)
            else:
                desk.save(state.session)
        if self._unremembered is not None:
            self._remember(self._unremembered)

    def settle(self, now: Instant) -> None:
        """Act on what has come to rest."""
        desk = self._desk
        if desk.wanted:
            desk.watch.look(now.boot)  # the reader may have seen an edit that no event has told of yet
        at = desk.watch.next_look()
        if at is not None and now.boot >= at:
            self.reload(now)
        if self._sources_at is not None and now.boot >= self._sources_at:
            self._sources_at = None
            self._sources_changed(now)
        if self._prune_at is not None and now.boot >= self._prune_at:
            self._prune_at = None if self._tidy() else now.boot + TIDY_AGAIN
            desk.delivery.orphans = True
            desk.delivery.want(now.boot)
        if desk.wanted and desk.watch.is_settled:
            self._store_checked()

    def _store_checked(self) -> None:
        """Store what readers wait for under the configuration as it is now. What it no longer allows is gone by now."""
        desk = self._desk
        for profile in sorted(desk.wanted):
            state, stored = desk.book.states.get(profile), desk.ports.store.stored(profile)
            if state is None or state.session is None:
                continue
            if stored is None or stored.session != state.session or stored.checked != desk.watch.checked:
                desk.save(state.session)
        desk.wanted.clear()

    def reload(self, now: Instant, at_once: bool = False) -> None:
        """Read the configuration; a bad one changes nothing but what status says (promise 10)."""
        desk = self._desk
        desk.ports.watch()
        before, error = desk.watch.running, desk.watch.error
        edit = desk.watch.settle(now.boot, at_once)
        if desk.watch.error is not None and desk.watch.error is not error:
            desk.ports.say("error", "config.rejected", problems=desk.watch.error.problems, message=words.REJECTED)
        if edit is None:
            return
        desk.ports.reconfigured(edit.config.log_level, edit.config.log_format)
        desk.ports.say("info", "config.loaded", **words.changes(before, edit))
        self._mind_sources()
        self._configure(now)
        if edit.confirmed:
            self._remember(edit.config.text)
            self._prune_at = now.boot
        desk.delivery.want(now.boot, at_once=True)

    def _tidy(self) -> bool:
        """Remove the sessions of roles that are gone. False when the disk does not let us: they can still be read."""
        desk, said = self._desk, self._untidy
        try:
            desk.ports.store.prune(set(desk.book.roles))
            self._untidy = False
        except FileRefused as error:
            self._untidy = True
            if not said:
                desk.ports.say("error", "session.not_removed", message=str(error))
        return not self._untidy

    def _remember(self, text: str) -> None:
        said = self._unremembered is not None
        try:
            self._desk.ports.store.keep_config(text)
            self._unremembered = None
        except FileRefused as error:
            self._unremembered = text
            if not said:
                self._desk.ports.say("error", "config.not_remembered", message=error.message, advice=error.advice)

    def look_at_sources_now(self, now: Instant) -> None:
        """A person asks for renewals: by what the AWS files say at this moment."""
        self._mind_sources()
        self._configure(now)

    def _sources_changed(self, now: Instant) -> None:
        """A source that resolves to something else is read anew, and its roles' failures are forgotten."""
        self.look_at_sources_now(now)
        self._desk.delivery.want(now.boot)

    def _mind_sources(self) -> None:
        desk = self._desk
        changed = self._look_at_sources()
        with desk.lock:
            for name in sorted(changed):
                desk.ports.sources.forget(name)
                desk.book.forgive(desk.book.signed_by(name))
                desk.ports.say("info", "source.changed", source=name)

    def _look_at_sources(self) -> set[str]:
        desk = self._desk
        before = desk.files.broken_sources()
        # Before they are read: what is written while we read is looked at again.
        looks = {path: look_of(path) for path in desk.files.beside()}
        changed = desk.files.look(desk.roots())
        self._looks = [looks.get(path) for path in desk.files.beside()]
        self._warn_of_plain_endpoints()
        self._say_what_is_broken(before, desk.files.broken_sources())
        return changed

    def _warn_of_plain_endpoints(self) -> None:
        desk = self._desk
        plain = {url for url in desk.files.endpoints(desk.roots()).values() if url and is_unencrypted(url)}
        for url in sorted(plain - self._plain):
            endpoint = shown(ENDPOINT, url)
            desk.ports.say("warning", "endpoint.unencrypted", endpoint=endpoint, message=UNENCRYPTED)
        self._plain |= plain

    def _say_what_is_broken(self, before: Mapping[Path, FileRefused], after: Mapping[Path, FileRefused]) -> None:
        say = self._desk.ports.say
        for path, error in after.items():
            if str(before.get(path)) != str(error):
                say("error", "aws_file.broken", path=str(path), message=error.message, advice=error.advice)
        for path in before.keys() - after.keys():
            say("info", "aws_file.mended", path=str(path), message="it can be read again")

    def _configure(self, now: Instant) -> None:
        """Hand configuration and endpoints to the book; what they no longer mean loses its session (promise 5)."""
        desk = self._desk
        roles = desk.watch.running.enabled()
        with desk.lock:
            gone = set(desk.book.roles) - {role.profile for role in roles}
            withdrawn = desk.book.configure(roles, desk.files.endpoints(desk.roots()))
        for profile in [*withdrawn, *gone]:
            desk.forget(profile)
            desk.ports.timetable.drop(profile)
        for profile in withdrawn:
            desk.ports.say("info", "role.withdrawn", profile=profile, message=words.ANOTHER_ROLE)
        if withdrawn or gone:
            desk.delivery.want(now.boot, at_once=True)
        desk.touch(desk.book.roles)
