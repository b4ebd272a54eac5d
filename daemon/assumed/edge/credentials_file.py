"""The credentials file on the disk: read when it is whole, merged, replaced in one step.

A rename never shows a reader half a file (an in-place writer spoiled 90 % of the reads in the same test), but other
programs write in place and take no lock. Three things keep their edits: the signature is compared before the rename,
profiles that are suddenly missing are waited for, and the replaced file is kept open, for what a program that had it
open writes into it afterwards is merged next.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from assumed.core.errors import FileRefused, FileUnsettled
from assumed.core.profiles import KeptProfile, Merge, Refusal, merge, misread
from assumed.files import Temp, directory, explained, make_missing_dirs, make_private_dir, sweep
from assumed.files.snapshot import SETTLE_SECONDS, Signature, Snapshot, look, signature_of, take

_TRIES = 3
_LOCK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What a write did. `durable` False: the new file stands, but a crash of the machine may bring back the old."""

    written: bool
    adopted: tuple[str, ...]
    refused: tuple[Refusal, ...]
    removed: tuple[str, ...]
    signature: Signature | None
    durable: bool = True


@dataclass(frozen=True, slots=True)
class _Replaced:
    """The file whose place ours has taken: a program that had it open may not have written yet."""

    old: Snapshot
    ours: Signature | None
    names: frozenset[str]
    """Its profiles when we read it."""

    def has_lost_edit(self, now: Signature | None) -> bool:
        """Whether it was written since; `now` is what stands in its place: when that is not ours, it is newer."""
        return now == self.ours and self.old.look() != self.old.signature


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
        self._replaced: _Replaced | None = None
        self._known: Merge | None = None
        """The last one: what has not changed since need not be scanned again."""

    @property
    def real_path(self) -> Path:
        """Where the symbolic links lead; what is written is this file. Raises FileRefused where they lead nowhere."""
        real = Path(os.path.realpath(self.path))
        if real.is_symlink():
            raise FileRefused(f"the symbolic links of {self.path} lead in a circle", "Point the link at a real file")
        return real

    def signature(self) -> Signature | None:
        """Changes when another program has written the file, or the one that we replaced. None when there is none.

        Takes microseconds: a heartbeat can afford it.
        """
        real = self.real_path
        with explained("look at", real):
            try:
                with directory(real.parent) as dir_fd:
                    now = look(dir_fd, real.name)
            except FileNotFoundError:
                return None
            replaced = self._replaced
            return replaced.old.look() if replaced and replaced.has_lost_edit(now) else now

    def read(self) -> bytes:
        """The file's bytes, of one instant; b"" when there is none. Raises FileUnsettled while it is being written.

        When another program has written the file that we replaced, those bytes: the next `write` merges them.
        """
        real = self.real_path
        with explained("read", real):
            try:
                with directory(real.parent) as dir_fd:
                    standing = take(dir_fd, real)
            except FileNotFoundError:
                return b""
            found = self._lost_edit(standing) or standing
            return found.text if found else b""

    def _lost_edit(self, standing: Snapshot | None) -> Snapshot | None:
        """What another program has written into the file that we replaced, if nobody has written ours since."""
        replaced = self._replaced
        if replaced is None or not replaced.has_lost_edit(standing.signature if standing else None):
            return None
        return replaced.old.again()

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
        raise FileUnsettled(f"another program keeps writing {self.path}", SETTLE_SECONDS)

    def _try(self, real: Path, kept: Sequence[KeptProfile], config_id: str, remove_orphans: bool) -> WriteResult | None:
        """One round; None when the file changed between reading and replacing."""
        with explained("write", real), contextlib.ExitStack() as stack:
            make_missing_dirs(real.parent)
            dir_fd = stack.enter_context(directory(real.parent))
            _check_directory(dir_fd, real.parent)
            standing = take(dir_fd, real)
            lost = self._lost_edit(standing)
            source = lost or standing
            text = source.text if source else b""
            merged = self._settled(
                source, lost is not None, lambda: merge(text, kept, config_id, remove_orphans, self._known)
            )
            if merged is None:
                return None
            before = standing.signature if standing else None
            if merged.text is text and lost is None:
                self._known = merged
                return WriteResult(False, merged.adopted, merged.refused, merged.removed, before)
            temp = stack.enter_context(Temp(dir_fd, real.name))
            temp.write(merged.text, mode=stat.S_IMODE(standing.status.st_mode) & 0o700 if standing else 0o600)
            if temp.read_back() != merged.text:
                raise FileRefused(f"{real}: the disk did not give back what was written", "Check the disk")
            if profile := misread(merged):
                raise FileRefused(f"[{profile}] would not read back as it was meant", "Please report it as a bug")
            if look(dir_fd, real.name) != before:
                return None
            # Before the rename: whoever writes the new file at once, while we flush its directory, must be noticed.
            after = signature_of(temp.status())
            durable = temp.publish()
            self._replaced = _Replaced(standing, after, merged.before) if standing else None
            self._seen = frozenset(merged.document.sections)
            self._known = merged
            self._missed.clear()
            return WriteResult(True, merged.adopted, merged.refused, merged.removed, after, durable)

    def _settled(self, source: Snapshot | None, lost: bool, merge_it: Callable[[], Merge]) -> Merge | None:
        """The merge, unless the file looks as if another program was in the middle of writing it.

        That is: a profile seen earlier is missing, or the file cannot be read any more, and not yet for a second.
        A file that is empty at the very first read counts as well: nobody keeps one. None when a lost edit stayed
        empty or unreadable, and is given up: the file that stands is whole. Profiles that it no longer has somebody
        has taken out, as in any other file.
        """
        seen = self._replaced.names if lost and self._replaced else self._seen
        expected = seen or frozenset()
        refused: FileRefused | None = None
        missing: frozenset[str] = frozenset()
        try:
            merged = merge_it()
            missing = expected - merged.before
        except FileRefused as refusal:
            refused = refusal
            missing = expected | {""} if expected else missing
        if seen is None and source is not None and not source.text:
            missing |= {""}
        self._wait_for(missing)
        if lost and (refused is not None or not (source and source.text.strip())):
            self._replaced = None
            return None
        if refused is not None:
            raise refused
        self._seen = merged.before
        return merged

    def _wait_for(self, missing: frozenset[str]) -> None:
        now = self._monotonic()
        self._missed = {name: self._missed.get(name, now) for name in missing}
        wait = max((since + SETTLE_SECONDS - now for since in self._missed.values()), default=0.0)
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


def _check_directory(dir_fd: int, path: Path) -> None:
    found = os.fstat(dir_fd)
    if found.st_uid != os.geteuid():
        raise FileRefused(f"the directory {path} belongs to another user", "Run assumed as that user")
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise FileRefused(f"everybody may write in {path}, so anybody could put in another file", f"chmod o-w {path}")
