"""Sessions for the consumers of one process (`exec`, `serve`, `env`): the daemon's, or our own where none runs."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from assumed.aws.files import Sections
from assumed.clock import SystemClock
from assumed.config import Config
from assumed.engine.schedule import PASSING, is_late
from assumed.errors import (
    AssumedError,
    ConfigError,
    NotAnswering,
    NotKept,
    NotRunning,
    OtherConfiguration,
    RenewalFailed,
)
from assumed.model import Session
from assumed.paths import aws_config_file, socket_path
from assumed.privacy import hide_memory
from assumed.runtime.control import ask
from assumed.runtime.start import take_shell_variables, usable_config
from assumed.state import claim
from assumed.store import Stamp, Store, account_of, is_same, shown_expiration, stamp_of

from . import consumer
from .endpoint import Reply, refusal

if TYPE_CHECKING:
    from .renewal import RoleRenewer

HEARTBEAT = 30.0
"""Seconds between two looks at a profile, at most."""
LOOK_SHARE = 0.1
"""The same as a share of a session's life: with sessions of seconds a daemon that has died must be noticed sooner."""
RETRY, POLL = 1.0, 0.05
"""Seconds until the next look at a profile that has no session, and at one whose session comes in a moment."""
FIRST_RETRY = 6.0
"""Seconds in which the first failure of a session is retried: the first backoff of what may pass is 3-5.5 s."""
SILENT = 10.0
"""Seconds for which a consumer without a session waits for a daemon that runs and does not answer."""
STUCK = 300.0
"""Seconds after which a look that has not ended never will: a lock (45 s), a source (30 s) and STS (13 s) are waited
for, some of them for each role of a chain. A session of an hour still has 20 minutes left when it is due."""
PREFIX, LIVENESS, READINESS = "/role/", "/livez", "/readyz"

Report = Callable[[str, str], None]
"""report(profile, problem): a renewal from here has failed; with "" when it works again."""


@dataclass(frozen=True, slots=True)
class Look:
    """The outcome of a look at a profile: seconds until the next one, why there is no session, and whether no retry
    within seconds can help: it is a refusal that does not pass by itself, or the first retry has failed, too."""

    pause: float
    problem: str = ""
    is_final: bool = False


@contextmanager
def session_provider(config_path: Path | None, profiles: Sequence[str], report: Report) -> Iterator[SessionProvider]:
    """A provider for these profiles, closed in the end. Raises ConfigError, NotKept."""
    hide_memory()
    inherited = take_shell_variables(os.environ)
    config, error = usable_config(config_path)
    if error is not None:
        report("using the last good configuration", str(error))
    enabled = [role.profile for role in config.enabled()]
    for profile in profiles:
        if profile not in enabled:
            raise NotKept(profile, enabled, any(role.profile == profile for role in config.roles))
    provider = SessionProvider(config, profiles, claim(config.credentials_file), inherited, report)
    try:
        yield provider
    finally:
        provider.close()


def path_of(profile: str) -> str:
    """Where the endpoint answers for a profile."""
    return PREFIX + quote(profile, safe="")


