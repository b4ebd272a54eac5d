"""Files whose place ours has taken, and what other programs write into them in that moment, or afterwards.

Ours trades places with the current file. What comes out lies under a parked name until it is known to be what we
have read, or until what another program has put there in between is merged: it may be the only copy. The parked name
tells the next start, too, what is not ours to remove. Where the system cannot trade, ours is renamed, as everywhere.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from assumed import files
from assumed.errors import FileRefused

from .merge import combine, is_contained
from .snapshot import Signature, Snapshot, look, signature_of, take

_PARKED = re.compile(r"\.(?P<name>.+)\.assumed\.(?P<ours>[0-9a-f-]+)\.(?P<was>[0-9a-f-]+)\.parked")
_KEPT_OPEN = 8
_KEPT_SECONDS = 2.0
"""The last replaced file stays open until the next write; those before it for as long as any program writes. For so
long, too, an edit is put in again: another program may have read the file before it was in it, and write it now."""


@dataclass(slots=True, eq=False)
class Replaced:
    """A file whose place ours has taken."""

    base: bytes
    """What of it ours came from."""
    file: Snapshot
    since: float
    link: str | None = None
    """The name under which it still lies; None when it has none any more."""

    @property
    def is_edited(self) -> bool:
        """Whether another program has written something into it that is not merged yet."""
        return self.file.text != self.base

    @property
    def is_due(self) -> bool:
        """The same, or another program is writing into it now. Raises OSError."""
        return self.is_edited or self.file.is_changed()

    @property
    def is_blank(self) -> bool:
        """Whether nothing is left of it: a program that truncates and then writes may have died in between."""
        return not self.file.text.strip()


@dataclass(slots=True, eq=False)
class Edit:
    """What another program has made of a file. `at`: when it was put into ours; None until then."""

    base: bytes
    text: bytes
    replaced: Replaced
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Mixed:
    """A file's text with edits put in."""

    text: bytes
    gone: frozenset[str]
    """The profiles that they take out."""
    put_in: list[Edit]
    """Those that changed something."""
    broken: list[Edit]
    """Those that are empty, or that no reader can parse."""


@dataclass(frozen=True, slots=True)
class Published:
    """`replaced` is None where there was no file. Not `durable`: a crash of the machine may bring back the old one."""

    durable: bool
    replaced: Replaced | None


@dataclass(frozen=True, slots=True)
class PutBack:
    """Nothing was published: what stood there has its name again. `astray`: the name under which ours still lies,
    because another program has written it in that moment; else None."""

    astray: str | None = None


def publish(temp: files.Temp, dir_fd: int, path: Path, standing: Snapshot | None, now: float) -> Published | PutBack:
    """Puts `temp` in the place of `standing`, which was read there. Raises OSError; then the old file is there.

    PutBack when another file is there now, or none: the next round says which.
    """
    if standing is None:
        try:
            return Published(temp.publish(rename=files.rename_to_free_name), None)
        except FileExistsError:
            return PutBack()
        except OSError as error:
            if error.errno not in files.UNSUPPORTED:
                raise
        return Published(temp.publish(), None)
    ours = signature_of(temp.status())
    parked = f".{path.name}.assumed.{ours.tag()}.{standing.signature.tag()}.parked"
    try:
        temp.trade(parked, files.exchange)
    except FileNotFoundError:
        return PutBack()
    except OSError as error:
        if error.errno not in files.UNSUPPORTED:
            raise
        return Published(temp.publish(), Replaced(standing.text, standing, now))
    replaced = _come_out(dir_fd, path, parked, standing, now)
    if replaced is None:
        files.exchange(dir_fd, parked, path.name)
        if look(dir_fd, parked) != ours:
            return PutBack(parked)
        os.unlink(parked, dir_fd=dir_fd)
        return PutBack()
    return Published(files.flushed(dir_fd), replaced)


def _come_out(dir_fd: int, path: Path, parked: str, standing: Snapshot, now: float) -> Replaced | None:
    """What ours has traded places with; it has no name any more if it is what we read.

    None for what has to be put back: what is no file, and a file that another program is writing in place, because it
    may go on by its name (`: > credentials`, then `>> credentials`).
    """
    try:
        out = look(dir_fd, parked)
        if out is not None and (out.dev, out.ino) == (standing.signature.dev, standing.signature.ino):
            if standing.is_changed():
                return None
            replaced = Replaced(standing.text, standing, now, parked)
            _unlink(dir_fd, replaced)
            return replaced
        file = take(dir_fd, path, parked)
    except (OSError, FileRefused):
        return None
    return Replaced(standing.text, file, now, parked) if file else None


