"""One role kept by whoever needs it, where no daemon runs: `exec`, `serve`, `env` and `credential-process`.

A stored session is used only if the configuration, as it is now, would ask for that very session: otherwise it is
renewed or refused. Sessions go to the store alone: the credentials file is the daemon's. A lock for each role makes one
call to STS of two hundred executors that start together; whoever waits for it finds the session that the first brought.
"""

from __future__ import annotations

import contextlib
import os
import queue
import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from assumed import redact
from assumed.aws.files import AwsFiles
from assumed.clock import SystemClock, machine_id
from assumed.config import Config
from assumed.engine import events as ev
from assumed.engine.apply import apply
from assumed.engine.decide import decide
from assumed.engine.state import State
from assumed.errors import FileRefused, NotKept, RenewalFailed
from assumed.files import explained, make_private_dir, try_lock
from assumed.model import FailureKind, Role, Session
from assumed.paths import aws_config_file, passed_credentials, safe_name
from assumed.runtime.start import guard_environment
from assumed.store import Stamp, Store

if TYPE_CHECKING:
    from assumed.aws.sources import Resolved, Sources

LOOK_AGAIN = 0.02
"""Seconds between two tries for a lock that another process holds."""
LOCKED = 15.0
"""Seconds for which it may, on top of what its source may take: then it asks STS."""


