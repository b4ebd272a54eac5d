"""What wakes the loop: a change by another program, and neither our own writing nor anybody's reading."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from assumed.credentials.file import CredentialsFile
from assumed.files import write_atomic
from assumed.runtime.watcher import Watcher
from credentials.kit import keys

Hints = queue.SimpleQueue[None]


@contextmanager
def watched(path: Path) -> Iterator[tuple[Watcher, Hints]]:
    """A watcher of one file's directory, and what it tells."""
    hints: Hints = queue.SimpleQueue()
    watcher = Watcher(lambda: hints.put(None))
    watcher.start()
    try:
        watcher.watch([path])
        yield watcher, hints
    finally:
        watcher.stop()


def replaced(path: Path) -> None:
    path.with_name("new").write_text("[b]\n")
    path.with_name("new").replace(path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "written in place": lambda path: path.write_text("[b]\n"),
    "replaced": replaced,
    "removed": lambda path: path.unlink(),
    "moved in from elsewhere": lambda path: (path.parent / "deep" / "new").rename(path),
    "a link in its place": lambda path: (path.unlink(), path.symlink_to("deep/new")),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_by_another_program_is_told(tmp_path: Path, what: str) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "new").touch()
    path = tmp_path / "credentials"
    path.write_text("[a]\n")
    with watched(path) as (_, hints):
        CHANGES[what](path)
        hints.get(timeout=60)


def test_neither_our_own_rewrite_nor_a_reader_nor_another_file_is_a_change(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    (tmp_path / "assumed").mkdir(0o700)
    ours = CredentialsFile(path, tmp_path / "assumed")
    with watched(path) as (watcher, hints):
        for generation in range(3):
            write_atomic(tmp_path / "other", b"")
            assert ours.write([keys("p", generation)], "0123456789ab", remove_orphans=False).written
            path.read_bytes()
            path.chmod(0o600)
            (tmp_path / f"another{generation}").write_text("x")
            (tmp_path / f"another{generation}").rename(tmp_path / "other")
        watcher.watch([path, tmp_path / "the last change"])
        (tmp_path / "the last change").mkdir()
        hints.get(timeout=60)

        with pytest.raises(queue.Empty):  # watchdog holds a rename back for half a second
            hints.get(timeout=0.7)


def test_a_directory_that_is_made_again_is_watched_again(tmp_path: Path) -> None:
    path = tmp_path / "aws" / "credentials"
    path.parent.mkdir()
    with watched(path) as (watcher, hints):
        path.parent.rmdir()
        hints.get(timeout=60)
        path.parent.mkdir()
        watcher.watch([path])
        path.touch()
        hints.get(timeout=60)


def test_a_change_of_a_link_on_the_way_is_told(tmp_path: Path) -> None:
    """Kubernetes swaps `..data`, two links away from the file that is named."""
    for version in ("..1", "..2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "config.toml").touch()
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "config.toml").symlink_to("..data/config.toml")
    with watched(tmp_path / "config.toml") as (_, hints):
        (tmp_path / "..data_tmp").symlink_to("..2")
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")
        hints.get(timeout=60)
