"""The file for node_exporter: whole whenever somebody looks, readable by everybody, no trouble to the daemon."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assumed.errors import FileRefused
from assumed.metrics import textfile as textfile_module
from assumed.metrics.exposition import text, write_textfile
from assumed.metrics.samples import Facts
from assumed.metrics.textfile import Textfile
from metrics.kit import Exposition, facts, role
from world.waiting import eventually


class Desk:
    """A textfile with a configuration that a test edits and a log that it reads."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.facts = facts(role("a"))
        self.fault: Exception | None = None
        self.tried = 0
        self.said: list[tuple[str, str, dict[str, Any]]] = []
        self.textfile = Textfile(lambda: self.path, self._facts, lambda: facts(role("a"), running=False), self._say)

    def _facts(self) -> Facts:
        self.tried += 1
        if self.fault is not None:
            raise self.fault
        return self.facts

    def _say(self, level: str, name: str, **more: Any) -> None:
        self.said.append((level, name, more))
        self.textfile.wake()  # as the daemon's news do

    def names(self) -> list[str]:
        return [name for _, name, _ in self.said]

    def wake_until(self, predicate: Any, saying: str) -> None:
        def woken() -> bool:
            self.textfile.wake()
            return bool(predicate())

        eventually(woken, 10, saying=saying)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(textfile_module, "PAUSE", 0.01)
    monkeypatch.setattr(textfile_module, "COST_SHARE", 0.0)
    desk = Desk(tmp_path / "assumed.prom")
    yield desk
    desk.textfile.stop()


def up(path: Path) -> float:
    """What the file says."""
    return Exposition(path.read_text()).value("assumed_up")


def test_the_file_is_written_at_once_and_left_behind_as_down(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "assumed.prom"
    desk.textfile.wake()
    assert not file.exists(), "before the start"
    desk.textfile.start()
    eventually(file.exists, 10)
    assert up(file) == 1.0
    desk.textfile.stop()
    assert up(file) == 0.0
    assert list(tmp_path.iterdir()) == [tmp_path / "assumed.prom"]


def test_everybody_may_read_it_whatever_the_umask(tmp_path: Path) -> None:
    """node_exporter runs as another user. It is the one file of ours that is wider than 0600."""
    before = os.umask(0o077)
    try:
        write_textfile(tmp_path / "assumed.prom", text(facts()))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "assumed.prom").stat().st_mode) == 0o644


def test_nobody_ever_reads_half_of_it(tmp_path: Path) -> None:
    file = tmp_path / "assumed.prom"
    texts = [text(facts(*(role(f"p{i}") for i in range(n)))) for n in (1, 40)]
    write_textfile(file, texts[0])
    done = threading.Event()

    def rewrite() -> None:
        for i in range(100):
            write_textfile(file, texts[i % 2])
        done.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    seen = set()
    while not done.is_set():
        seen.add(file.read_bytes())
    writer.join()
    assert seen <= set(texts)
    assert list(tmp_path.iterdir()) == [tmp_path / "assumed.prom"]


def test_a_directory_that_is_missing_costs_one_line_and_its_return_another(desk: Desk, tmp_path: Path) -> None:
    desk.path = tmp_path / "collector" / "assumed.prom"
    desk.textfile.start()
    eventually(lambda: desk.names() == ["metrics.not_written"], 10)
    tried = desk.tried
    desk.wake_until(lambda: desk.tried >= tried + 5, "more tries")
    level, name, told = desk.said[0]
    assert (level, name, len(desk.said)) == ("warning", "metrics.not_written", 1)
    assert "directory is not there" in told["message"]
    assert told["advice"].startswith("Make the directory")
    desk.path.parent.mkdir()
    desk.wake_until(lambda: "metrics.written" in desk.names(), "the recovery")
    assert up(desk.path) == 1.0
    assert desk.names() == ["metrics.not_written", "metrics.written"]


def test_a_fault_in_what_is_told_ends_nothing(desk: Desk, tmp_path: Path) -> None:
    desk.fault = LookupError("x")
    desk.textfile.start()
    eventually(lambda: desk.names() == ["metrics.not_written"], 10)
    assert "LookupError" in desk.said[0][2]["message"]
    desk.fault = None
    desk.wake_until((tmp_path / "assumed.prom").exists, "the file")


def test_a_file_that_is_no_longer_asked_for_goes(desk: Desk, tmp_path: Path) -> None:
    """Nobody would keep it fresh. One that is asked for under another name moves."""
    first, second = tmp_path / "assumed.prom", tmp_path / "other.prom"
    desk.textfile.start()
    eventually(first.exists, 10)
    desk.path = second
    desk.wake_until(lambda: second.exists() and not first.exists(), "the move")
    desk.path = None
    desk.wake_until(lambda: not second.exists(), "the removal")


@pytest.mark.parametrize("make", [lambda path: path.write_text("# HELP node_x\n"), os.mkfifo], ids=["file", "fifo"])
def test_what_is_not_ours_is_neither_replaced_nor_removed(make: Any, desk: Desk, tmp_path: Path) -> None:
    """Another program's file of that name, there from the beginning or put there meanwhile."""
    desk.textfile.start()
    file = tmp_path / "assumed.prom"
    eventually(file.exists, 10)
    file.unlink()
    make(file)
    before = file.stat()
    desk.wake_until(lambda: desk.said, "it is refused")
    assert desk.said[0][2]["message"] == f"{file} is another program's file"
    desk.path = tmp_path / "other.prom"
    desk.wake_until((tmp_path / "other.prom").exists, "the other one is written")
    assert (file.stat().st_ino, file.stat().st_size) == (before.st_ino, before.st_size)


def test_what_an_earlier_crash_has_left_is_swept(desk: Desk, tmp_path: Path) -> None:
    leftover = tmp_path / f".assumed.prom.assumed.{2**22 + 1}.{'0' * 16}.tmp"
    leftover.write_text("half")
    desk.textfile.start()
    eventually((tmp_path / "assumed.prom").exists, 10)
    assert not leftover.exists()


def test_where_no_file_is_asked_for_there_is_no_thread(desk: Desk) -> None:
    desk.path = None
    desk.textfile.start()
    desk.textfile.wake()
    assert "metrics" not in {thread.name for thread in threading.enumerate()}


def test_a_directory_in_its_place_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "assumed.prom").mkdir()
    with pytest.raises(FileRefused, match="a directory stands in its place"):
        write_textfile(tmp_path / "assumed.prom", b"")
    assert list(tmp_path.iterdir()) == [tmp_path / "assumed.prom"]
