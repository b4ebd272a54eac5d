"""The state directory of a credentials file: recognised as ours, made, taken over from an earlier version, removed.

Its name may be taken: `~/src/assumed/` beside `~/src/credentials` is a person's checkout. So one without our marker is
used only if nothing in it could be anybody else's, and no other file than ours is ever removed from it.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from assumed import files
from assumed.errors import FileRefused
from assumed.files import (
    UNSUPPORTED,
    close,
    directory,
    explained,
    make_missing_dirs,
    refuse_as_root,
    shown_account,
    sudo_name,
    try_lock,
    write_atomic,
)
from assumed.paths import (
    MARKER,
    SESSIONS,
    STATE,
    STATE_NAMES,
    TEMPORARY,
    earlier_state_dir,
    exists,
    foreign_names,
    own_state_dir,
    state_dir,
)

_MARKS = {
    ".gitignore": b"*\n",
    MARKER: b"assumed stores sessions here. `assumed service uninstall --purge` removes this directory.\n",
}
_SESSION_FILE = re.compile(r"[A-Za-z0-9_=-]+\.[a-z]+")
_LINK = re.compile(rf"{STATE}-[^/]+")


def claim(credentials_file: Path) -> Path:
    """The state directory of a credentials file, made or taken over from an earlier version. Raises FileRefused."""
    own = own_state_dir(credentials_file)
    earlier = earlier_state_dir(credentials_file)
    if exists(own.parent):
        refuse_as_root(own.parent)
    if earlier is not None and not exists(own):
        _move(earlier, own)
    elif is_left_behind(own) and own.name == STATE:
        # Left for command lines of an earlier version; but the state of the file that is called so must be its own.
        with contextlib.suppress(OSError):
            own.unlink()
    found = state_dir(credentials_file)
    make_state_dir(found)
    return found


def make_state_dir(path: Path) -> None:
    """Makes a state directory, and marks it; one that is there must be ours. Raises FileRefused."""
    if is_left_behind(path):
        path = path.parent / os.readlink(path)
    with explained("make the directory", path):
        make_missing_dirs(path)
        refuse_as_root(path.parent)
        if wrong := trouble(path):
            raise FileRefused(f"{path} {wrong[0]}", wrong[1])
        if path.lstat().st_mode & 0o077:
            path.chmod(0o700)
    for name, text in _MARKS.items():
        if not os.path.lexists(path / name):
            with contextlib.suppress(FileRefused):  # read-only, or the disk is full: what is there can still be read
                write_atomic(path / name, text, durable=False)


def trouble(path: Path) -> tuple[str, str] | None:
    """Why an existing path cannot be the state directory, and what to do. Raises OSError where that cannot be seen."""
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return "is not a directory, but sessions are to be stored there", "Move it away"
    if found.st_uid != os.geteuid():
        return _anothers(path, found.st_uid)
    if os.path.lexists(path / MARKER):
        return None
    elsewhere = "Move it away, or set another credentials_file: the state lies beside that file"
    if foreign := foreign_names(path):
        more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
        return f"is not a state directory of assumed: it contains {', '.join(foreign[:3])}{more}", elsewhere
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        return (
            f"has no mark of assumed and is open to other accounts (mode {mode:04o})",
            f"chmod 700 {path}, or move it away",
        )
    return None


def is_left_behind(path: Path) -> bool:
    """Whether it is a link that `_move` has left: to the state of a file of another name."""
    try:
        return _LINK.fullmatch(os.readlink(path)) is not None
    except OSError:
        return False


def remove(path: Path) -> list[str]:
    """Removes a state directory: the files that assumed writes, and then what is empty. Returns what is left.

    Raises FileRefused.
    """
    with explained("remove", path):
        for session in _entries(path / SESSIONS):
            if _SESSION_FILE.fullmatch(session.name) or TEMPORARY.fullmatch(session.name):
                _unlink(session)
        for entry in _entries(path):
            if entry.name in STATE_NAMES or TEMPORARY.fullmatch(entry.name):
                _unlink(entry)
        for empty in (path / SESSIONS, path):
            with contextlib.suppress(OSError):
                empty.rmdir()
    link = path.parent / STATE
    if is_left_behind(link) and os.readlink(link) == path.name:
        with explained("remove", link):
            link.unlink()
    return [entry.name for entry in _entries(path)]


def _entries(path: Path) -> list[os.DirEntry[str]]:
    if path.is_symlink():
        return []  # not ours: it may lead anywhere
    try:
        with os.scandir(path) as found:
            return sorted(found, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _unlink(entry: os.DirEntry[str]) -> None:
    if not entry.is_dir(follow_symlinks=False):
        os.unlink(entry.path)


def _anothers(path: Path, uid: int) -> tuple[str, str]:
    whose = shown_account(uid)
    if uid == 0:  # a command was run as root with this home
        return "belongs to root", f"Give it back: sudo chown -R {sudo_name(os.geteuid())} {path}"
    return f"belongs to {whose}", f"Run assumed as {whose}, or move the directory away"


def _move(earlier: Path, own: Path) -> None:
    """Gives an earlier version's directory its new name, and leaves a link: SDKs hold the old one in memory.

    Nothing happens while a daemon of that version runs, or where the system does not allow it.
    """
    with contextlib.suppress(OSError), _locked(earlier / "lock") as locked, directory(own.parent) as dir_fd:
        if not locked:
            return
        # A link to itself, which no reader can mistake for a state, until the two have traded places in one step.
        if not (own.is_symlink() and os.readlink(own) == own.name):  # of a start that was killed here
            os.symlink(own.name, own.name, dir_fd=dir_fd)
        try:
            files.exchange(dir_fd, earlier.name, own.name)
        except OSError as error:
            os.unlink(own.name, dir_fd=dir_fd)
            if error.errno not in UNSUPPORTED:
                raise
            os.rename(earlier.name, own.name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
            os.symlink(own.name, earlier.name, dir_fd=dir_fd)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[bool]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        yield try_lock(fd)
    finally:
        close(fd)
