"""The one daemon of a state directory: its lock and its socket, taken again when they have been removed.

Without that, `rm -r ~/.aws/assumed` would leave a daemon that no client reaches, beside which a second one could start.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from assumed.errors import AlreadyRunning, AssumedError, FileRefused
from assumed.files import explained
from assumed.paths import real_path
from assumed.state import claim, make_state_dir

from .control import Answer, ControlServer, Request, place_socket


class InstanceLock:
    """Holds `<state>/lock` until released; the holder's pid is in the file, for the message alone.

    flock is released by the kernel when the process dies, so a lock is never stale.
    """

    def __init__(self, path: Path, credentials_file: Path) -> None:
        """Take the lock of a credentials file. Raises AlreadyRunning (exit status 4) when another process holds it,
        FileRefused when there can be no lock."""
        self._path = path
        self._credentials_file = credentials_file
        with explained("lock", path):
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                self._take()
            except BaseException:
                os.close(self._fd)
                raise

    def _take(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._fd, 20).decode("ascii", "replace").strip() or "unknown"
            raise AlreadyRunning(
                f"another assumed (pid {holder}) already keeps {self._credentials_file}; see `assumed status`"
            ) from None
        os.ftruncate(self._fd, 0)
        with contextlib.suppress(OSError):  # a full disk: only the message of another instance lacks our pid
            os.write(self._fd, f"{os.getpid()}\n".encode())

    def is_in_place(self) -> bool:
        """Whether the locked file is still the one at that path."""
        try:
            return os.path.samestat(os.fstat(self._fd), self._path.lstat())
        except OSError:
            return False

    def release(self) -> None:
        """Release the lock. The file stays: without it two holders could lock two different inodes."""
        os.close(self._fd)


class Instance:
    """Held from construction to `release`. Raises AlreadyRunning where another daemon holds it."""

    def __init__(self, credentials_file: Path) -> None:
        self._credentials_file = credentials_file
        self._real = real_path(credentials_file)
        self.directory = claim(credentials_file)
        self._lock = InstanceLock(self.directory / "lock", self._real)
        self._control: ControlServer | None = None
        self._answer: Callable[[Request], Answer] | None = None
        self._is_restored = False
        """Whether lock or socket were gone, and are not both back yet."""

    def listen(self, answer: Callable[[Request], Answer]) -> None:
        """Answer requests on the control socket from now on."""
        self._answer = answer
        self._control = ControlServer(place_socket(self.directory), answer)
        self._control.start()

    def _reclaim(self) -> bool:
        if real_path(self._credentials_file) != self._real:
            raise AssumedError(f"{self._credentials_file} leads to another file than at the start; start assumed again")
        if not self._lock.is_in_place():
            self._is_restored = True
            make_state_dir(self.directory)
            lock = InstanceLock(self.directory / "lock", self._real)
            self._lock.release()
            self._lock = lock
        if self._answer is not None and (self._control is None or not self._control.is_in_place()):
            self._is_restored = True
            control, self._control = self._control, None
            if control is not None:
                control.stop()
            self.listen(self._answer)
        restored, self._is_restored = self._is_restored, False
        return restored

    def reclaim(self) -> tuple[bool, FileRefused | None]:
        """Take lock and socket again where they have been removed: (whether they had to be, why they could not be).

        Raises AlreadyRunning when another daemon has taken them meanwhile, and AssumedError when the credentials
        file is another one now: its link has been pointed elsewhere, and with it every reader's state directory.
        """
        try:
            return self._reclaim(), None
        except FileRefused as refusal:
            return False, refusal

    def release(self) -> None:
        """Close the socket, then let go of the lock."""
        if self._control is not None:
            self._control.stop()
        self._lock.release()
