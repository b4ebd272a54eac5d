"""watchdog as a hint: "something happened in this directory". The truth is a look at the file, at each heartbeat.

inotify sees nothing of a symlink's target, of a remote file system, of a directory that was recreated; and a
handler that raises kills the observer's thread. So the handler does one thing that cannot fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

CHANGES = {"created", "modified", "moved", "deleted", "closed"}


class _Hint(FileSystemEventHandler):
    def __init__(self, hint: Callable[[], None]) -> None:
        self._hint = hint

    def on_any_event(self, event: FileSystemEvent) -> None:
        # Our own reading (opened, closed_no_write) would wake the keeper, which reads, for ever.
        if event.event_type in CHANGES:
            self._hint()


class Watcher:
    """Watches directories (not files: editors rename, Kubernetes swaps a link) and calls `hint` from its thread."""

    def __init__(self, hint: Callable[[], None]) -> None:
        self._handler = _Hint(hint)
        self._observer = Observer()
        self._watched: set[Path] = set()
        self.problem = ""
        """Why watching does not work, in words; empty while it does. Polling goes on either way."""

    def start(self) -> None:
        """Start the observer's threads."""
        self._observer.start()

    def watch(self, files: Iterable[Path]) -> None:
        """Watch the directories of `files` and of what they point to; those that do not exist are left out."""
        wanted = {d for f in files for d in (f.parent.resolve(), f.resolve().parent) if d.is_dir()}
        for directory in wanted - self._watched:
            try:
                self._observer.schedule(self._handler, str(directory), recursive=False)
            except OSError as error:
                reason = error.strerror or error
                self.problem = f"cannot watch {directory}: {reason}; it is looked at every 30 s instead"
                continue
            self._watched.add(directory)

    def stop(self) -> None:
        """Stop and join the threads."""
        self._observer.stop()
        if self._observer.is_alive():
            self._observer.join(5)
