"""Private files and directories: what the session store and the last good configuration are written with."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from assumed.errors import FileRefused
from assumed.files import make_private_dir, sweep, write_atomic


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask_000() -> Iterator[None]:
    old = os.umask(0)
    yield
    os.umask(old)


@pytest.mark.usefixtures("umask_000")
def test_a_directory_and_what_is_missing_above_it_are_made_private(tmp_path: Path) -> None:
    make_private_dir(tmp_path / "a" / "b")
    assert (mode(tmp_path / "a"), mode(tmp_path / "a" / "b")) == (0o700, 0o700)


def test_a_directory_that_is_there_is_narrowed_and_the_one_above_it_is_not(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a").chmod(0o755)
    (tmp_path / "a" / "b").chmod(0o755)
    make_private_dir(tmp_path / "a" / "b")
    assert (mode(tmp_path / "a"), mode(tmp_path / "a" / "b")) == (0o755, 0o700)


def test_what_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for path in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / "link"):
        with pytest.raises(FileRefused, match="not a directory"):
            make_private_dir(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give directories away")
def test_another_users_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    os.chown(tmp_path / "a", 12345, 12345)
    with pytest.raises(FileRefused, match="belongs to"):
        make_private_dir(tmp_path / "a")


@pytest.mark.usefixtures("umask_000")
def test_a_file_is_replaced_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_bytes(b"old and much longer")
    path.chmod(0o644)
    with path.open("rb") as reader:
        write_atomic(path, b"new")
        assert reader.read() == b"old and much longer"
    assert path.read_bytes() == b"new"
    assert mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_symlink_is_replaced_and_what_it_leads_to_is_not_touched(tmp_path: Path) -> None:
    """In our own directory a link is somebody's attempt to have us write elsewhere."""
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "p.json").symlink_to(tmp_path / "victim")
    write_atomic(tmp_path / "p.json", b"new")
    assert (tmp_path / "victim").read_bytes() == b"precious"
    assert not (tmp_path / "p.json").is_symlink()


def test_a_write_that_cannot_be_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    with pytest.raises(FileRefused, match="EISDIR"):
        write_atomic(tmp_path / "dir", b"x")
    with pytest.raises(FileRefused, match="its directory is not there"):
        write_atomic(tmp_path / "missing" / "p.json", b"x")
    with pytest.raises(FileRefused, match="name is too long"):
        write_atomic(tmp_path / ("x" * 300), b"x")
    assert list(tmp_path.iterdir()) == [tmp_path / "dir"]


def test_leftovers_of_every_file_of_a_directory_are_swept_unless_one_is_named(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        leftover = tmp_path / f".{name}.assumed.1.0123456789abcdef.tmp"
        leftover.touch()
        os.utime(leftover, (1, 1))
    (tmp_path / ".dir.assumed.1.0123456789abcdef.tmp").mkdir()
    assert sweep(tmp_path, "a.json") == 1
    assert sweep(tmp_path) == 1
    assert sweep(tmp_path / "missing") == 0
