"""The credentials file on the disk: read when it is whole, merged, replaced in one step.

A rename never shows a reader half a file (an in-place writer spoiled 90 % of the reads in the same test), but other
programs take no lock, and many write in place. Three things keep their edits: profiles that are suddenly missing are
waited for; what comes out when our file trades places with the current one is checked, because it may be another one
than we read; and it is kept open, because what a program that had it open writes into it afterwards is merged next
(docs/decisions/0005 and 0007).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from assumed.errors import FileRefused, FileUnsettled
from assumed.files import Temp, close, directory, explained, make_missing_dirs, refuse_as_root, sweep, try_lock
from assumed.state import make_state_dir

from .merge import KeptProfile, Merge, Refusal, merge, misread
from .replaced import Mixed, PutBack, ReplacedFiles, publish, with_edits
from .snapshot import SETTLE_SECONDS, Signature, Snapshot, look, signature_of, take

_TRIES = 5
_LOCK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What a write did. `durable` False: the new file is there, but a crash of the machine may bring back the old."""

    written: bool
    adopted: tuple[str, ...]
    refused: tuple[Refusal, ...]
    removed: tuple[str, ...]
    signature: Signature | None
    durable: bool = True
    merged: bool = False
    """Whether the file was another one than our last write had left: another program has changed it."""
    set_aside: tuple[str, ...] = ()
    """Paths of files beside it that hold another program's edit, which could not be merged."""


