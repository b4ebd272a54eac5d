"""A file as it was at one instant, and a way to see that it was written since.

Reading is where an atomic writer can still destroy: the AWS CLI truncates the file and then writes it, and a program
that publishes what it read in that instant has deleted every other profile (10 of 10 tries). The snapshot keeps its
descriptor, so that the edit of a program that had the file open when we replaced it, and wrote it afterwards, is found.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from assumed.errors import FileRefused, FileUnsettled
from assumed.files import read_all

SETTLE_SECONDS = 1.0
"""For so long another program is given to finish: the AWS CLI needs a millisecond."""
_TRIES = 3
_LARGEST = 64 << 20
_TICK_NS = 20_000_000
"""Longer than a tick of any file system's clock: a second write within one may leave the time as it was."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What changes when the file is written."""

    dev: int
    ino: int
    size: int
    mtime_ns: int

    def tag(self) -> str:
        """The same as a part of a file name, but for the device."""
        return f"{self.ino:x}-{self.size:x}-{self.mtime_ns & (1 << 64) - 1:x}"


class Snapshot:
    """One file's bytes and status, and the open file itself, whatever its name leads to by now."""

    def __init__(self, fd: int, path: Path) -> None:
        """Takes over the descriptor. Raises FileRefused for what is not our file, FileUnsettled while it changes."""
        self._fd = fd
        self._path = path
        for _ in range(_TRIES):
            before = os.fstat(fd)
            _check(before, path)
            self._young = _is_young(before)
            self.text = read_all(fd)
            self.status = os.fstat(fd)
            self.signature = signature_of(self.status)
            if signature_of(before) == self.signature and len(self.text) == self.status.st_size:
                return
        raise FileUnsettled(f"another program is writing {path}", SETTLE_SECONDS)

    def __del__(self) -> None:
        """Closes the file."""
        with contextlib.suppress(OSError):
            os.close(self._fd)

    def look(self) -> Signature:
        """The signature of this very file now, which may have no name any more."""
        return signature_of(os.fstat(self._fd))

    def is_changed(self) -> bool:
        """Whether the file was written since. Raises OSError.

        Two writes within a tick may have one signature: of a file that young the bytes are compared, as git does.
        """
        status = os.fstat(self._fd)
        if signature_of(status) != self.signature:
            return True
        if not self._young:
            return False
        self._young = _is_young(status)
        return read_all(self._fd) != self.text

    def again(self) -> Snapshot:
        """The same file as it is now."""
        return Snapshot(os.dup(self._fd), self._path)


def take(dir_fd: int, path: Path, name: str | None = None) -> Snapshot | None:
    """The file of that name in the directory; None when there is none. A symbolic link or a pipe is not followed.

    `name`, if it is not the path's own, is where the file of that path lies for now.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe must not make us wait
    try:
        return Snapshot(os.open(name or path.name, flags, dir_fd=dir_fd), path)
    except FileNotFoundError:
        return None


def look(dir_fd: int, name: str) -> Signature | None:
    """The signature of the file of that name now; None when there is none."""
    try:
        return signature_of(os.stat(name, dir_fd=dir_fd, follow_symlinks=False))
    except FileNotFoundError:
        return None


def signature_of(status: os.stat_result) -> Signature:
    """What tells one state of a file from the next."""
    return Signature(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _is_young(status: os.stat_result) -> bool:
    return abs(time.time_ns() - status.st_mtime_ns) < _TICK_NS


def _check(status: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "")
    if not stat.S_ISREG(status.st_mode):
        raise FileRefused(f"{path} is no plain file (a pipe, a socket or a device)", "Put a plain file in its place")
    if status.st_uid != os.geteuid():
        raise FileRefused(f"{path} belongs to another user", "Run assumed as that user; it rewrites only its own files")
    if status.st_size > _LARGEST:
        raise FileRefused(f"{path} is larger than {_LARGEST >> 20} MiB", "That is no credentials file: check the path")
