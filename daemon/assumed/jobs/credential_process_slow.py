"""`credential-process`, the slow path: a session that is due, missing, or not checked against an edited configuration.

A running daemon decides: it marks the session as checked, renewed or not. Where none answers, the session is checked
and renewed by a process that loads all of the package (`renewal`): one of two hundred executors that start together
starts it, and the others wait for its session. So this file imports nothing that needs botocore.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

from assumed.clock import SystemClock
from assumed.errors import FileRefused, NotAnswering, NotRunning
from assumed.files import try_lock
from assumed.paths import PathError, default_credentials_file, exists, socket_path, state_dir
from assumed.runtime.control import ask
from assumed.store import Store, Stored, early, is_same, iso, protocol_document, stamp_of

from .credential_process import OLD, RENEWING, is_foreign, usual_state, write

PATIENCE = 4.0
"""Seconds in all: the Rust SDK stops waiting after 5."""
DAEMON_PATIENCE = 1.0
"""Seconds for the daemon's answer."""
MARK_PATIENCE = 2.0
"""Seconds for a daemon to check the session against an edited configuration, which is in force after 1.5."""
OWN_RENEWAL = 1.5
"""Seconds left for a renewal from here where a daemon runs and neither answers nor renews."""
POLL = 0.05
"""Seconds between two looks at the session file."""

MISSING = "no session of profile {profile!r} in {state}; start the daemon (`assumed run`), or run `assumed once`"
UNREADABLE = "the session of profile {profile!r} in {state} cannot be read; `ls -l` there shows its owner"
DAMAGED = "the session of profile {profile!r} in {state} is damaged; `assumed refresh {profile}` replaces it"
LOOP = "the source of profile {profile!r} is this profile itself; give it another source_profile"
EXPIRED = "the session of profile {profile!r} has expired and was not renewed; `assumed status` says why"
NOT_MANAGED = "{profile!r} is not a managed profile; `assumed status` lists them"
FOREIGN = "{place} belongs to another account, or another account may write to it; `ls -ld` shows its owner and mode"
UNCHECKED = "the configuration was edited, and the session of profile {profile!r} was not checked against it in time"
LATE = "the renewal of profile {profile!r} takes longer than an SDK waits; try again in a moment"

Found = Literal["kept", "unknown", "silent", "none"]
"""What a daemon says of the profile: it keeps it or not; it runs and does not answer; there is none."""


def main(arguments: list[str]) -> int:
    """Print the session that `arguments` name. Returns 0, 1 with one sentence on stderr, or 2 for a mistake in them."""
    parser = argparse.ArgumentParser(
        "assumed credential-process",
        description="Print the session of a managed profile in AWS's credential_process format. Renews it from here"
        " where no daemon answers.",
        allow_abbrev=False,
    )
    parser.add_argument("--state", metavar="DIR", help="where sessions are stored [default: beside the credentials]")
    parser.add_argument("profile", metavar="PROFILE")
    options = parser.parse_args(arguments)
    if options.state == "":
        parser.error("--state needs a directory")
    try:
        return answer(options.state or usual_state() or default_state(), options.profile)
    except ValueError as error:
        sys.stderr.write(f"assumed: {error}\n")
        return 2


def default_state() -> str:
    """The state directory where the environment is unusual. Raises ValueError where it leads nowhere."""
    try:
        return str(state_dir(default_credentials_file(os.environ)))
    except PathError as error:
        raise ValueError(f"{error.variable}: {error}") from None


def answer(state: str, profile: str, configuration: str = "") -> int:
    """Print the session, once it can be handed out; see `main` for what it returns. `configuration`: the path of the
    one that has to ask for it, if not the one that the state is kept by."""
    request = _Request(Path(state), profile, configuration)
    problem = request.problem()
    if problem or request.stored is None:
        sys.stderr.write(f"assumed: {problem}\n")
        return 1
    session, left = request.stored.session, request.left()
    # In the last minute of a session that was not renewed, STS's own end is better than a refusal.
    expiration = iso(session.expiration - (early(session) if left > early(session) else 0.0))
    return write(json.dumps(protocol_document(session, expiration)))


