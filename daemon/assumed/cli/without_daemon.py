"""The slow way of `credential-process`: unusual paths, and a session that is due while no daemon answers.

Two hundred executors that start together ask STS once: one of them renews, in a process that has all of botocore, and
the others wait for what it brings.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from .credential_process import LOOK_AGAIN, RENEWING


def usual_state() -> str:
    """The state directory where the environment is unusual. Raises ValueError where it leads nowhere."""
    from assumed.paths import PathError, default_credentials_file, state_dir

    try:
        return str(state_dir(default_credentials_file(os.environ)))
    except PathError as error:
        raise ValueError(f"{error.variable}: {error}") from None


def usual_socket(state: str) -> str:
    """The control socket of a state directory whose path is long."""
    from assumed.paths import socket_path

    return str(socket_path(Path(state)))


def renew(state: str, profile: str, path: str, deadline: float, is_there: Callable[[], bool]) -> str:
    """Renew the session at `path` until `deadline` (monotonic), unless `is_there` says that another process has.

    Returns what stands in the way; empty where nothing does, and where there is nothing that we could do.
    """
    if not os.path.exists(f"{state}/place.json"):  # noqa: PTH110
        return ""  # no daemon has ever kept anything here
    stem = path.removesuffix(".json")
    try:
        lock = os.open(f"{stem}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        return ""
    try:
        while not _is_locked(lock):
            if is_there() or time.monotonic() > deadline:
                return ""
            time.sleep(LOOK_AGAIN)
        return "" if is_there() else _failure(f"{stem}.failure") or _run(state, profile, lock, deadline)
    finally:
        os.close(lock)


def _is_locked(fd: int) -> bool:
    """As `files.try_lock`, whose imports two hundred waiting processes can do without."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _failure(path: str) -> str:
    """What a renewal from here has failed with, as long as it is not to be tried again; `keeper.alone` writes it."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            until, _, message = file.read().split("\n", 2)
        return message.strip() if time.time() < float(until) <= time.time() + 2 * 3600 else ""
    except (OSError, ValueError):
        return ""


def _run(state: str, profile: str, lock: int, deadline: float) -> str:
    """Renew in a process of its own, which inherits the lock and may outlive us: an SDK that waits no longer finds the
    session at its next try."""
    above = os.environ.get(RENEWING, "")
    child = subprocess.Popen(
        [sys.executable, "-I", "-m", "assumed.keeper.alone", state, profile],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=[lock],
        env={**os.environ, RENEWING: f"{above}\n{profile}".strip()},
        start_new_session=True,
        text=True,
    )
    try:
        _, said = child.communicate(timeout=max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return "its renewal takes longer than an SDK waits; try again in a moment"
    lines = said.strip().splitlines()
    return lines[-1].removeprefix("assumed: ") if child.returncode and lines else ""