class CredentialsFile:
    """One credentials file. Every method raises FileRefused, as a sentence, for what the system does not allow.

    Belongs to one thread; `standing` alone may be called from others.
    """

    _widest = 0o700
    """What is kept of the mode of a file that is there."""
    _may_be_empty = False

    def __init__(self, path: Path, state_dir: Path, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`path` may be a symbolic link, and need not exist; `state_dir` holds the write lock."""
        self.path = path
        self._state_dir = state_dir
        self._monotonic = monotonic
        self._seen: frozenset[str] | None = None
        """Profiles at the last read or write; None before the first."""
        self._missed: dict[str, float] = {}
        """Profile that was there at an earlier read → since when it is missing."""
        self._replaced = ReplacedFiles()
        self._known: Merge | None = None
        """The last one: what has not changed since need not be scanned again."""
        self._changed = False
        """Whether this write has come upon another text than the last one had left."""
        self._aside: list[str] = []
        """Paths of files that hold an edit which could not be merged, to be reported with the next result."""

    @property
    def real_path(self) -> Path:
        """Where the symbolic links lead; what is written is this file. Raises FileRefused where they lead nowhere."""
        with explained("look at", self.path):
            real = Path(os.path.realpath(self.path))
            if real.is_symlink():
                raise OSError(errno.ELOOP, "")
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
            return self._replaced.signature() or now

    def read(self) -> bytes:
        """The file's bytes, of one instant; b"" when there is none. Raises FileUnsettled while it is being written.

        When another program has written a file that we replaced, as the next `write` will merge it.
        """
        real = self.real_path
        with explained("read", real):
            try:
                with directory(real.parent) as dir_fd:
                    standing = take(dir_fd, real)
                    edits = self._replaced.edits(dir_fd, real, self._monotonic())
            except FileNotFoundError:
                return b""
            return with_edits(standing.text if standing else b"", edits).text

    def standing(self) -> bytes:
        """The bytes that readers find now; b"" when there is no file. Raises FileUnsettled while it is being written.

        From any thread, unlike everything else here: it touches nothing that a write changes.
        """
        real = self.real_path
        with explained("read", real):
            try:
                with directory(real.parent) as dir_fd:
                    found = take(dir_fd, real)
            except FileNotFoundError:
                return b""
            return found.text if found else b""

    def check_writable(self) -> None:
        """Raises FileRefused where `write` would, as far as that can be seen without writing."""
        real = self.real_path
        with explained("write", real):
            there = next(parent for parent in real.parents if parent.exists())
            with directory(there) as dir_fd:
                if there == real.parent:
                    check_directory(dir_fd, there)
                    take(dir_fd, real)
                if not os.access(there, os.W_OK | os.X_OK):
                    read_only = os.statvfs(there).f_flag & os.ST_RDONLY
                    raise OSError(errno.EROFS if read_only else errno.EACCES, "")

    def sweep(self) -> int:
        """Removes what killed writers left beside the file; returns how many files that were."""
        real = self.real_path
        with explained("look at", real):
            if not real.parent.is_dir():
                return 0
        with self._lock(), explained("sweep beside", real), directory(real.parent) as dir_fd:
            removed, aside = self._replaced.sweep(dir_fd, real)
            self._aside += aside
            return removed + sweep(real.parent, real.name)

    def write(
        self, kept: Sequence[KeptProfile], config_id: str, remove_orphans: bool, held: Collection[str] = ()
    ) -> WriteResult:
        """Makes the file say what `kept` should (see `merge`); nothing is written when it does already.

        Raises FileUnsettled while another program writes it: call again after `retry_in` seconds.
        """
        with self._lock():
            rounds: list[Merge] = []
            for _ in range(_TRIES):
                result = self._try(
                    self.real_path,
                    kept,
                    lambda text: self._merge(text, kept, config_id, remove_orphans, held),
                    rounds,
                )
                if result is not None:
                    self._aside.clear()
                    self._changed = False
                    return result
        raise FileUnsettled(f"another program keeps writing {self.path}", SETTLE_SECONDS)

    def _try(
        self, real: Path, kept: Sequence[KeptProfile], merged_into: Callable[[bytes], Merge], rounds: list[Merge]
    ) -> WriteResult | None:
        """One round; None when another program has written it between reading and replacing, or is not all merged.

        `rounds`: what was published in earlier rounds of this write.
        """
        with explained("write", real), contextlib.ExitStack() as stack:
            make_missing_dirs(real.parent)
            dir_fd = stack.enter_context(directory(real.parent))
            check_directory(dir_fd, real.parent)
            standing = take(dir_fd, real)
            now = self._monotonic()
            edits = self._replaced.edits(dir_fd, real, now)
            mixed = with_edits(standing.text if standing else b"", edits, frozenset(one.section for one in kept))
            self._changed |= self._known is None or mixed.text != self._known.text
            merged = self._settled(standing, mixed, lambda: merged_into(mixed.text))
            if mixed.broken:
                self._aside += self._replaced.give_up(mixed.broken, dir_fd, real)
                return None
            before = standing.signature if standing else None
            if merged.text == (standing.text if standing else b""):
                self._known = merged
                self._replaced.merged(edits, mixed, dir_fd, now)
                return self._result([*rounds, merged], bool(rounds), before)
            temp = stack.enter_context(Temp(dir_fd, real.name))
            temp.write(merged.text, mode=stat.S_IMODE(standing.status.st_mode) & self._widest if standing else 0o600)
            if temp.read_back() != merged.text:
                raise FileRefused(f"{real}: the disk did not give back what was written", "Check the disk")
            if profile := misread(merged):
                raise FileRefused(f"[{profile}] would not read back as it was meant", "Please report it as a bug")
            if look(dir_fd, real.name) != before:
                return None
            # Before it is published: a program that writes it at once, while we flush its directory, must be noticed.
            after = signature_of(temp.status())
            published = publish(temp, dir_fd, real, standing, now)
            if isinstance(published, PutBack):
                self._replaced.put_back(published, merged.text, standing, now)
                return None
            self._seen = frozenset(merged.document.sections)
            self._known = merged
            self._missed.clear()
            self._replaced.merged(edits, mixed, dir_fd, now)
            rounds.append(merged)
            if published.replaced is not None:
                self._replaced.add(published.replaced)
                # That it cannot be looked at now does not unsay what is written; the next one looks again.
                with contextlib.suppress(OSError):
                    if published.replaced.is_due:
                        return None
            return self._result(rounds, True, after, published.durable)

    def _merge(
        self, text: bytes, kept: Sequence[KeptProfile], config_id: str, remove_orphans: bool, held: Collection[str]
    ) -> Merge:
        return merge(text, kept, config_id, remove_orphans, self._known, held=held)

    def _result(
        self, rounds: Sequence[Merge], written: bool, signature: Signature | None, durable: bool = True
    ) -> WriteResult:
        adopted = dict.fromkeys(profile for one in rounds for profile in one.adopted)
        removed = dict.fromkeys(profile for one in rounds for profile in one.removed)
        facts = tuple(adopted), rounds[-1].refused, tuple(removed), signature, durable
        return WriteResult(written, *facts, merged=self._changed, set_aside=tuple(self._aside))

    def _settled(self, standing: Snapshot | None, mixed: Mixed, merge_it: Callable[[], Merge]) -> Merge:
        """The merge, unless the file looks as if another program was in the middle of writing it.

        That is: a profile seen earlier is missing, there or in one that we replaced, or one of them cannot be read
        any more, and not yet for a second. A file that is empty at the very first read counts as well: no user keeps
        one. Raises FileUnsettled, and after that second FileRefused for what cannot be read.
        """
        expected = self._seen or frozenset()
        refused: FileRefused | None = None
        missing = frozenset({""}) if mixed.broken else frozenset()
        try:
            merged = merge_it()
            missing |= (expected | mixed.gone) - merged.before
        except FileRefused as refusal:
            refused = refusal
            missing |= expected | {""} if expected else expected
        if self._seen is None and standing is not None and not standing.text and not self._may_be_empty:
            missing |= {""}
        self._wait_for(missing)
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
        make_state_dir(self._state_dir)
        path = self._state_dir / "write.lock"
        with explained("lock", path):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with explained("lock", path):
                deadline = time.monotonic() + _LOCK_SECONDS
                while not try_lock(fd):
                    if time.monotonic() > deadline:
                        raise FileRefused(
                            f"another process of assumed holds {path} for more than {_LOCK_SECONDS:.0f} s",
                            "Look for one that hangs (assumed status, ps)",
                        )
                    time.sleep(0.01)
            yield
        finally:
            close(fd)


def check_directory(dir_fd: int, path: Path) -> None:
    """Raises FileRefused where others could put in another file."""
    refuse_as_root(path)
    found = os.fstat(dir_fd)
    if found.st_uid != os.geteuid():
        raise FileRefused(f"the directory {path} belongs to another user", "Run assumed as that user")
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise FileRefused(
            f"{path} can be written by everyone, so any account can replace the file", f"chmod o-w {path}"
        )