class Alone:
    """The role of one profile and those that sign for it, without a daemon. Not for several threads."""

    def __init__(
        self,
        config: Config,
        profile: str,
        directory: Path,
        inherited: Mapping[str, str],
        *,
        checked: Stamp | None = None,
        locked: bool = False,
    ) -> None:
        """`directory` is the state directory, `inherited` what the environment held of credentials, `checked` the
        version of the file that `config` answers for. `locked`: the profile's own lock is held for us. Raises NotKept.
        """
        guard_environment(inherited)
        self.checked = checked
        self._profile = profile
        self._locked = profile if locked else None
        self._locks = directory / "sessions"
        self._inherited = inherited
        self._credentials_file = config.credentials_file
        self._store = Store(directory, checked=lambda: self.checked)
        self._clock = SystemClock()
        self._state = State(machine_id())
        self._resolved: queue.SimpleQueue[Resolved] = queue.SimpleQueue()
        self._files = AwsFiles(config.credentials_file, aws_config_file(os.environ), os.environ, inherited)
        self.chain = chain(config, profile)
        """The topmost first."""
        self._files.look(self.chain[:1])
        self._apply(ev.Configured(tuple(self.chain), self._files.endpoints(self.chain[:1])))

    @cached_property
    def _sources(self) -> Sources:
        """Made when STS is to be asked: it brings botocore, and most checks end without it."""
        from assumed.aws.sources import Sources

        return Sources(
            self._credentials_file,
            self._inherited,
            self._clock.now,
            self._resolved.put,
            passed=passed_credentials(os.environ),
            learned=lambda source, keys: redact.guard(source, keys.secret_access_key, keys.session_token),
        )

    def source_print(self) -> str:
        """Changes when anything does that the source depends on."""
        return self._files.print_of(self.chain[0])

    def asked(self) -> str:
        """Changes when the request of a role of the chain does, or anything that the source depends on."""
        return " ".join([self.source_print(), *(self._state.requests[role.profile] for role in self.chain)])

    def close(self) -> None:
        """Kill what a source is still waiting for."""
        if "_sources" in self.__dict__:
            self._sources.close()

    def renew_what_is_due(self) -> float:
        """Renew the role, and first those above it, where they are due. Returns the seconds until it is due.

        Raises RenewalFailed with the reason where the role has no session that is good; a failure while it has one
        is asked again by the usual backoff. Raises FileRefused where another process holds a role's lock for too long,
        and where the session cannot be stored: it is kept, and stored the next time.
        """
        self._look_at_the_source()
        for role in self.chain:
            with self._lock(role.profile):
                self._agree_with_the_store(role.profile)
                if decide(self._state, role.profile, self._clock.now()).due_in <= 0:
                    self._renew(role)
        if self.session() is None:
            raise self.failure() or RenewalFailed(
                FailureKind.TRANSIENT, "NoSession", "no session has come", "see `assumed check`"
            )
        return max(LOOK_AGAIN, decide(self._state, self._profile, self._clock.now()).due_in)

    def is_stored_session_current(self) -> bool:
        """Whether the stored session is one that the configuration would ask for now; it is marked as checked."""
        with self._lock(self._profile):
            self._agree_with_the_store(self._profile)
        return self.session() is not None

    def session(self) -> Session | None:
        """The session to hand out: unexpired, and asked for as the configuration says now."""
        session = self._state.states[self._profile].session
        if session is None or session.left(self._clock.now()) <= 0:
            return None
        return session if session.request == self._state.requests[self._profile] else None

    def _look_at_the_source(self) -> None:
        """Keys that were rotated while a job runs for days are read anew, and what they failed with is forgotten."""
        for name in self._files.look(self.chain[:1]):
            self._sources.forget(name)
            self._apply(ev.SourcesChanged((name,)))

    def _agree_with_the_store(self, profile: str) -> None:
        """The daemon or another process may have brought a session; one that is not the role's any more is not used.
        One of ours that the disk did not take, or has lost, is stored: readers find nothing else."""
        there, known, now = self._store.stored(profile), self._state.states[profile].session, self._clock.now()
        role_arn = self._state.roles[profile].role_arn
        if there is not None and not (
            self._state.identities.get(profile) == there.session.identity and there.session.is_of(role_arn)
        ):
            there = None
        if known is not None and known.left(now) > (there.session.left(now) if there else 0.0):
            self._store.save(known)
            return
        if there is None:
            return
        session = there.session
        if session != known:
            redact.guard(profile, session.secret_access_key, session.session_token)
            self._apply(ev.Started(profile))
            self._apply(ev.Renewed(self._state.in_flight[profile], session))
        if there.checked != self.checked and session.request == self._state.requests[profile]:
            with contextlib.suppress(FileRefused):  # a read-only state: the next reader compares as well
                self._store.save(session)

    def _apply(self, event: ev.Event) -> None:
        """The engine's state alone: nothing is planned here, and what it logs is the daemon's."""
        self._state = apply(event, self._state, self._clock.now()).state

    def _renew(self, role: Role) -> None:
        from assumed.aws.sts import assume

        if not self._can_sign(self.chain[0]):
            return
        self._apply(ev.Started(role.profile))
        order = self._state.in_flight[role.profile]
        try:
            client = self._sources.client(self.chain[0], role, self._state.parent_session(role))
            session: Session = assume(client, order, self._clock.now).session
        except RenewalFailed as failure:
            self._apply(ev.NotRenewed(order, failure))
            return
        except Exception as error:  # noqa: BLE001 - as in the daemon: whatever it is, a job of days must not end by it
            structlog.get_logger().error("role.renewal_crashed", profile=role.profile, exc_info=error)
            failed = RenewalFailed(FailureKind.TRANSIENT, type(error).__name__, "a fault in assumed", "see stderr")
            self._apply(ev.NotRenewed(order, failed))
            return
        redact.guard(role.profile, session.secret_access_key, session.session_token)
        self._apply(ev.Renewed(order, session))
        self._store.save(session)

    def _can_sign(self, root: Role) -> bool:
        if self._sources.ready(root):
            return True
        if not self._sources.resolve(root, self._files.sources.get(root.source())):
            return False  # a helper that outlived its deadline has not come back yet; that it failed was told then
        failure = self._resolved.get().failure
        if failure is not None:
            self._apply(ev.SourceFailed(root.source(), failure))
        return failure is None

    def failure(self) -> RenewalFailed | None:
        """The failure of the role, or of the nearest one above that has failed."""
        for role in reversed(self.chain):
            failure = self._state.states[role.profile].failure
            if failure is not None:
                return RenewalFailed(failure.kind, failure.code, failure.message, failure.advice)
        return None

    @contextlib.contextmanager
    def _lock(self, profile: str) -> Iterator[None]:
        if profile == self._locked:
            yield
            return
        make_private_dir(self._locks)
        path = self._locks / f"{safe_name(profile)}.lock"
        with explained("lock", path):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            deadline = time.monotonic() + LOCKED + self.chain[0].helper_timeout_seconds
            while not try_lock(fd):
                if time.monotonic() > deadline:
                    raise FileRefused(f"another process is still renewing {profile}", "Try again in a moment")
                time.sleep(LOOK_AGAIN)
            yield
        finally:
            os.close(fd)


def chain(config: Config, profile: str) -> list[Role]:
    """The role of a profile and those that sign for it, the topmost first. Raises NotKept."""
    roles = {role.profile: role for role in config.enabled()}
    if profile not in roles:
        raise NotKept(profile, list(roles))
    found = [roles[profile]]
    while found[0].parent is not None:
        found.insert(0, roles[found[0].parent])
    return found
