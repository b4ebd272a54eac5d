"""Renewal without a daemon: one role and those that sign for it, for `exec`, `serve`, `env` and `credential-process`.

A stored session is used only if the configuration as it is now would ask for that very session; otherwise it is
renewed or refused. Sessions go to the store alone: the credentials file is the daemon's. A lock for each role makes one
call to STS of two hundred executors that start together; those that wait find the session that the first one stored.

Run as a module it is the process that `credential-process` starts where no daemon answers.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from assumed import logs, redact
from assumed.aws.files import AwsFiles
from assumed.aws.variables import ENDPOINT_VARIABLES
from assumed.clock import SystemClock, machine_id
from assumed.config import Config, find, host_facts, load, read
from assumed.engine import events as ev
from assumed.engine.apply import apply
from assumed.engine.decide import decide
from assumed.engine.groups import HELPER_TIMEOUT, ONCE_MORE
from assumed.engine.schedule import retry_delay
from assumed.engine.state import Order, State
from assumed.errors import AssumedError, ConfigError, FileRefused, NotKept, RenewalFailed
from assumed.files import try_lock, write_atomic
from assumed.model import Failure, FailureKind, Role, Session
from assumed.paths import aws_config_file, exists, passed_credentials
from assumed.privacy import close_off
from assumed.runtime.start import guard_environment, take_shell_variables
from assumed.store import Stamp, Store, stamp_of

if TYPE_CHECKING:
    from assumed.aws.sources import Resolved, Sources

POLL = 0.02
"""Seconds between two tries for a lock that another process holds."""
LOCK_PATIENCE = 15.0
"""Seconds to wait for it, on top of what its source may take: its holder asks STS."""
LONGEST_NOTE = 2 * 3600
"""Seconds: a note that holds for longer was written under another clock."""


class RoleRenewer:
    """Renews the role of one profile and those that sign for it. For one thread."""

    def __init__(
        self,
        config: Config,
        profile: str,
        store: Store,
        inherited: Mapping[str, str],
        *,
        checked: Stamp | None = None,
        is_locked: bool = False,
    ) -> None:
        """`inherited`: what the environment held of credentials. `checked`: the version of the file that `config`
        answers for. `is_locked`: the caller holds the profile's own lock. Raises NotKept."""
        guard_environment(inherited)
        self.checked = checked
        self.chain = chain(config, profile)
        """The topmost first."""
        self._locked = profile if is_locked else None
        self._inherited = inherited
        self._credentials_file = config.credentials_file
        self._store = Store(store.directory, checked=lambda: self.checked)
        self._clock = SystemClock()
        self._state = State(machine_id())
        self._resolved: queue.SimpleQueue[Resolved] = queue.SimpleQueue()
        self._files = AwsFiles(config.credentials_file, aws_config_file(os.environ), os.environ, inherited)
        self._files.look(self.chain[:1])
        self._apply(ev.Configured(tuple(self.chain), self._files.endpoints(self.chain[:1])))

    @cached_property
    def _sources(self) -> Sources:
        """Made when STS is to be asked: it imports botocore, and most checks end without it."""
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

    def request_print(self) -> str:
        """Changes when the request of a role of the chain does, or anything that the source depends on."""
        return " ".join([self.source_print(), *(self._state.requests[role.profile] for role in self.chain)])

    def close(self) -> None:
        """Kill the helper that a source still waits for."""
        if "_sources" in self.__dict__:
            self._sources.close()

    def renew(self) -> float:
        """Renew the role, and first those above it, where they are due. Returns the seconds until it is due.

        Raises RenewalFailed where the role has no good session; a failure while it has one is retried by the usual
        backoff. Raises FileRefused where another process holds a role's lock for too long, and where the session
        cannot be stored: it is kept, and stored the next time.
        """
        self._apply(ev.SourcesChanged(tuple(self._files.look(self.chain[:1]))))  # keys may be rotated meanwhile
        for role in self.chain:
            with self._lock(role.profile):
                self._read_store(role)
                if decide(self._state, role.profile, self._clock.now()).due_in <= 0:
                    self._renew(role)
        if self.session() is None:
            failure = self.failure() or Failure(
                FailureKind.TRANSIENT, "NoSession", "no session yet", "see `assumed check`", self._clock.now()
            )
            raise RenewalFailed(failure.kind, failure.code, failure.message, failure.advice)
        return max(POLL, decide(self._state, self.chain[-1].profile, self._clock.now()).due_in)

    def check(self) -> bool:
        """Whether the configuration would ask for the stored session now; if so, it is marked as checked."""
        with self._lock(self.chain[-1].profile):
            self._read_store(self.chain[-1])
        return self.session() is not None

    def session(self) -> Session | None:
        """The session to hand out: unexpired, and requested as the configuration says now."""
        profile = self.chain[-1].profile
        session = self._state.states[profile].session
        if session is None or session.left(self._clock.now()) <= 0:
            return None
        return session if session.request == self._state.requests[profile] else None

    def failure(self) -> Failure | None:
        """The failure of the role, or of the nearest one above that has failed."""
        failures = (self._state.states[role.profile].failure for role in reversed(self.chain))
        return next(filter(None, failures), None)

    def _read_store(self, role: Role) -> None:
        """The daemon or another process may have stored a session; one that is no longer the role's is not used. One of
        ours that is missing there is stored: readers find nothing else."""
        profile, now = role.profile, self._clock.now()
        stored, known = self._store.stored(profile), self._state.states[profile].session
        if stored is not None and not (
            self._state.identities.get(profile) == stored.session.identity and stored.session.is_of(role.role_arn)
        ):
            stored = None
        if known is not None and known.left(now) > (stored.session.left(now) if stored else 0.0):
            self._store.save(known)
            return
        if stored is None:
            return
        session = stored.session
        if session != known:
            self._apply(ev.Started(profile))
            self._take(self._state.in_flight[profile], session)
        if stored.checked != self.checked and session.request == self._state.requests[profile]:
            with contextlib.suppress(FileRefused):  # a read-only state: the next reader compares as well
                self._store.save(session)

    def _take(self, order: Order, session: Session) -> None:
        redact.guard(order.role.profile, session.secret_access_key, session.session_token)
        self._apply(ev.Renewed(order, session))

    def _apply(self, event: ev.Event) -> None:
        """The engine's state, and sources to be read anew: nothing is planned here; what it logs is for the daemon."""
        applied = apply(event, self._state, self._clock.now())
        self._state = applied.state
        for source in [effect.source for effect in applied.effects if isinstance(effect, ev.ForgetSource)]:
            self._sources.forget(source)

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
        except Exception as error:  # noqa: BLE001 - as in the daemon: no fault may end a job of days
            structlog.get_logger().error("role.renewal_crashed", profile=role.profile, exc_info=error)
            failed = RenewalFailed(FailureKind.TRANSIENT, type(error).__name__, "a fault in assumed", "see stderr")
            self._apply(ev.NotRenewed(order, failed))
            return
        self._take(order, session)
        self._store.save(session)

    def _can_sign(self, root: Role) -> bool:
        if self._sources.ready(root):
            return True
        if not self._sources.resolve(root, self._files.sources.get(root.source())):
            return False  # a helper that outlived its deadline still runs; its failure was reported then
        failure = self._resolved.get().failure
        if failure is not None:
            self._apply(ev.SourceFailed(root.source(), failure))
        return failure is None

    @contextlib.contextmanager
    def _lock(self, profile: str) -> Iterator[None]:
        if profile == self._locked:
            yield
            return
        fd = self._store.open_lock(profile)
        try:
            deadline = time.monotonic() + LOCK_PATIENCE + self.chain[0].helper_timeout_seconds
            while not try_lock(fd):
                if time.monotonic() > deadline:
                    raise FileRefused(f"another process is still renewing {profile}", "Try again in a moment")
                time.sleep(POLL)
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


