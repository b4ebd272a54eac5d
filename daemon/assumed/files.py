"""Files that hold secrets: written whole or not at all, never wider than 0600, in directories of our own.

The order is what a crash at any point leaves the old file or the new one by: an exclusive temporary
file in the same directory → write → fsync → rename → fsync of the directory. A failed fsync is never tried again on
the same file, because the kernel has already marked its pages clean (Rebello, ATC'20): it is removed.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import secrets
import stat
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from assumed.errors import FileRefused
from assumed.paths import TEMPORARY, account_name

_STALE_SECONDS = 60.0

_EXPLANATIONS = {
    errno.EACCES: ("permission is denied", "Check the owner and the mode of the file and of its directory"),
    errno.EPERM: ("the system does not permit it", "Look for an immutable flag (lsattr, ls -lO) and for a sandbox"),
    errno.EROFS: (
        "the file system is read-only",
        "Mount the directory read-write (systemd: ReadWritePaths= names it, and it is there before the service starts)",
    ),
    errno.ENOSPC: ("the disk is full", "Free some space; a running daemon tries again"),
    errno.EDQUOT: ("your disk quota is used up", "Free some space; a running daemon tries again"),
    errno.EBUSY: (
        "it is mounted by itself, so it cannot be replaced",
        "Mount its directory instead of the single file",
    ),
    errno.EXDEV: (
        "it lies on another file system than its directory",
        "Mount its directory instead of the single file",
    ),
    errno.ELOOP: ("its symbolic links lead in a circle, or changed just now", "Point the link at a real file"),
    errno.ENOTDIR: ("a part of its path is not a directory", "Correct the path"),
    errno.EISDIR: ("a directory is in its place", "Move the directory away"),
    errno.ENOENT: ("its directory is not there", "Make the directory; a running daemon tries again"),
    errno.EMFILE: ("too many files are open", "Raise the limit (ulimit -n, LimitNOFILE=)"),
    errno.ENFILE: ("too many files are open on this machine", "Close some programs; a running daemon tries again"),
    errno.ENAMETOOLONG: ("its name is too long", "Choose a shorter path"),
    errno.EFBIG: ("it exceeds a limit on the size of files", "Raise the limit (ulimit -f, LimitFSIZE=)"),
    errno.EIO: ("the disk reports an error", "Check the disk; a running daemon tries again"),
    errno.ESTALE: ("the network file system has lost it", "Mount it again"),
    errno.ENOLCK: ("its file system has no locks", "Keep the credentials file on a local file system"),
}


@contextlib.contextmanager
def explained(doing: str, path: Path) -> Iterator[None]:
    """Turns every OSError of the block into FileRefused: a sentence about `path`, and what to do about it."""
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        what, advice = _EXPLANATIONS.get(number, (os.strerror(number).lower(), "A running daemon tries again"))
        raise FileRefused(f"cannot {doing} {path}: {what} ({errno.errorcode.get(number, number)})", advice) from error


def make_private_dir(path: Path) -> None:
    """Makes `path` and what is missing above it, 0700; one that is there is narrowed to 0700.

    Raises FileRefused when it cannot be made, is not a directory or is not ours.
    """
    with explained("make the directory", path):
        make_missing_dirs(path)
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "")
        if found.st_uid != os.geteuid():
            raise FileRefused(
                f"{path} belongs to {shown_account(found.st_uid)}", "Move it away, or run as that account"
            )
        if found.st_mode & 0o077:
            path.chmod(0o700)


def make_missing_dirs(path: Path) -> None:
    """Makes `path` and what is missing above it, each 0700, to outlast a crash. Raises OSError, FileRefused."""
    missing: list[Path] = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    if missing:
        refuse_as_root(path)
    for one in reversed(missing):
        with contextlib.suppress(FileExistsError):
            one.mkdir(0o700)
            # One that we may not read cannot be flushed, and what a crash would take with it is what did not exist.
            with contextlib.suppress(OSError), directory(one.parent) as parent_fd:
                os.fsync(parent_fd)


@contextlib.contextmanager
def directory(path: Path) -> Iterator[int]:
    """A descriptor of the directory: all that follows happens in this one, whatever is renamed meanwhile."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        close(fd)


