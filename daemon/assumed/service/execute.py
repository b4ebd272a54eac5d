"""Carrying a plan out on the disk, the record of it, and taking it back."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from assumed.errors import FileRefused
from assumed.files import explained, write_atomic
from assumed.model import Finding

from .plan import Plan
from .site import Account, Site


@dataclass(slots=True)
class Record:
    """What install has made, by which uninstall removes exactly that. It lies beside the environment file.

    `files`: path → digest of what was written. `directories`: in the order in which they were made. `lingering`:
    whether install has enabled it.
    """

    version: str = ""
    config: str = ""
    credentials_file: str = ""
    files: dict[str, str] = field(default_factory=dict)
    directories: list[str] = field(default_factory=list)
    lingering: bool = False


def read_record(path: Path) -> Record | None:
    """The record; None where there is none that can be used."""
    try:
        found = Record(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return found if isinstance(found.files, dict) and isinstance(found.directories, list) else None


def digest(text: str) -> str:
    """Changes with the text."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def text_at(path: Path) -> str | None:
    """The file's text; None where there is no file. Raises FileRefused."""
    with explained("read", path):
        try:
            return path.read_bytes().decode("utf-8", "surrogateescape")
        except FileNotFoundError:
            return None


def write(plan: Plan, record: Record) -> list[Finding]:
    """Makes directories and files and notes them in `record`. Returns each change. Raises FileRefused."""
    changes = []
    for directory in plan.directories:
        is_of_machine = plan.site.is_of_machine(directory)
        with contextlib.nullcontext() if is_of_machine else acting_as(plan.site.account):
            _make(directory, 0o755 if is_of_machine else 0o700, record)
    obsolete = {*record.files} - {str(file.path) for file in plan.files}
    for name in filter(lambda name: plan.site.may_hold(Path(name)), sorted(obsolete)):
        changes += [Finding("ok", "", f"removed {path} (obsolete)") for path in remove_files([name])]
        del record.files[name]
    for file in plan.files:
        path, existing = file.path, text_at(file.path)
        if existing == file.text and path.stat().st_mode & 0o777 == file.mode:
            continue
        if existing not in (None, file.text) and digest(existing or "") != record.files.get(str(path)):
            names = (path.with_name(f"{path.name}.saved{number or ''}") for number in range(1000))
            backup = next(name for name in names if not os.path.lexists(name))
            with explained("rename", path):
                path.rename(backup)
            changes.append(Finding("warning", str(path), f"existing file backed up to {backup}"))
        _make(path.parent, 0o755 if file.mode & 0o044 else 0o700, record)
        record.files.setdefault(str(path), digest(file.text))  # also where the next line fails
        write_atomic(path, file.text.encode("utf-8", "surrogateescape"))
        with explained("set the mode of", path):
            path.chmod(file.mode)
        changes.append(Finding("ok", "", f"wrote {path}{file.note}"))
    record.files |= {str(file.path): digest(file.text) for file in plan.files}
    return changes


def write_record(site: Site, record: Record) -> None:
    """Writes the record. Raises FileRefused."""
    _make(site.record.parent, 0o755 if site.system else 0o700, record)
    write_atomic(site.record, (json.dumps(asdict(record), indent=2) + "\n").encode())


def write_for(account: Account, path: Path, text: str) -> None:
    """Writes a file of the account's own, and the directories above it. Raises FileRefused."""
    with acting_as(account):
        _make(path.parent, 0o700, Record())
        write_atomic(path, text.encode("utf-8", "surrogateescape"))


@contextlib.contextmanager
def acting_as(account: Account) -> Iterator[None]:
    """Changes in an account's home are made in its name: a link that it puts there leads root nowhere."""
    uid, gid, groups = os.geteuid(), os.getegid(), os.getgroups()
    if account.uid == uid or uid != 0:  # without root's rights there is nothing to protect
        yield
        return
    os.setgroups(os.getgrouplist(account.name, account.gid))  # all of them, as systemd does
    os.setegid(account.gid)
    os.seteuid(account.uid)
    try:
        yield
    finally:
        os.seteuid(uid)
        os.setegid(gid)
        os.setgroups(groups)


def remove_files(names: Iterable[str]) -> list[Path]:
    """Removes them; returns those that existed. Raises FileRefused."""
    gone = []
    for path in map(Path, names):
        with explained("remove", path), contextlib.suppress(FileNotFoundError):
            path.unlink()
            gone.append(path)
    return gone


def remove_directories(names: list[str], site: Site) -> list[Path]:
    """Removes those that are empty, the last made first; returns them.

    One of the account's lies where the account wanted it, and may be a link to anywhere by now.
    """
    gone = []
    for path in map(Path, reversed(names)):
        with (
            contextlib.nullcontext() if site.is_of_machine(path) else acting_as(site.account),
            contextlib.suppress(OSError),
        ):
            path.rmdir()
            gone.append(path)
    return gone


def _make(path: Path, mode: int, record: Record) -> None:
    """Makes a directory and those above it that are missing."""
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
                continue  # made by another program in this moment
            one.chmod(mode)
        record.directories.append(str(one))
    if not path.is_dir():
        raise FileRefused(f"{path} is not a directory", "move it away")