def main(arguments: list[str]) -> int:
    """`python -I -m assumed.jobs.renewal renew STATE PROFILE CONFIG`: for `credential-process`, which holds the lock of
    the profile. CONFIG is the file that the stored session was checked against; empty: the daemon's. `check` in place
    of `renew` asks STS for nothing. Returns 0 where the configuration asks for the stored session now; what is in the
    way is one line on stderr.
    """
    close_off()
    what, directory, profile, named = arguments[0], Path(arguments[1]), arguments[2], arguments[3]
    inherited = take_shell_variables(os.environ)
    store = Store(directory)
    place = store.place()
    try:
        _restore_environment(place)
        config, checked = _configuration(named or place.get("config", ""), store)
        logs.configure("error", config.log_format, sys.stderr)
        renewer = RoleRenewer(config, profile, store, inherited, checked=checked, is_locked=True)
        with contextlib.closing(renewer):
            problem = _problem(what, renewer, store)
    except (AssumedError, OSError) as error:
        problem = str(error)
    if problem:
        sys.stderr.write(f"assumed: {redact.printable(problem)}\n")
    return 1 if problem else 0


def _problem(what: str, renewer: RoleRenewer, store: Store) -> str:
    """What is in the way of the stored session, after a renewal if one is due; empty where it is good."""
    profile = renewer.chain[-1].profile
    note = store.path(profile, ".failure")
    problem = noted_problem(note, renewer)
    if (problem or what == "check") and renewer.check():
        return ""
    if problem or what == "check":
        return problem or f"the session of {profile} is not what the configuration says now"
    try:
        renewer.renew()
    except RenewalFailed as failed:
        return f"{failed}; {failed.advice}"
    finally:
        _write_note(note, renewer)
    return ""