def try_lock(fd: int) -> bool:
    """Takes the file's lock, if it is free. The kernel gives it back with the descriptor."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def close(fd: int) -> None:
    """Closes what nothing was written through. Its failing says nothing, and the descriptor is gone all the same."""
    with contextlib.suppress(OSError):
        os.close(fd)


class Temp:
    """A temporary file that becomes `name` by `publish`, or disappears. 0600 from its first instant."""

    def __init__(self, dir_fd: int, name: str) -> None:
        self._dir_fd = dir_fd
        self._name = name
        self.temp = f".{name}.assumed.{os.getpid()}.{secrets.token_hex(8)}.tmp"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(self.temp, flags, 0o600, dir_fd=dir_fd)
        self._open = True
        self._published = False

    def __enter__(self) -> Temp:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._open:
            close(self._fd)
        if not self._published:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.temp, dir_fd=self._dir_fd)

    def write(self, data: bytes, mode: int = 0o600, durable: bool = True) -> None:
        """Writes all of `data` and, if `durable`, has it on the disk, not only on its way there. Raises OSError."""
        if stat.S_IMODE(os.fstat(self._fd).st_mode) != mode:
            os.fchmod(self._fd, mode)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]
        if durable:
            _flush(self._fd)

    def read_back(self) -> bytes:
        """What the file holds, read anew."""
        return read_all(self._fd)

    def status(self) -> os.stat_result:
        """The file's status now; renaming changes neither its inode, nor its size, nor when it was written."""
        return os.fstat(self._fd)

    def publish(self, durable: bool = True, rename: Callable[[int, str, str], None] | None = None) -> bool:
        """Closes it and renames it to its name. Raises OSError, and then the old file is there.

        False: it is there, but the directory was not flushed, a crash may undo it.
        """
        self.finish()
        if rename is None:
            os.rename(self.temp, self._name, src_dir_fd=self._dir_fd, dst_dir_fd=self._dir_fd)
        else:
            rename(self._dir_fd, self.temp, self._name)
        self._published = True
        return durable and flushed(self._dir_fd)

    def trade(self, parked: str, exchange: Callable[[int, str, str], None]) -> None:
        """Closes it and has it trade places with the file of its name, which then lies under `parked`.

        Raises OSError, and then nothing has happened but that this one may lie under `parked`.
        """
        self.finish()
        os.rename(self.temp, parked, src_dir_fd=self._dir_fd, dst_dir_fd=self._dir_fd)
        self.temp = parked
        self._published = True  # before: what lies there afterwards is not ours to remove, whatever interrupts us
        try:
            exchange(self._dir_fd, parked, self._name)
        except OSError:
            self._published = False
            raise

    def finish(self) -> None:
        """Closes it, once. Raises OSError: some file systems (NFS) say only now what they could not write."""
        if self._open:
            self._open = False
            os.close(self._fd)


def flushed(dir_fd: int) -> bool:
    """Whether the directory's names are on the disk now."""
    try:
        os.fsync(dir_fd)
    except OSError:
        return False
    return True


def write_atomic(path: Path, data: bytes, durable: bool = True) -> None:
    """Replaces `path` by `data`, 0600. Raises FileRefused; then the old file is there, and no temporary one.

    Readers never find half of it either way. Not `durable`: a crash of the machine may leave the old file, the new
    one or a damaged one; in return the caller does not wait for the disk.
    """
    with explained("write", path), directory(path.parent) as dir_fd, Temp(dir_fd, path.name) as temp:
        temp.write(data, durable=durable)
        temp.publish(durable)


