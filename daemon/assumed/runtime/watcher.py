"""watchdog as a hint: "something happened in this directory". The truth is a look at the file, at each heartbeat.

inotify sees nothing of a symlink's target, of a remote file system, of a directory that was recreated; and a
handler that raises kills the observer's thread. So the handler does one thing that cannot fail.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

CHANGES: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileModifiedEvent,
    FileClosedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    DirCreatedEvent,
    DirMovedEvent,
    DirDeletedEvent,
]
"""What the kernel is asked for. Not the opening and closing of readers: each SDK that reads a profile would wake us,
and our own reading would, for ever. Not the directory's own change either, which comes with each of these."""


MAX_LINKS = 40
"""As many as the kernel follows (path_resolution(7))."""


class _Hint(FileSystemEventHandler):
    def __init__(self, hint: Callable[[], None]) -> None:
        self._hint = hint
        self.names: frozenset[str] = frozenset()
        """Of what is watched: another file in the same directory (a cache, an editor's backup) is no reason to look."""
        # As assumed.files names what it puts beside a file; what lies parked is always of the one daemon of that file.
        self._ours = re.compile(rf"\..+\.assumed\.(?:{os.getpid()}\..+\.tmp|.+\.parked)")

    def on_any_event(self, event: FileSystemEvent) -> None:
        # Our own rewrite, its renames included: half a dozen events, of which none is new to us.
        names = [os.fsdecode(path).rpartition("/")[2] for path in (event.src_path, event.dest_path)]
        if not self.names.isdisjoint(names) and not any(map(self._ours.fullmatch, names)):
            self._hint()


# What may be in the way of a watch, and what helps; inotify(7) and inotify_add_watch(2).
LIMITS = {
    errno.EMFILE: "raise fs.inotify.max_user_instances (sysctl), or close programs that watch files, such as editors",
    errno.ENOSPC: "raise fs.inotify.max_user_watches (sysctl), or close programs that watch files, such as editors",
    errno.ENFILE: "close some programs: too many files are open on this machine",
    errno.ENOMEM: "free some memory",
    errno.EACCES: "allow this user to read the directory",
}


class Watcher:
    """Watches directories (not files: editors rename, Kubernetes swaps a link) and calls `hint` from its thread.

    Needs nothing of the system before `start`. Whatever it is refused then costs the hints alone, and is asked for
    again at each `watch`.
    """

    def __init__(self, hint: Callable[[], None]) -> None:
        self._handler = _Hint(hint)
        self._is_on = False
        self._observer: BaseObserver | None = None
        self._watched: dict[Path, tuple[ObservedWatch, tuple[int, int]]] = {}
        """Directory → its watch and the inode that it is on."""
        self.problem = ""
        """Why watching does not work, in words; empty while it does. Polling goes on either way."""

    def start(self) -> None:
        """Watch what `watch` names from now on."""
        self._is_on = True

    def watch(self, files: Iterable[Path]) -> None:
        """Watch the directories of `files` and of what they point to; those that do not exist are left out.

        To be called often: a link may lead elsewhere by now, and a watch dies with its directory, silently, even
        when there is a new one of that name.
        """
        if not self._is_on:
            return
        files = list(files)
        wanted = {d: i for f in files for d in _directories(f) if (i := _inode(d))}
        self._handler.names = frozenset(name for f in files for name in _names(f))
        self.problem = ""
        if self._observer is None:
            try:
                observer = Observer()
                observer.start()
            except (OSError, RuntimeError) as error:  # the latter: no thread to be had
                self.problem = _in_words("files", error)
                return
            self._observer = observer
        dead = {emitter.watch for emitter in self._observer.emitters if not emitter.is_alive()}
        for directory in [d for d, (w, inode) in self._watched.items() if wanted.get(d) != inode or w in dead]:
            self._observer.unschedule(self._watched.pop(directory)[0])
        for directory in wanted.keys() - self._watched.keys():
            try:
                watch = self._observer.schedule(self._handler, str(directory), event_filter=CHANGES)
            except (OSError, RuntimeError) as error:
                self.problem = _in_words(directory, error)
                continue
            self._watched[directory] = watch, wanted[directory]

    def stop(self) -> None:
        """Stop and join the threads."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(5)


def _in_words(what: object, error: OSError | RuntimeError) -> str:
    number = error.errno if isinstance(error, OSError) else None
    reason = (error.strerror if isinstance(error, OSError) else None) or error
    advice = f" → {LIMITS[number]}" if number in LIMITS else ""
    return f"cannot watch {what} for changes: {reason}; changes are noticed within 30 s instead{advice}"


def _directories(file: Path) -> tuple[Path, Path]:
    """Where the file is named, and where it lies. (Path.resolve raises for links in a circle.)"""
    return Path(os.path.realpath(file.parent)), Path(os.path.realpath(file)).parent


def _names(file: Path) -> set[str]:
    """The names by which an event may mean the file: its own, its target's, and those of each link on the way."""
    names = {*file.parts, *Path(os.path.realpath(file)).parts}
    for _ in range(MAX_LINKS):
        try:
            target = Path(os.readlink(file))
        except OSError:
            break
        names.update(target.parts)
        file = file.parent / target
    return names


def _inode(directory: Path) -> tuple[int, int] | None:
    try:
        status = directory.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None
