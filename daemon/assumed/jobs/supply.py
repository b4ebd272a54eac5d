"""Sessions for the consumers of one process (`exec`, `serve`, `env`): the daemon's, or our own where none runs."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from assumed.aws.files import Sections
from assumed.clock import SystemClock
from assumed.config import Config
from assumed.engine.schedule import is_late
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
from assumed.store import Stamp, Store, account_of, expiration_told, is_same, stamp_of

from . import consumer
from .endpoint import Reply, refusal

if TYPE_CHECKING:
    from .provider import Alone

BEAT = 30.0
"""Seconds between two looks at the longest."""
FAILING = 3.0
"""Seconds for which a first session that fails is tried again: a new role is not known everywhere at once."""
LOOK_SHARE = 0.1
"""Of a session's life: with sessions of seconds a daemon that has died must be noticed sooner."""
LOOK_AGAIN = 0.05
SILENT = 10.0
"""Seconds for which a daemon that runs and does not answer is waited for by who has no session at all."""
STUCK = 300.0
"""Seconds after which a look that has not ended never will: a lock (45 s), a source (30 s) and STS (13 s) are waited
for, some of them for each role of a chain. A session of an hour still has 20 minutes left when it is due."""
PREFIX, LIVENESS, READINESS = "/role/", "/livez", "/readyz"


Said = Callable[[str, str], None]
"""said(profile, problem): a renewal of ours has failed; with "" when it works again."""


@contextmanager
def supplied(config_path: Path | None, profiles: Sequence[str], said: Said) -> Iterator[Supply]:
    """A supply of these profiles, closed in the end. Raises ConfigError, NotKept."""
    hide_memory()
    inherited = take_shell_variables(os.environ)
    config, error = usable_config(config_path)
    if error is not None:
        said("the last good configuration goes on", str(error))
    enabled = [role.profile for role in config.enabled()]
    for profile in profiles:
        if profile not in enabled:
            raise NotKept(profile, enabled)
    supply = Supply(config, profiles, claim(config.credentials_file), inherited, said)
    try:
        yield supply
    finally:
        supply.close()


def path_of(profile: str) -> str:
    """Where the endpoint answers for a profile."""
    return PREFIX + quote(profile, safe="")