def read_all(fd: int) -> bytes:
    """The whole file, whatever the position of the descriptor."""
    parts: list[bytes] = []
    done = 0
    while part := os.pread(fd, max(os.fstat(fd).st_size - done, 0) + 1, done):
        parts.append(part)
        done += len(part)
    return b"".join(parts)


def read_limited(path: Path, limit: int) -> bytes:
    """All of a regular file. Raises OSError, also for anything else (a pipe would be waited for) and beyond `limit`."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        data = bytearray()
        while len(data) <= limit and (part := os.read(fd, limit + 1 - len(data))):
            data += part
    finally:
        os.close(fd)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"longer than {limit} bytes")
    return bytes(data)


def sweep(path: Path, name: str | None = None) -> int:
    """Removes temporary files that a killed writer has left in the directory `path`; returns how many.

    Only names that are exactly ours (for the file `name`, if given), plain files, of this user, whose process is
    gone or which are older than a minute. A directory that is not there holds none.
    """
    removed = 0
    try:
        entries = list(os.scandir(path))
    except OSError:
        return 0
    for entry in entries:
        match = TEMPORARY.fullmatch(entry.name)
        if match is None or (name is not None and match["name"] != name):
            continue
        with contextlib.suppress(OSError):
            found = entry.stat(follow_symlinks=False)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
                continue
            if time.time() - found.st_mtime < _STALE_SECONDS and _alive(int(match["pid"])):
                continue
            os.unlink(entry.path)
            removed += 1
    return removed


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # another account's
    return True


def _flush(fd: int) -> None:
    """fsync, and on macOS past the drive's own cache, where the file system can."""
    full = getattr(fcntl, "F_FULLFSYNC", None)
    try:
        fcntl.fcntl(fd, full) if full is not None else os.fsync(fd)
    except OSError as error:
        if full is None or error.errno not in (errno.ENOTSUP, errno.EINVAL, errno.ENOTTY):
            raise
        os.fsync(fd)


def refuse_as_root(path: Path) -> None:
    """An account can neither read nor replace what root makes in its directories: `sudo assumed env` with the user's
    HOME would end the user's own daemon. Raises FileRefused, OSError."""
    owner = path.stat().st_uid
    if os.geteuid() == 0 and owner != 0:
        raise FileRefused(
            f"{path} belongs to {shown_account(owner)}, who could not use files that root makes there",
            f"Run it as that account (sudo -u {sudo_name(owner)} -H …), or with root's own home (sudo -H …)",
        )


def shown_account(uid: int) -> str:
    """An account in a message: its name, or `uid 1000` where it has none."""
    return account_name(uid) or f"uid {uid}"


def sudo_name(uid: int) -> str:
    """An account as an argument of sudo and chown."""
    return account_name(uid) or f"'#{uid}'"


UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.ENAMETOOLONG})
"""What systems and file systems say that cannot do it, or not with names as long as those that it needs."""

# Linux since 3.15, macOS since 10.12; Python has neither.
_NAME, _EXCHANGE, _NOREPLACE = ("renameatx_np", 2, 4) if sys.platform == "darwin" else ("renameat2", 2, 1)


def exchange(dir_fd: int, one: str, other: str) -> None:
    """The files of two names of the directory trade places. Raises OSError; then nothing has moved."""
    _rename(dir_fd, one, other, _EXCHANGE)


def rename_to_free_name(dir_fd: int, name: str, free: str) -> None:
    """Renames; raises FileExistsError when that name is taken, OSError otherwise."""
    _rename(dir_fd, name, free, _NOREPLACE)


def _rename(dir_fd: int, source: str, target: str, flags: int) -> None:
    if _native()(dir_fd, os.fsencode(source), dir_fd, os.fsencode(target), flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


@cache
def _native() -> Callable[[int, bytes, int, bytes, int], int]:
    """The C library's function. Raises OSError (ENOSYS) where it has none."""
    try:
        function = getattr(ctypes.CDLL(None, use_errno=True), _NAME)
    except (OSError, AttributeError):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    function.restype = ctypes.c_int
    return function  # type: ignore[no-any-return]
