"""`credential-process` where no daemon answers: the session is checked, and renewed where it is due, from here.

Two hundred executors that start together ask STS once: one of them renews, in a process that has all of botocore, and
the others wait for what it brings.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from typing import Literal

from .credential_process import RENEWING, session_path
from .stored_session import Found, read

LOOK_AGAIN = 0.05
"""Seconds between two looks at the session file."""
UNCHECKED = "the configuration was edited, and the session of profile {profile!r} was not checked against it in time"
LATE = "the renewal of profile {profile!r} takes longer than an SDK waits; try again in a moment"


def checked_or_renewed(
    state: str, profile: str, wanted: str, deadline: float, what: Literal["check", "renew"] = "renew"
) -> Found:
    """What there is at the `deadline` (monotonic) at the latest, checked against the configuration as it is now.

    `check` asks STS for nothing. So does `renew` where there can be no lock: a state that is read-only, or on a full
    disk, has no room for a new session either.
    """
    found = read(state, profile, wanted)
    if found.session is None and not os.path.exists(f"{state}/place.json"):  # noqa: PTH110
        return found  # no daemon has ever kept anything here
    lock = _open_lock(session_path(state, profile).removesuffix(".json") + ".lock") if what == "renew" else None
    try:
        while lock is not None and not found.is_good and not _is_locked(lock):
            if time.monotonic() > deadline:
                return found if found.is_checked or found.session is None else Found(None, UNCHECKED)
            time.sleep(LOOK_AGAIN)
            found = read(state, profile, wanted)
        found = read(state, profile, wanted)  # whoever held the lock before has renewed it
        if found.is_good:
            return found
        problem = _run(state, profile, found.configuration, lock, deadline)
    finally:
        if lock is not None:
            os.close(lock)
    found = read(state, profile, wanted)
    # A renewal that failed takes away nothing that is good for a while yet.
    return found if not problem or (found.is_checked and found.is_live) else Found(None, problem)


def _open_lock(path: str) -> int | None:
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)  # noqa: PTH103
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        return None


def _is_locked(fd: int) -> bool:
    """As `files.try_lock`, whose imports two hundred waiting processes can do without."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _run(state: str, profile: str, configuration: str, lock: int | None, deadline: float) -> str:
    """Check or, with the lock, renew in a process of its own, which inherits the lock and may outlive us: an SDK that
    waits no longer finds the session at its next try. Returns what stands in the way; empty where the stored session
    is good."""
    what = "check" if lock is None else "renew"
    above = os.environ.get(RENEWING, "")
    child = subprocess.Popen(
        [sys.executable, "-I", "-m", "assumed.jobs.without_daemon", what, state, profile, configuration],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=[lock] if lock is not None else [],
        env={**os.environ, RENEWING: f"{above}\n{profile}".strip()},
        start_new_session=True,
        text=True,
    )
    try:
        _, said = child.communicate(timeout=max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return LATE
    if child.returncode == 0:
        return ""
    lines = said.strip().splitlines()
    return lines[-1].removeprefix("assumed: ") if lines else UNCHECKED