class SessionProvider:
    """Keeps the sessions of `profiles` good from `start` to `close`, and hands them out from any thread."""

    def __init__(
        self, config: Config, profiles: Sequence[str], directory: Path, inherited: Mapping[str, str], report: Report
    ) -> None:
        self._config, self._inherited, self._report = config, inherited, report
        self._profiles = tuple(profiles)
        self._store = Store(directory)
        self._socket = socket_path(directory)
        self._clock = SystemClock()
        self._renewers: dict[str, RoleRenewer] = {}
        self._checked: dict[str, tuple[str, Stamp | None]] = {}
        """Profile → the access key id of a session that was compared with that version of the configuration, whatever
        the store could note."""
        self._problems: dict[str, str] = {}
        self._looked_at = time.monotonic()
        self._silent_since: float | None = None
        """Since when the daemon has not answered; None while it does, or does not run."""
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="provider", daemon=True)

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def close(self) -> None:
        """Stop; a renewal that is under way is not waited for."""
        self._closing = True
        self._wake.set()
        for renewer in list(self._renewers.values()):
            renewer.close()

    def wait_for(self, profile: str, within: float, waiting: Callable[[], None] = lambda: None) -> Session:
        """The session of a profile, as soon as there is a good one; `waiting` is called over and over. Before `start`.

        Raises AssumedError with the reason why there is none `within` seconds. A failure that may pass by itself is
        waited out for one retry, a refusal ends the wait at once.
        """
        deadline = time.monotonic() + within
        while (session := self.session(profile)) is None:
            look = self._look(profile)
            if look.problem:
                deadline = min(deadline, time.monotonic() + FIRST_RETRY)
            if look.is_final or time.monotonic() > deadline:
                why = look.problem or "the daemon has not renewed it in time; `assumed status` says why"
                raise AssumedError(f"no session of {profile}: {why}")
            waiting()
            time.sleep(POLL)
        return session

    def session(self, profile: str) -> Session | None:
        """The session to hand out now: the stored one, if it is unexpired and what the configuration says as it is now.
        Nothing is kept in memory: a session that the daemon withdraws because its role changed must be gone here."""
        stored = self._store.stored(profile)
        if stored is None or stored.session.left(self._clock.now()) <= 0:
            return None
        version = stamp_of(self._config.path)
        if is_same(stored.checked, version) or self._checked.get(profile) == (stored.session.access_key_id, version):
            return stored.session
        self._wake.set()
        return None

    def settings_of(self, profile: str) -> str:
        """An AWS config file for a consumer of this profile: its settings, and no credentials."""
        return consumer.configuration(Sections(aws_config_file(os.environ)), profile)

    def region_of(self, profile: str) -> str | None:
        """The region of a profile: that of `~/.aws/config` first, as everywhere in AWS."""
        own, role = Sections(aws_config_file(os.environ))(f"profile {profile}") or {}, self._config.role(profile)
        return own.get("region") or (role.region if role else None)

    def answer(self, path: str) -> Reply | None:
        """The endpoint's answer for a path: a session, or our health (`assumed probe` asks)."""
        if path in {LIVENESS, READINESS}:
            return self._health(path)
        profile = unquote(path.removeprefix(PREFIX))
        if profile not in self._profiles or path != path_of(profile):
            return refusal(404, "NoSuchRole", "this endpoint serves other roles")
        session = self.session(profile)
        if session is None:
            self._wake.set()
            return None
        role = self._config.role(profile)
        return 200, {
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": session.secret_access_key,
            "Token": session.session_token,
            "Expiration": shown_expiration(session, self._clock.now()),
            "RoleArn": role.role_arn if role else "",
            **({"AccountId": account} if (account := account_of(session)) else {}),
        }

    def _health(self, path: str) -> Reply:
        """Liveness is what a restart would mend, readiness what consumers find. While the sessions live, an outage of
        STS is neither: a restart would take them away from a job for nothing."""
        silence = time.monotonic() - self._looked_at
        if silence > STUCK:
            return refusal(503, "Stuck", f"no profile has been looked after for {silence:.0f} s")
        without = [profile for profile in self._profiles if self.session(profile) is None]
        if path == READINESS and without:
            return refusal(503, "NotReady", f"no session with life left: {', '.join(without)}")
        return 200, {"profiles": list(self._profiles)}

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(min(self._look_after(profile) for profile in self._profiles))
            self._wake.clear()

    def _look_after(self, profile: str) -> float:
        """Look, whatever happens: the consumer may run for days yet, and nothing would start this thread again."""
        try:
            look = self._look(profile)
        except AssumedError as error:
            look = Look(RETRY, str(error))
        except Exception as error:  # noqa: BLE001 - reported and retried
            look = Look(RETRY, f"a fault in assumed ({type(error).__name__}: {error}); retried")
        if look.problem != self._problems.get(profile, ""):
            self._problems[profile] = look.problem
            with suppress(OSError):  # our stderr is gone (`2>&1 | head`), or its disk is full
                self._report(profile, look.problem)
        self._looked_at = time.monotonic()
        return look.pause

    def _look(self, profile: str) -> Look:
        """Have the profile renewed if it is due. Raises OtherConfiguration."""
        version = stamp_of(self._config.path)
        try:
            request = {"command": "look", "profiles": [profile], "config": str(self._config.path)}
            answer = ask(self._socket, request, timeout=1.0)
            self._silent_since = None
            if "another" in answer:
                raise OtherConfiguration(answer["another"], self._config.path)
            if profile in answer.get("accepted", ()):
                return self._kept_by_the_daemon(profile, version)
        except NotRunning:
            self._silent_since = None
        except NotAnswering:
            if self._is_left_to_the_daemon(profile):
                return Look(RETRY)
        try:
            return self._renew(profile, version)
        except AssumedError as error:
            return Look(RETRY, str(error), is_final=True)

    def _kept_by_the_daemon(self, profile: str, version: Stamp | None) -> Look:
        """It marks the session as checked in a moment."""
        stored = self._store.stored(profile)
        if stored is not None and (stored.checked is None or version is None):
            # a daemon of an earlier version, or a configuration that cannot be seen from here
            self._checked[profile] = stored.session.access_key_id, version
        session = self.session(profile)
        if session is not None:
            return Look(min(HEARTBEAT, session.life * LOOK_SHARE))
        if stored is not None and stored.session.left(self._clock.now()) > 0:
            return Look(POLL)
        for role in ask(self._socket, {"command": "status"}).get("roles", []):
            if role["profile"] == profile and (error := role["last_error"]):
                return Look(RETRY, f"{error['message']}; {error['advice']}", role.get("failures", 0) > 1)
        return Look(RETRY)

    def _is_left_to_the_daemon(self, profile: str) -> bool:
        """Whether to wait for a daemon that runs and does not answer. Renewing beside one that is merely busy asks STS
        twice; waiting for one that is stopped costs a job its session. So: while there is a session that is not late,
        and for SILENT seconds where there is none. What follows is one renewal, under the role's lock."""
        self._silent_since = self._silent_since or time.monotonic()
        session = self.session(profile)
        if session is None:
            return time.monotonic() - self._silent_since < SILENT
        return not is_late(session.left(self._clock.now()), session.life)

    def _renew(self, profile: str, version: Stamp | None) -> Look:
        """Renew it from here. Raises AssumedError."""
        renewer = self._renewer(profile)
        renewer.checked = version
        try:
            pause = renewer.renew()
        except RenewalFailed as failed:
            failure = renewer.failure()
            is_final = failure is not None and (failure.kind not in PASSING or failure.count > 1)
            return Look(RETRY, f"{failed}; {failed.advice}", is_final)
        if (session := renewer.session()) is not None:
            self._checked[profile] = session.access_key_id, version
        return Look(min(HEARTBEAT, pause))

    def _renewer(self, profile: str) -> RoleRenewer:
        """By the configuration as it is now: a role that has become another one must not be requested as it was."""
        from assumed import logs

        from .renewal import RoleRenewer, chain

        with suppress(ConfigError):  # a bad edit changes nothing: the last good configuration goes on
            self._config, _ = usable_config(self._config.path)
        renewer = self._renewers.get(profile)
        if renewer is None:
            logs.configure("error", self._config.log_format, sys.stderr)
        if renewer is None or chain(self._config, profile) != renewer.chain:
            if renewer is not None:
                renewer.close()
            renewer = self._renewers[profile] = RoleRenewer(self._config, profile, self._store, self._inherited)
        return renewer
