"""The instance lock: one daemon per credentials file. flock is released by the kernel on death, so never stale."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from assumed.errors import AlreadyRunning
from assumed.files import explained


class InstanceLock:
    """Holds `<state>/lock` until closed; the holder's pid stands inside, for the message alone."""

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
        with contextlib.suppress(OSError):  # a full disk: the lock holds, only its message cannot name us
            os.write(self._fd, f"{os.getpid()}\n".encode())

    def is_in_place(self) -> bool:
        """Whether the file that others would lock is still ours."""
        try:
            return os.path.samestat(os.fstat(self._fd), self._path.lstat())
        except OSError:
            return False

    def release(self) -> None:
        """Let go. The file stays: removing it would let two holders lock two different inodes."""
        os.close(self._fd)
