"""The credentials file on the disk: read when it is whole, merged, replaced in one step.

A rename never shows a reader half a file (an in-place writer spoiled 90 % of the reads in the same test), but it
does not help against what *we* read: the AWS CLI truncates the file and then writes it, and whoever reads in that
instant and publishes what he saw has deleted every other profile. Hence the signature before and after the read,
and again before the rename, and the guard against profiles that are suddenly missing (reliability F4).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from assumed.core.errors import FileRefused, FileUnsettled
from assumed.core.profiles import KeptProfile, Merge, Refusal, merge, misread
from assumed.files import Temp, directory, explained, make_missing_dirs, make_private_dir, read_all, sweep

_TRIES = 3
_LOCK_SECONDS = 5.0
_SETTLE_SECONDS = 1.0
_LARGEST = 64 << 20


@dataclass(frozen=True, slots=True)
class Signature:
    """What changes when somebody writes the file."""

    dev: int
    ino: int
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What a write did. `durable` False: the new file stands, but a crash of the machine may bring back the old."""

    written: bool
    adopted: tuple[str, ...]
    refused: tuple[Refusal, ...]
    removed: tuple[str, ...]
    signature: Signature | None
    durable: bool = True


class CredentialsFile:
    """One credentials file. Every method raises FileRefused, as a sentence, for what the system does not allow."""

    def __init__(self, path: Path, state_dir: Path, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`path` may be a symbolic link, and need not exist; `state_dir` holds the write lock."""
        self.path = path
        self._state_dir = state_dir
        self._monotonic = monotonic
        self._seen: frozenset[str] | None = None
        """Profiles at the last read or write; None before the first."""
        self._missed: dict[str, float] = {}
        """Profile that was there at an earlier read → since when it is missing."""

    @property
    def real_path(self) -> Path:
        """Where the symbolic links lead; what is written is this file. Raises FileRefused where they lead nowhere."""
        real = Path(os.path.realpath(self.path))
        if real.is_symlink():
            raise FileRefused(f"the symbolic links of {self.path} lead in a circle", "Point the link at a real file")
        return real

    def signature(self) -> Signature | None:
        """The file's signature now, None when there is none: a hint whether anybody has written it."""
        real = self.real_path
        with explained("look at", real):
            try:
                return _signature(os.stat(real))
            except FileNotFoundError:
                return None

    def read(self) -> bytes:
        """The file's bytes, of one instant; b"" when there is none. Raises FileUnsettled while it is being written."""
        real = self.real_path
        with explained("read", real):
            try:
                with directory(real.parent) as dir_fd:
                    return _read(dir_fd, real)[1]
            except FileNotFoundError:
                return b""

    def sweep(self) -> int:
        """Removes what killed writers left beside the file; returns how many files that were."""
        real = self.real_path
        if not real.parent.is_dir():
            return 0
        with self._lock():
            return sweep(real.parent, real.name)

    def write(self, kept: Sequence[KeptProfile], config_id: str, remove_orphans: bool) -> WriteResult:
        """Makes the file say what `kept` should (see `merge`); nothing is written when it does already.

        Raises FileUnsettled while another program writes it: call again after `retry_in` seconds.
        """
        with self._lock():
            for _ in range(_TRIES):
                result = self._try(self.real_path, kept, config_id, remove_orphans)
                if result is not None:
                    return result
        raise FileUnsettled(f"another program keeps writing {self.path}", _SETTLE_SECONDS)

    def _try(self, real: Path, kept: Sequence[KeptProfile], config_id: str, remove_orphans: bool) -> WriteResult | None:
        """One round; None when the file changed between reading and replacing."""
        with explained("write", real), contextlib.ExitStack() as stack:
            make_missing_dirs(real.parent)
            dir_fd = stack.enter_context(directory(real.parent))
            _check_directory(dir_fd, real.parent)
            found, text = _read(dir_fd, real)
            merged = self._settled(found, lambda: merge(text, kept, config_id, remove_orphans))
            before = _signature(found) if found else None
            if merged.text is text:
                return WriteResult(False, merged.adopted, merged.refused, merged.removed, before)
            temp = stack.enter_context(Temp(dir_fd, real.name))
            temp.write(merged.text, mode=stat.S_IMODE(found.st_mode) & 0o700 if found else 0o600)
            if temp.read_back() != merged.text:
                raise FileRefused(f"{real}: the disk did not give back what was written", "Check the disk")
            if profile := misread(merged):
                raise FileRefused(f"[{profile}] would not read back as it was meant", "Please report it as a bug")
            if _look(dir_fd, real.name) != before:
                return None
            durable = temp.publish()
            self._seen = merged.after
            self._missed.clear()
            return WriteResult(True, merged.adopted, merged.refused, merged.removed, _look(dir_fd, real.name), durable)

    def _settled(self, found: os.stat_result | None, merge_it: Callable[[], Merge]) -> Merge:
        """The merge, unless the file looks as if another program was in the middle of writing it.

        That is: a profile seen earlier is missing, or the file cannot be read any more, and not yet for a second.
        A file that is empty at the very first read counts as well: nobody keeps one.
        """
        lost = {""} if self._seen is None and found is not None and found.st_size == 0 else set()
        seen = self._seen or frozenset()
        try:
            merged = merge_it()
        except FileRefused:
            self._wait_for({"", *seen} if seen else set())
            raise
        self._wait_for(lost | (seen - merged.before))
        self._seen = merged.before
        return merged

    def _wait_for(self, missing: set[str]) -> None:
        now = self._monotonic()
        self._missed = {name: self._missed.get(name, now) for name in missing}
        wait = max((since + _SETTLE_SECONDS - now for since in self._missed.values()), default=0.0)
        if wait > 0:
            raise FileUnsettled(f"profiles are suddenly missing in {self.path}, as if it was being written", wait)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Our own lock, beside the file and never on it: a rename would leave us holding the old one's."""
        make_private_dir(self._state_dir)
        path = self._state_dir / "write.lock"
        with explained("lock", path):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with explained("lock", path):
                deadline = time.monotonic() + _LOCK_SECONDS
                while not _try_lock(fd):
                    if time.monotonic() > deadline:
                        raise FileRefused(
                            f"another process of assumed holds {path} for more than {_LOCK_SECONDS:.0f} s",
                            "Look for one that hangs (assumed status, ps)",
                        )
                    time.sleep(0.01)
            yield
        finally:
            os.close(fd)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _signature(found: os.stat_result) -> Signature:
    return Signature(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _look(dir_fd: int, name: str) -> Signature | None:
    try:
        return _signature(os.stat(name, dir_fd=dir_fd, follow_symlinks=False))
    except FileNotFoundError:
        return None


def _read(dir_fd: int, real: Path) -> tuple[os.stat_result | None, bytes]:
    """The file's status and bytes of one instant; (None, b"") when there is none."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO must not make us wait
    for _ in range(_TRIES):
        try:
            fd = os.open(real.name, flags, dir_fd=dir_fd)
        except FileNotFoundError:
            return None, b""
        try:
            before = os.fstat(fd)
            _check_file(before, real)
            text = read_all(fd)
            after = os.fstat(fd)
        finally:
            os.close(fd)
        if _signature(before) == _signature(after) and len(text) == after.st_size:
            return after, text
    raise FileUnsettled(f"another program is writing {real}", _SETTLE_SECONDS)


def _check_file(found: os.stat_result, real: Path) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "")
    if not stat.S_ISREG(found.st_mode):
        raise FileRefused(f"{real} is no plain file (a pipe, a socket or a device)", "Put a plain file in its place")
    if found.st_uid != os.geteuid():
        raise FileRefused(f"{real} belongs to another user", "Run assumed as that user; it rewrites only its own files")
    if found.st_size > _LARGEST:
        raise FileRefused(f"{real} is larger than {_LARGEST >> 20} MiB", "That is no credentials file: check the path")


def _check_directory(dir_fd: int, path: Path) -> None:
    found = os.fstat(dir_fd)
    if found.st_uid != os.geteuid():
        raise FileRefused(f"the directory {path} belongs to another user", "Run assumed as that user")
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise FileRefused(f"everybody may write in {path}, so anybody could put in another file", f"chmod o-w {path}")
