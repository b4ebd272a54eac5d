"""A model of what a disk may hold after a power cut, derived only from the system calls before it.

It is as permissive as POSIX allows. Until a file is flushed, each of its blocks may be missing (zeros) or of any age,
and its size may be any that it had, or end at any block between. Until a directory is flushed, each of its names may
be of any age, independently: renames may survive one without the other, files without their names, names without their
content. Only one name in one directory changes atomically.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fault.once import Call

BLOCK = 128
"""Bytes. Smaller than any disk's, because the files here are small, too."""
_CHANGE_NOTHING = {
    *("set_robust_list", "rseq"),  # of a thread that starts meanwhile
    *(
        "newfstatat",
        "fstat",
        "lstat",
        "stat",
        "read",
        "pread64",
        "readlink",
        "readlinkat",
        "lseek",
        "flock",
        "getdents64",
        "ioctl",
    ),
    *("fcntl", "gettid", "getpid", "geteuid", "getrandom", "kill", "fchmod", "fchmodat", "chmod"),
}
RENAME_EXCHANGE = "RENAME_EXCHANGE"


@dataclass(eq=False, slots=True)
class File:
    """`ages` are its contents since the last flush; the first is certainly on disk."""

    ages: list[bytes]
    real: Path | None = None
    """A name of this file on the real disk, if it still has one."""

    def variants(self) -> set[bytes]:
        """Every content it may have after a power cut."""
        sizes = {len(age) for age in self.ages}
        sizes |= set(range(min(sizes), max(sizes), BLOCK))
        if len(self.ages) == 1:
            return {self.ages[0]}
        return {content for size in sizes for content in self._of_size(size)}

    def _of_size(self, size: int) -> Iterator[bytes]:
        starts = range(0, size, BLOCK)
        blocks = [{age[at : at + BLOCK].ljust(BLOCK, b"\0") for age in self.ages} for at in starts]
        for choice in itertools.product(*blocks):
            yield b"".join(choice)[:size]


@dataclass(eq=False, slots=True)
class Link:
    """A symbolic link."""

    target: str


@dataclass(eq=False, slots=True)
class Directory:
    """Name → its targets since the directory was flushed; the first is certainly on disk."""

    names: dict[str, list[Node | None]] = field(default_factory=dict)

    def get(self, name: str) -> Node | None:
        return self.names.get(name, [None])[-1]

    def put(self, name: str, node: Node | None) -> None:
        self.names.setdefault(name, [None]).append(node)


Node = File | Link | Directory
State = dict[str, tuple[Node, bytes]]
"""Path below the root → its kind, and its content if it is a file. One possible state of a disk after a power cut."""