class _Request:
    """One consumer's request for the session of a profile."""

    def __init__(self, state: Path, profile: str, configuration: str) -> None:
        self._clock = SystemClock()
        self.stored: Stored | None = None
        """What the last look at the session file has found."""
        self._deadline = time.monotonic() + PATIENCE
        self._state, self._profile = state, profile
        self._store = Store(state)
        self._named = configuration
        self._configuration = configuration or self._store.place().get("config", "")

    def problem(self) -> str:
        """Why the session cannot be handed out; empty where `stored` holds one that can."""
        foreign = self._foreign_place()
        if self._profile in os.environ.get(RENEWING, "").split("\n"):
            problem = LOOP
        elif foreign:
            problem = FOREIGN.replace("{place}", foreign)
        else:
            problem = "" if self._is_good() else self._renewed()
            if not problem and self.left() <= 0:
                problem = EXPIRED if self.stored is not None else self._why_none()
        for name, value in (("{profile!r}", repr(self._profile)), ("{profile}", self._profile)):
            problem = problem.replace(name, value)
        return problem.replace("{state}", str(self._state))

    def _foreign_place(self) -> str:
        """What on the way to the session another account could have written; empty where nothing is."""
        for place in (self._state, self._state / "sessions", self._store.path(self._profile)):
            try:
                if is_foreign(str(place)):
                    return str(place)
            except OSError:
                return ""  # missing, or not accessible: the reader of the session says so
        return ""

    def _why_none(self) -> str:
        try:
            self._store.path(self._profile).read_bytes()
        except FileNotFoundError:
            return MISSING
        except OSError:
            return UNREADABLE
        return DAMAGED  # without the parser's own message: it quotes what it could not read

    def left(self) -> float:
        """Seconds of life that `stored` has left; 0 where there is none. By STS's own Expiration, too, which SDKs go
        by."""
        session, now = self.stored.session if self.stored is not None else None, self._clock.now()
        return min(session.left(now), session.expiration - now.wall) if session is not None else 0.0

    def _look(self) -> None:
        self.stored = self._store.stored(self._profile)

    def _is_fit(self) -> bool:
        """Whether the Expiration that readers see has not passed."""
        self._look()
        return self.stored is not None and self.left() > early(self.stored.session)

    def _is_good(self) -> bool:
        """Whether it is checked, and so young that it need not have been renewed by now."""
        self._look()
        is_checked = self._is_checked(self._configuration)
        return is_checked and self.stored is not None and self.left() >= OLD * self.stored.session.life

    def _is_checked(self, configuration: str) -> bool:
        """Whether the session was checked against the configuration as it is now, as far as can be seen from here."""
        path = self._path_of(configuration)
        return path != "" and self.stored is not None and is_same(self.stored.checked, stamp_of(Path(path)))

    def _path_of(self, configuration: str) -> str:
        """The path of the configuration to check against; empty where nothing says."""
        checked = self.stored.checked if self.stored is not None else None
        return configuration or (checked[0] if checked is not None else "")

    def _awaits_mark(self) -> bool:
        """Whether the daemon has still to compare the session with the configuration as it is now. One without a mark
        is an earlier version's; where the configuration cannot be seen from here, the daemon alone decides."""
        path = self._path_of(self._named)
        return path != "" and exists(Path(path)) and not self._is_checked(self._named)

    def _renewed(self) -> str:
        """Have the session checked and renewed, by the daemon or from here. Returns what is in the way."""
        found = self._ask_daemon()
        if found == "none":
            return self._without_daemon("renew")
        if found == "unknown":
            return NOT_MANAGED if self.stored is not None else ""
        mark_until = time.monotonic() + MARK_PATIENCE
        until = self._deadline - OWN_RENEWAL if found == "silent" else self._deadline
        # A session that is old, but good for a while yet, is not waited for: the daemon has tried, and goes on trying.
        while not (is_fit := self._is_fit()) or self._awaits_mark():
            if is_fit and time.monotonic() > mark_until:
                return self._without_daemon("check")
            if time.monotonic() > until:
                if found == "silent":
                    return self._without_daemon("renew")
                return UNCHECKED if self._awaits_mark() else ""
            time.sleep(POLL)
        return ""

    def _ask_daemon(self) -> Found:
        """Have the daemon look at the profile. The session comes by its file."""
        request: dict[str, Any] = {"command": "look", "profiles": [self._profile]}
        if self._named:
            request["config"] = os.path.abspath(self._named)  # noqa: PTH100 (Path.absolute keeps `..`)
        try:
            answer = ask(socket_path(self._state), request, DAEMON_PATIENCE)
        except NotRunning:
            return "none"
        except NotAnswering:
            return "silent"
        accepted = [] if "another" in answer else answer.get("accepted")
        if not isinstance(accepted, list):
            return "none"  # an answer, but not one that we know
        return "kept" if self._profile in accepted else "unknown"

    def _without_daemon(self, what: Literal["check", "renew"]) -> str:
        """Have it checked and, if due, renewed by a process of our own. Returns what is in the way.

        `check` asks STS for nothing. Nor does `renew` where there can be no lock: a state that is read-only, or on a
        full disk, has no room for a new session either.
        """
        if self.stored is None and not exists(self._state / "place.json"):
            return ""  # no daemon has ever kept anything here
        try:
            lock = self._store.open_lock(self._profile) if what == "renew" else None
        except FileRefused:
            lock = None
        try:
            while lock is not None and not self._is_good() and not try_lock(lock):
                if time.monotonic() > self._deadline:
                    return "" if self.stored is None or self._is_checked(self._configuration) else UNCHECKED
                time.sleep(POLL)
            if self._is_good():  # the process that held the lock before has renewed it
                return ""
            problem = self._run(lock)
        finally:
            if lock is not None:
                os.close(lock)
        self._look()
        # A renewal that failed takes away nothing that is good for a while yet.
        return "" if self.left() > 0 and self._is_checked(self._configuration) else problem

    def _run(self, lock: int | None) -> str:
        """Start the process. It inherits the lock and may outlive us: an SDK that waits no longer finds the session at
        its next try. Returns what is in the way; empty where the stored session is good."""
        what = "check" if lock is None else "renew"
        arguments = [what, str(self._state), self._profile, self._path_of(self._configuration)]
        above = os.environ.get(RENEWING, "")
        child = subprocess.Popen(
            [sys.executable, "-I", "-m", "assumed.jobs.renewal", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[lock] if lock is not None else [],
            env={**os.environ, RENEWING: f"{above}\n{self._profile}".strip()},
            start_new_session=True,
            text=True,
        )
        try:
            _, message = child.communicate(timeout=max(0.1, self._deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return LATE
        lines = message.strip().splitlines()
        return "" if child.returncode == 0 else lines[-1].removeprefix("assumed: ") if lines else UNCHECKED