class Supply:
    """Keeps the sessions of `profiles` good from `start` to `close`, and hands them out from any thread."""

    def __init__(
        self,
        config: Config,
        profiles: Sequence[str],
        directory: Path,
        inherited: Mapping[str, str],
        said: Said,
    ) -> None:
        self._config, self._inherited, self._directory = config, inherited, directory
        self._profiles = tuple(profiles)
        self._said = said
        self._store = Store(directory)
        self._clock = SystemClock()
        self._alone: dict[str, Alone] = {}
        self._vouched: dict[str, tuple[str, Stamp | None]] = {}
        """Profile → the access key id of a session that was compared with that version of the configuration."""
        self._problems: dict[str, str] = {}
        self._looked_at = time.monotonic()
        self._silent_since: float | None = None
        """Since when the daemon has not answered; None while it does, or is not there."""
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._keep, name="supply", daemon=True)

    def start(self) -> None:
        """Begin to keep."""
        self._thread.start()

    def close(self) -> None:
        """Stop; a renewal of ours that is under way is not waited for."""
        self._closing = True
        self._wake.set()
        for alone in list(self._alone.values()):
            alone.close()

    def wait_for(self, profile: str, within: float, waiting: Callable[[], None] = lambda: None) -> Session:
        """The session of a profile, as soon as there is a good one; `waiting` is called over and over. Before `start`.

        Raises AssumedError with the reason why there is none `within` seconds.
        """
        deadline = time.monotonic() + within
        while True:
            session = self.session(profile)
            if session is not None:
                return session
            problem = self._look(profile)[1]
            if problem:
                deadline = min(deadline, time.monotonic() + FAILING)
            if time.monotonic() > deadline:
                why = problem or "the daemon has not renewed it in time; `assumed status` says why"
                raise AssumedError(f"there is no session of {profile}: {why}")
            waiting()
            time.sleep(LOOK_AGAIN)

    def session(self, profile: str) -> Session | None:
        """The session to hand out now: what is stored, if it is unexpired and what the configuration says as it is now.
        Nothing is kept in memory: a session that the daemon withdraws, for its role has changed, must be gone here."""
        stored = self._store.stored(profile)
        if stored is None or stored.session.left(self._clock.now()) <= 0:
            return None
        version = stamp_of(self._config.path)
        if is_same(stored.checked, version) or self._vouched.get(profile) == (stored.session.access_key_id, version):
            return stored.session
        self._wake.set()
        return None

    def settings_of(self, profile: str) -> str:
        """An AWS config file for a consumer of this profile: its settings, and no credentials."""
        return consumer.configuration(Sections(aws_config_file(os.environ)), profile)

    def region_of(self, profile: str) -> str | None:
        """The region of a profile: that of `~/.aws/config` first, as everywhere in AWS."""
        own = Sections(aws_config_file(os.environ))(f"profile {profile}") or {}
        role = self._config.role(profile)
        return own.get("region") or (role.region if role else None)

    def answer(self, path: str) -> Reply | None:
        """The endpoint's answer for a path: a session, or how we are (`assumed probe` asks)."""
        if path in {LIVENESS, READINESS}:
            return self._health(path)
        profile = unquote(path.removeprefix(PREFIX))
        if profile not in self._profiles or path != path_of(profile):
            return refusal(404, "NoSuchRole", "this endpoint hands out other roles")
        session = self.session(profile)
        if session is None:
            self._wake.set()
            return None
        role = self._config.role(profile)
        return 200, {
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": session.secret_access_key,
            "Token": session.session_token,
            "Expiration": expiration_told(session, self._clock.now()),
            "RoleArn": role.role_arn if role else "",
            **({"AccountId": account} if (account := account_of(session)) else {}),
        }

    def _health(self, path: str) -> Reply:
        """Liveness is what a restart would mend, readiness what consumers find. An STS that is down is neither's matter
        while the sessions live: a restart would take them away from a job for nothing."""
        silence = time.monotonic() - self._looked_at
        if silence > STUCK:
            return refusal(503, "Stuck", f"no profile has been looked after for {silence:.0f} s")
        without = [profile for profile in self._profiles if self.session(profile) is None]
        if path == READINESS and without:
            return refusal(503, "NotReady", f"no session with life left: {', '.join(without)}")
        return 200, {"profiles": list(self._profiles)}

    def _keep(self) -> None:
        while not self._closing:
            self._wake.wait(min(self._look_after(profile) for profile in self._profiles))
            self._wake.clear()

    def _look_after(self, profile: str) -> float:
        """Look, whatever happens: the consumer may run for days yet, and nobody would begin this thread anew."""
        try:
            pause, problem = self._look(profile)
        except AssumedError as error:
            pause, problem = 1.0, str(error)
        except Exception as error:  # noqa: BLE001 - said, and tried again
            pause, problem = 1.0, f"a fault in assumed ({type(error).__name__}: {error}); it is tried again"
        if problem != self._problems.get(profile, ""):
            self._problems[profile] = problem
            with suppress(OSError):  # whoever read our messages has gone (`2>&1 | head`), or the disk with them is full
                self._said(profile, problem)
        self._looked_at = time.monotonic()
        return pause

    def _look(self, profile: str) -> tuple[float, str]:
        """Have the profile renewed if it is due; the seconds until the next look, and what stands in the way."""
        version = stamp_of(self._config.path)
        try:
            request = {"command": "look", "profiles": [profile], "config": str(self._config.path)}
            answer = ask(socket_path(self._directory), request, timeout=1.0)
            self._silent_since = None
            if "another" in answer:
                raise OtherConfiguration(answer["another"], self._config.path)
            if profile in answer.get("accepted", ()):
                return self._kept_by_the_daemon(profile, version)
        except NotRunning:
            self._silent_since = None
        except NotAnswering:
            if self._is_left_to_the_daemon(profile):
                return 1.0, ""
        try:
            alone = self._by_ourselves(profile)
            pause = min(BEAT, alone.renew_what_is_due())
            self._vouch(profile, alone.session(), version)
        except RenewalFailed as failure:
            return 1.0, f"{failure}; {failure.advice}"
        except AssumedError as error:
            return 1.0, str(error)
        return pause, ""

    def _kept_by_the_daemon(self, profile: str, version: Stamp | None) -> tuple[float, str]:
        """What `_look` returns where a daemon keeps the profile: it marks the session as checked in a moment."""
        stored = self._store.stored(profile)
        if stored is not None and (stored.checked is None or version is None):
            self._vouch(profile, stored.session, version)  # a daemon of an earlier version; no configuration to be seen
        session = self.session(profile)
        if session is not None:
            return min(BEAT, session.life * LOOK_SHARE), ""
        if stored is not None and stored.session.left(self._clock.now()) > 0:
            return LOOK_AGAIN, ""  # the mark comes as soon as the daemon has read the configuration
        return 1.0, self._what_the_daemon_says(profile)

    def _vouch(self, profile: str, session: Session | None, version: Stamp | None) -> None:
        """The session has been compared with this version of the configuration, whatever the store could note."""
        if session is not None:
            self._vouched[profile] = session.access_key_id, version

    def _is_left_to_the_daemon(self, profile: str) -> bool:
        """Whether to wait for a daemon that runs and does not answer. Renewing beside one that is merely busy asks STS
        twice; waiting for one that is stopped costs a job its session. So: while there is a session that is not late,
        and for a moment where there is none. What follows is one renewal, under the role's lock."""
        self._silent_since = self._silent_since or time.monotonic()
        session = self.session(profile)
        if session is None:
            return time.monotonic() - self._silent_since < SILENT
        return not is_late(session.left(self._clock.now()), session.life)

    def _what_the_daemon_says(self, profile: str) -> str:
        """Why the daemon has no session of a profile, by its status; empty where nothing has failed yet."""
        roles = ask(socket_path(self._directory), {"command": "status"}).get("roles", [])
        errors = (role["last_error"] for role in roles if role["profile"] == profile)
        return "; ".join(f"{error['message']}; {error['advice']}" for error in errors if error)

    def _by_ourselves(self, profile: str) -> Alone:
        """The configuration as it is now: a role that has become another one must not be asked for as it was."""
        from assumed import logs

        from .provider import Alone, chain

        version = stamp_of(self._config.path)
        with suppress(ConfigError):  # a bad edit changes nothing: what ran goes on
            self._config, _ = usable_config(self._config.path)
        alone = self._alone.get(profile)
        if alone is None:
            logs.configure("error", self._config.log_format, sys.stderr)
        if alone is None or chain(self._config, profile) != alone.chain:
            if alone is not None:
                alone.close()
            alone = self._alone[profile] = Alone(self._config, profile, self._directory, self._inherited)
        alone.checked = version
        return alone
