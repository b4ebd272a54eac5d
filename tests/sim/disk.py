"""A real directory whose system calls fail, are interrupted, or lose power.

The daemon's file modules call the system through their module's `os`, which the world replaces with this. The calls
are really made (on a file system in memory, if there is one), so inodes, signatures and descriptors are real; what a
power cut would lose is recorded beside them.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assumed import files
from assumed import files as exchange
from assumed.credentials import file as credentials_file
from assumed.credentials import replaced, snapshot

MODULES = (files, snapshot, replaced, credentials_file)
really_exchange, really_rename_to_free_name = exchange.exchange, exchange.rename_to_free_name


class Killed(BaseException):
    """SIGKILL or a power cut: nothing of the daemon runs any more."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An operation that fails while this is active. `where` is a part of the path."""

    op: str
    errno: int
    where: str


@dataclass(slots=True)
class _Pending:
    """A directory change that is not on disk yet, and how a power cut reverts it."""

    directory: str
    paths: tuple[str, ...]
    undo: Callable[[], None]
    at: float


WRITEBACK = 30.0
"""Seconds after which a kernel writes out unflushed data by itself."""


@dataclass(slots=True)
class Disk:
    """Replaces `os`. Everything not defined here is the real one's."""

    random: random.Random
    time: Callable[[], float]
    grave: Path
    """A directory for removed files that a power cut may bring back."""
    pid: int = 1000
    faults: list[Fault] = field(default_factory=list)
    kill_in: int | None = None
    """Operations until the daemon is killed."""
    kill_after: str = ""
    """The operation of the credentials file's next write after which the daemon is killed."""
    before_op: Callable[[str, str], None] | None = None
    """Called with operation and path before each change: another program may act there."""
    after_op: Callable[[str, str], None] | None = None
    dead: bool = False
    ops: int = 0
    _traded: tuple[str, str] | None = None
    """The names exchanged last."""
    _paths: dict[int, str] = field(default_factory=dict)
    _directories: set[int] = field(default_factory=set)
    _unsynced: dict[int, float] = field(default_factory=dict)
    """Inode → when it was last written."""
    _pending: list[_Pending] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    # -- the operations -------------------------------------------------------------------------------------

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        where = self._full(path, dir_fd)
        op = "create" if flags & os.O_CREAT else "open"
        self._enter(op, where)
        fd = os.open(path, flags, mode, dir_fd=dir_fd)
        self._paths[fd] = where
        if flags & os.O_DIRECTORY:
            self._directories.add(fd)
        else:
            self._directories.discard(fd)
        if flags & os.O_TRUNC:
            self._unsynced[os.fstat(fd).st_ino] = self.time()
        self._leave(op, where)
        return fd

    def write(self, fd: int, data: Any) -> int:
        where = self._paths.get(fd, "")
        try:
            self._enter("write", where)
        except OSError:
            # A full disk writes only a part.
            os.write(fd, bytes(data)[: len(data) // 2])
            raise
        self._unsynced[os.fstat(fd).st_ino] = self.time()
        done = os.write(fd, data)
        self._leave("write", where)
        return done

    def fsync(self, fd: int) -> None:
        where = self._paths.get(fd, "")
        is_dir = fd in self._directories
        self._enter("fsync_dir" if is_dir else "fsync", where)
        if is_dir:
            self._pending = [p for p in self._pending if p.directory != where]
        else:
            self._unsynced.pop(os.fstat(fd).st_ino, None)
        self._leave("fsync", where)

    def rename(self, src: str, dst: str, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        source, target = self._full(src, src_dir_fd), self._full(dst, dst_dir_fd)
        self._enter("rename", target)
        buried = self._bury(target)
        os.rename(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        self._remember(lambda: _move(target, source, buried), target)
        self._leave("rename", target)

    def rename_to_free_name(self, dir_fd: int, name: str, free: str) -> None:
        source, target = self._full(name, dir_fd), self._full(free, dir_fd)
        self._enter("rename", target)
        really_rename_to_free_name(dir_fd, name, free)
        self._remember(lambda: _move(target, source, None), target)
        self._leave("rename", target)

    def exchange(self, dir_fd: int, one: str, other: str) -> None:
        paths = self._full(one, dir_fd), self._full(other, dir_fd)
        self._enter("exchange", paths[1])
        really_exchange(dir_fd, one, other)
        self._remember(lambda: _exchange_back(*paths), *paths)
        # A second exchange puts back a file that is being written: that publishes nothing.
        self._traded, again = paths, self._traded == paths
        self._leave("put_back" if again else "exchange", paths[1])

    def unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        where = self._full(path, dir_fd)
        if self.dead:
            return
        self._enter("unlink", where)
        buried = self._bury(where)
        os.unlink(path, dir_fd=dir_fd)
        self._remember(lambda: _move(buried, where, None) if buried else None, where)
        self._leave("unlink", where)

    def fchmod(self, fd: int, mode: int) -> None:
        self._enter("fchmod", self._paths.get(fd, ""))
        os.fchmod(fd, mode)

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        self._enter("read", self._paths.get(fd, ""))
        return os.pread(fd, length, offset)

    def getpid(self) -> int:
        return self.pid

    def kill(self, pid: int, _signal: int) -> None:
        if pid != self.pid:
            raise ProcessLookupError

    # -- what may come between ------------------------------------------------------------------------------

    def _full(self, path: Any, dir_fd: int | None) -> str:
        return os.fspath(path) if dir_fd is None else f"{self._paths[dir_fd]}/{path}"

    def _enter(self, op: str, where: str) -> None:
        if self.dead:
            raise Killed
        self.ops += 1
        if self.before_op is not None:
            self.before_op(op, where)
        if self.kill_in is not None:
            self.kill_in -= 1
            if self.kill_in <= 0:
                self.kill_in, self.dead = None, True
                raise Killed
        for fault in self.faults:
            if fault.op == op and fault.where in where:
                raise OSError(fault.errno, os.strerror(fault.errno))

    def _leave(self, op: str, where: str) -> None:
        if self.after_op is not None:
            self.after_op(op, where)
        if self.kill_after == op and "/sessions/" not in where:
            self.kill_after, self.dead = "", True
            raise Killed

    def _bury(self, path: str) -> str | None:
        """Keep a file that loses its last name, so that a power cut can restore it."""
        self.grave.mkdir(exist_ok=True)
        buried = str(self.grave / str(self.ops))
        try:
            os.link(path, buried, follow_symlinks=False)
        except OSError:
            return None
        return buried

    def _remember(self, undo: Callable[[], None], *paths: str) -> None:
        now = self.time()
        if len(self._pending) > 64:
            self._forget_what_is_written(now)
        self._pending.append(_Pending(os.path.dirname(paths[0]), paths, undo, now))

    def _forget_what_is_written(self, now: float) -> None:
        self._pending = [p for p in self._pending if now - p.at < WRITEBACK]
        self._unsynced = {ino: at for ino, at in self._unsynced.items() if now - at < WRITEBACK}
        if not self._pending:
            self._dig_over()

    def _dig_over(self) -> None:
        for buried in self.grave.glob("*"):
            buried.unlink()

    # -- the end of a process, of a machine -------------------------------------------------------------------

    def revive(self) -> None:
        """The next process starts."""
        self.dead, self.kill_in, self.kill_after = False, None, ""
        self.pid += 1
        self._paths.clear()

    def lose_power(self) -> None:
        """Lose what was not flushed, in one of the ways POSIX allows: the last directory changes, any part of a file's
        bytes."""
        self._forget_what_is_written(self.time())
        for directory in sorted({p.directory for p in self._pending}):
            mine = [p for p in self._pending if p.directory == directory]
            lost = self.random.randint(0, len(mine))
            for change in reversed(mine[len(mine) - lost :]):
                change.undo()
            for path in [path for change in mine[: len(mine) - lost] for path in change.paths]:
                self._damage(Path(path))
        self._pending.clear()
        self._unsynced.clear()
        self._dig_over()

    def _damage(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            if path.stat().st_ino in self._unsynced and self.random.random() < 0.7:
                os.truncate(path, self.random.choice([0, self.random.randint(0, path.stat().st_size)]))


def _move(source: str, target: str, old: str | None) -> None:
    """Undo a rename: the file gets its former name, and the file it replaced is restored."""
    with contextlib.suppress(FileNotFoundError):
        Path(source).rename(target)
    if old is not None:
        Path(old).rename(source)


def _exchange_back(one: str, other: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        really_exchange(-1, one, other)  # whole paths: they need no directory


@contextlib.contextmanager
def in_place_of_os(disk: Disk) -> Iterator[None]:
    """Make the daemon's file modules use `disk`."""
    real = [module.os for module in MODULES]
    is_young = snapshot._is_young
    try:
        for module in MODULES:
            module.os = disk  # type: ignore[attr-defined]
        exchange.exchange, exchange.rename_to_free_name = disk.exchange, disk.rename_to_free_name
        # The kernel's clock would make a file's age random; only the seed may decide.
        snapshot._is_young = lambda status: False
        yield
    finally:
        snapshot._is_young = is_young
        exchange.exchange, exchange.rename_to_free_name = really_exchange, really_rename_to_free_name
        for module, before in zip(MODULES, real, strict=True):
            module.os = before  # type: ignore[attr-defined]