class Disk:
    """The model of a directory, `root`, and everything below it. Feed it calls."""

    def __init__(self, root: Path, deaf_to: type[Node] | None = None) -> None:
        """Starts with the current content of `root`, all flushed. Calls in `deaf_to` report success but flush
        nothing."""
        self._base = root
        self.root = _scan(root)
        self._open: dict[int, Node] = {}
        self._at: dict[int, int] = {}
        self._deaf_to = deaf_to

    def feed(self, call: Call) -> bool:
        """Apply the call. False if it changes nothing. Raises KeyError for an unknown call."""
        if call.name in _CHANGE_NOTHING or call.result < 0:
            return False
        _DO[call.name](self, call.args.split(", "), call.result)
        return True

    def states(self) -> Iterator[State]:
        """Every state that a power cut may leave now."""
        for tree in _trees(self.root, ""):
            files = {node for node in tree.values() if isinstance(node, File)}
            for contents in itertools.product(*(file.variants() for file in files)):
                content: dict[Node, bytes] = dict(zip(files, contents, strict=True))
                yield {path: (node, content.get(node, b"")) for path, node in tree.items()}

    # -- calls ------------------------------------------------------------------------------------------------

    def openat(self, args: list[str], result: int) -> None:
        where = self._find(args[0], args[1])
        if where is None:
            return
        directory, name = where
        node = directory.get(name) if name else directory
        if node is None:
            assert "O_CREAT" in args[2]
            node = File([b""])
            directory.put(name, node)
        elif "O_TRUNC" in args[2]:
            assert isinstance(node, File)
            node.ages.append(b"")
        self._open[result], self._at[result] = node, 0

    def write(self, args: list[str], result: int) -> None:
        fd = int(args[0])
        if fd in self._open:
            self._put(fd, self._at[fd], _bytes(args[1])[:result])
            self._at[fd] += result

    def pwrite64(self, args: list[str], result: int) -> None:
        self._put(int(args[0]), int(args[3]), _bytes(args[1])[:result])

    def ftruncate(self, args: list[str], _result: int) -> None:
        node, size = self._open.get(int(args[0])), int(args[1])
        if node is None:
            return
        assert isinstance(node, File)
        node.ages.append(node.ages[-1][:size].ljust(size, b"\0"))

    def fsync(self, args: list[str], _result: int) -> None:
        node = self._open.get(int(args[0]))
        if self._deaf_to is not None and isinstance(node, self._deaf_to):
            return
        if isinstance(node, File):
            node.ages = node.ages[-1:]
        if isinstance(node, Directory):
            node.names = {name: ages[-1:] for name, ages in node.names.items()}

    def close(self, args: list[str], _result: int) -> None:
        self._open.pop(int(args[0]), None)

    def mkdir(self, args: list[str], _result: int) -> None:
        self.mkdirat(["AT_FDCWD", *args], 0)

    def mkdirat(self, args: list[str], _result: int) -> None:
        directory, name = self._place(args[0], args[1])
        directory.put(name, Directory())

    def unlink(self, args: list[str], _result: int) -> None:
        self.unlinkat(["AT_FDCWD", *args], 0)

    def unlinkat(self, args: list[str], _result: int) -> None:
        directory, name = self._place(args[0], args[1])
        directory.put(name, None)

    def rename(self, args: list[str], _result: int) -> None:
        self.renameat2(["AT_FDCWD", args[0], "AT_FDCWD", args[1], "0"], 0)

    def renameat(self, args: list[str], _result: int) -> None:
        self.renameat2([*args, "0"], 0)

    def renameat2(self, args: list[str], _result: int) -> None:
        (old, old_name), (new, new_name) = self._place(args[0], args[1]), self._place(args[2], args[3])
        moved, out = old.get(old_name), new.get(new_name)
        new.put(new_name, moved)
        old.put(old_name, out if args[4] == RENAME_EXCHANGE else None)

    # -- places -----------------------------------------------------------------------------------------------

    def _put(self, fd: int, at: int, data: bytes) -> None:
        node = self._open[fd]
        assert isinstance(node, File)
        now = node.ages[-1]
        node.ages.append(now[:at].ljust(at, b"\0") + data + now[at + len(data) :])

    def _place(self, fd: str, path: str) -> tuple[Directory, str]:
        where = self._find(fd, path)
        assert where is not None, "outside of what is modelled"
        return where

    def _find(self, fd: str, quoted: str) -> tuple[Directory, str] | None:
        """The directory and the name in it ("" for the root itself); None outside the root."""
        path = Path(_bytes(quoted).decode())
        if path.is_absolute():
            if not path.is_relative_to(self._base):
                return None
            directory, parts = self.root, path.relative_to(self._base).parts
        else:
            opened = self._open.get(int(fd))
            if not isinstance(opened, Directory):
                return None
            directory, parts = opened, path.parts
        if not parts:
            return directory, ""
        for part in parts[:-1]:
            below = directory.get(part)
            assert isinstance(below, Directory)
            directory = below
        return directory, parts[-1]


_DO: dict[str, Callable[[Disk, list[str], int], None]] = {
    **{name: getattr(Disk, name) for name in ("openat", "write", "pwrite64", "ftruncate", "fsync", "close", "mkdir")},
    **{name: getattr(Disk, name) for name in ("mkdirat", "unlink", "unlinkat", "rename", "renameat", "renameat2")},
    "fdatasync": Disk.fsync,
}


def _bytes(quoted: str) -> bytes:
    """A string in strace's notation (-xx)."""
    return bytes.fromhex(quoted.strip('"').replace("\\x", ""))


def _scan(path: Path) -> Directory:
    directory = Directory()
    for entry in path.iterdir():
        node: Node
        if entry.is_symlink():
            node = Link(str(entry.readlink()))
        elif entry.is_dir():
            node = _scan(entry)
        else:
            node = File([entry.read_bytes()], entry)
        directory.names[entry.name] = [node]
    return directory


def _trees(directory: Directory, prefix: str) -> Iterator[dict[str, Node]]:
    """Every combination of what the names lead to, here and below."""
    options: list[list[dict[str, Node]]] = []
    for name, ages in directory.names.items():
        here: list[dict[str, Node]] = []
        for node in dict.fromkeys(ages):
            if node is None:
                here.append({})
            elif isinstance(node, Directory):
                here += [{prefix + name: node, **below} for below in _trees(node, f"{prefix}{name}/")]
            else:
                here.append({prefix + name: node})
        options.append(here)
    for choice in itertools.product(*options):
        yield {path: node for part in choice for path, node in part.items()}