def _configuration(named: str, store: Store) -> tuple[Config, Stamp | None]:
    """The configuration to hand out by, and the version of its file: the last good one of this state directory where
    the file is bad, or cannot be seen from here (a container that mounts `~/.aws` alone). Raises ConfigError."""
    is_last_good = not named and store.last_good.exists()
    path = store.last_good if is_last_good else find(Path(named) if named else None, os.environ)
    checked = stamp_of(path)
    try:
        return load(read(path), path, os.environ, host=host_facts()), checked
    except ConfigError:
        if not store.last_good.exists():
            raise
        return load(read(store.last_good), path, os.environ, host=host_facts()), checked


def noted_problem(note: Path, renewer: RoleRenewer) -> str:
    """What this request has failed with, while STS is not to be asked again: SDKs run their process for every request.
    A helper that hung is started again once what it depends on has changed, or once later (see `engine.decide`)."""
    noted = _read_note(note)
    if not noted:
        return ""
    session, at = note.with_suffix(".json"), note.stat().st_mtime
    is_late = noted["count"] == 1 and time.time() - at >= ONCE_MORE
    is_over = exists(session) and (is_late or session.stat().st_mtime > at)
    is_hung = noted["code"] == HELPER_TIMEOUT and noted["source"] == renewer.source_print()
    is_held = noted["request"] == renewer.request_print() and 0 < noted["until"] - time.time() <= LONGEST_NOTE
    return str(noted["problem"]) if is_held or (is_hung and not is_over) else ""


def _write_note(note: Path, renewer: RoleRenewer) -> None:
    failure, noted, request = renewer.failure(), _read_note(note), renewer.request_print()
    if failure is None:
        note.unlink(missing_ok=True)
        return
    count = noted["count"] + 1 if noted.get("request") == request else 1
    noted = {
        "until": time.time() + retry_delay(failure.kind, count, 0.0),
        "count": count,
        "request": request,
        "source": renewer.source_print(),
        "code": failure.code,
        "problem": f"{failure.code}: {failure.message}; {failure.advice}",
    }
    write_atomic(note, json.dumps(noted).encode(), durable=False)


def _read_note(note: Path) -> dict[str, Any]:
    """The last failure that was noted; empty where there is none, or an earlier version wrote it."""
    try:
        return dict(json.loads(note.read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}


def _restore_environment(place: Mapping[str, str]) -> None:
    """Use the AWS files and the endpoint that the daemon uses, whatever the consumer's environment names."""
    files = {"AWS_SHARED_CREDENTIALS_FILE": "credentials_file", "AWS_CONFIG_FILE": "aws_config"}
    for variable, name in (files | {name: name for name in ENDPOINT_VARIABLES}).items():
        if name in place:  # an earlier version did not record all of them
            os.environ[variable] = place[name]
            if not place[name]:
                del os.environ[variable]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