class ReplacedFiles:
    """Those of one credentials file that may still be written, or are not merged yet."""

    def __init__(self) -> None:
        """None yet."""
        self._files: list[Replaced] = []
        self._recent: list[Edit] = []
        self._astray: list[tuple[str, bytes]] = []
        """Name of a file of ours that another program has written before the former file was put back → its text."""

    def signature(self) -> Signature | None:
        """Of the last one that another program has written; None if none has been."""
        return next((one.file.look() for one in reversed(self._files) if one.is_due), None)

    def edits(self, dir_fd: int, path: Path, now: float) -> list[Edit]:
        """What other programs have written into them, oldest first. Raises FileUnsettled while they do."""
        while self._astray:
            parked, text = self._astray[0]
            if (file := take(dir_fd, path, parked)) is not None:
                self._files.append(Replaced(text, file, now, parked))
            del self._astray[0]
        for one in self._files:
            if one.file.is_changed():
                one.file = one.file.again()
        self._recent = [one for one in self._recent if one.at is not None and now - one.at < _KEPT_SECONDS][
            -_KEPT_OPEN:
        ]
        return self._recent + [Edit(one.base, one.file.text, one) for one in self._files if one.is_edited]

    def add(self, replaced: Replaced) -> None:
        """Keep one open, and those before it for as long as it may matter."""
        young = [one for one in self._files if replaced.since - one.since < _KEPT_SECONDS][-_KEPT_OPEN + 1 :]
        self._files = [*(one for one in self._files if one in young or one.is_edited or one.link), replaced]

    def put_back(self, result: PutBack, text: bytes, standing: Snapshot | None, now: float) -> None:
        """Ours, which was to say `text`, has no name any more; perhaps it is another program's edit now.

        And a program that has read it in place of the former file may undo what was just written there.
        """
        if result.astray is not None:
            self._astray.append((result.astray, text))
        if standing is not None:
            self.add(Replaced(standing.text, standing, now))

    def merged(self, edits: list[Edit], mixed: Mixed, dir_fd: int, now: float) -> None:
        """What was in these is in ours now; what needs no name any more loses it."""
        for one in edits:
            if one.at is None:
                one.replaced.base = one.text
                self._recent.append(one)
            if one.at is None or one in mixed.put_in:
                one.at = now
        for file in self._files:
            if file.link is not None and not file.is_due:
                _unlink(dir_fd, file)

    def give_up(self, broken: list[Edit], dir_fd: int, path: Path) -> list[str]:
        """No reader can parse these. Returns the paths of those that had a name."""
        aside = []
        for one in (edit.replaced for edit in broken):
            one.base = one.file.text
            if one.link is not None and not one.is_blank:
                aside.append(set_aside(dir_fd, one.link, path))
                one.link = None
        return aside

    def sweep(self, dir_fd: int, path: Path) -> tuple[int, list[str]]:
        """What a killed writer has left parked: removed, or merged next, or set aside. Returns how many were removed,
        and the paths of those that were set aside. Raises OSError, FileRefused."""
        known = {one.link for one in self._files} | {parked for parked, _ in self._astray}
        removed, aside = 0, []
        for parked in (name for name in sorted(os.listdir(dir_fd)) if name not in known):
            match = _PARKED.fullmatch(parked)
            if match is None or match["name"] != path.name:
                continue
            left = take(dir_fd, path, parked)
            if left is None:
                continue
            standing = take(dir_fd, path)
            if left.signature.tag() in (match["ours"], match["was"]) or _is_in(left, standing):
                os.unlink(parked, dir_fd=dir_fd)
                removed += 1
            elif standing is not None and standing.signature.tag() == match["ours"]:
                self._files.append(Replaced(standing.text, left, float("-inf"), parked))
            else:
                aside.append(set_aside(dir_fd, parked, path))
        return removed, aside


def with_edits(text: bytes, edits: list[Edit], ours: Container[str] = ()) -> Mixed:
    """`text` with what others have written into the files before it. `ours`: see `combine`."""
    gone: frozenset[str] = frozenset()
    put_in, broken = [], []
    for one in edits:
        if not one.text.strip() and one.base.strip():
            broken.append(one)  # of a program that has truncated it and then died
            continue
        try:
            combined = combine(one.base, one.text, text, ours if one.at is None else ())
        except FileRefused:
            broken += [one] if one.at is None else []
            continue
        if combined.text is not text:
            text, gone = combined.text, gone | combined.gone
            put_in.append(one)
    return Mixed(text, gone, put_in, broken)


def set_aside(dir_fd: int, parked: str, path: Path) -> str:
    """Give a file that another program has written, and that cannot be merged, a name that its user will find. It holds
    secrets, whatever mode that program gave it. Raises OSError."""
    name = f"{path.name}.not-merged-{secrets.token_hex(4)}"
    fd = os.open(parked, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        os.fchmod(fd, 0o600)
    finally:
        files.close(fd)
    os.rename(parked, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    return str(path.with_name(name))


def _is_in(left: Snapshot, standing: Snapshot | None) -> bool:
    try:
        return is_contained(left.text, standing.text if standing else b"")
    except FileRefused:
        return False


def _unlink(dir_fd: int, one: Replaced) -> None:
    """One that cannot be removed now keeps its name, and is tried again with the next write."""
    with contextlib.suppress(OSError):
        os.unlink(one.link or "", dir_fd=dir_fd)
        one.link = None
