"""Carrying a plan out on the disk, and taking it back."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from assumed.errors import FileRefused
from assumed.files import explained, write_atomic

from .plan import Directory, File, Plan
from .program import Account
from .record import Record, digest
from .site import Site


@dataclass(slots=True)
class Changes:
    """What writing has changed."""

    written: list[Path] = field(default_factory=list)
    set_aside: list[Path] = field(default_factory=list)
    """Files of somebody else's making that stood there: where they lie now."""
    removed: list[Path] = field(default_factory=list)


def differs(file: File) -> bool:
    """Whether the file on the disk is another one."""
    return text_at(file.path) != file.text or file.path.stat().st_mode & 0o777 != file.mode


def text_at(path: Path) -> str | None:
    """What stands there; None where nothing does. Raises FileRefused."""
    with explained("read", path):
        try:
            return path.read_bytes().decode("utf-8", "surrogateescape")
        except FileNotFoundError:
            return None


def write(plan: Plan, record: Record) -> Changes:
    """Makes the directories and the files, and notes in `record` what was made. Raises FileRefused."""
    changes = Changes()
    for directory in plan.directories:
        make_directory(directory, plan.site.account, record)
    planned = {str(file.path) for file in plan.files}
    for name in [name for name in record.files if name not in planned and plan.site.is_own_file(Path(name))]:
        # An earlier install has written what this one does without: the sandbox, say.
        changes.removed += remove_files([name])
        del record.files[name]
    for file in plan.files:
        if not differs(file):
            record.files[str(file.path)] = digest(file.text)
            continue
        stood = text_at(file.path)
        if stood is not None and stood != file.text and digest(stood) != record.files.get(str(file.path)):
            aside = _free(file.path)
            with explained("rename", file.path):
                file.path.rename(aside)
            changes.set_aside.append(aside)
        _make(file.path.parent, 0o755 if file.mode & 0o044 else 0o700, record)
        record.files.setdefault(str(file.path), digest(file.text))  # also where the next line fails
        write_atomic(file.path, file.text.encode("utf-8", "surrogateescape"))
        with explained("set the mode of", file.path):
            file.path.chmod(file.mode)
        record.files[str(file.path)] = digest(file.text)
        changes.written.append(file.path)
    return changes


def write_record(path: Path, record: Record, account: Account) -> None:
    """Keeps the record. Raises FileRefused."""
    _make(path.parent, 0o700 if account.uid == os.geteuid() else 0o755, record)
    write_atomic(path, record.text().encode())


def make_directory(directory: Directory, account: Account, record: Record) -> None:
    """Makes a directory that is missing, in the name of the account where it lies in its home. Raises FileRefused."""
    if not directory.of_account or account.uid == os.geteuid():
        _make(directory.path, directory.mode, record)
        return
    with acting_as(account):
        _make(directory.path, directory.mode, record)


def write_for(account: Account, path: Path, text: str) -> None:
    """Writes a file of the account's own, and the directories above it. Raises FileRefused."""
    with acting_as(account):
        _make(path.parent, 0o700, Record())
        write_atomic(path, text.encode("utf-8", "surrogateescape"))


@contextlib.contextmanager
def acting_as(account: Account) -> Iterator[None]:
    """What happens in somebody's home happens in his name: a link that he puts there leads root nowhere."""
    uid, gid, groups = os.geteuid(), os.getegid(), os.getgroups()
    if account.uid == uid or uid != 0:  # who is not root has nothing that he could do to others
        yield
        return
    os.setgroups(account.groups)
    os.setegid(account.gid)
    os.seteuid(account.uid)
    try:
        yield
    finally:
        os.seteuid(uid)
        os.setegid(gid)
        os.setgroups(groups)


def remove_files(names: Iterable[str]) -> list[Path]:
    """Removes them; returns what was there. Raises FileRefused."""
    gone = []
    for name in names:
        path = Path(name)
        with explained("remove", path):
            try:
                path.unlink()
            except FileNotFoundError:
                continue
        gone.append(path)
    return gone


def remove_directories(names: list[str], site: Site) -> list[Path]:
    """Removes those that are empty, the last made first; returns them.

    What was made for the account lies where that has said, and may be a link to anywhere by now.
    """
    gone = []
    for path in map(Path, reversed(names)):
        in_whose_name = contextlib.nullcontext() if site.is_own_directory(path) else acting_as(site.account)
        with in_whose_name, contextlib.suppress(OSError):
            path.rmdir()  # one that is not empty, or gone already, is as it should be
            gone.append(path)
    return gone


def _make(path: Path, mode: int, record: Record) -> None:
    missing = []
    with explained("look for the directory", path):
        while not path.exists():
            missing.append(path)
            path = path.parent
    for one in reversed(missing):
        with explained("make the directory", one):
            try:
                one.mkdir(mode)
            except FileExistsError:
                continue  # somebody else's by now, who made it in this moment
            one.chmod(mode)
        record.directories.append(str(one))
    if not path.is_dir():
        raise FileRefused(f"{path} is no directory", "Move it away")


def _free(path: Path) -> Path:
    """A name beside the file that nothing has."""
    candidates = (path.with_name(f"{path.name}.saved{number or ''}") for number in range(1000))
    return next(candidate for candidate in candidates if not os.path.lexists(candidate))
