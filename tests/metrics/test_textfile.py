"""The file for node_exporter: always whole, readable by everybody, and no risk to the daemon."""

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
from assumed.metrics.counters import Facts
from assumed.metrics.exposition import text
from assumed.metrics.textfile import Textfile, write_textfile
from metrics.kit import Exposition, facts, role
from world.waiting import eventually


class Bench:
    """A textfile with a configuration that a test edits and a log that it reads."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.facts = facts(role("a"))
        self.fault: Exception | None = None
        self.tried = 0
        self.logged: list[tuple[str, str, dict[str, Any]]] = []
        self.textfile = Textfile(lambda: self.path, self._facts, lambda: facts(role("a"), running=False), self._log)

    def _facts(self) -> Facts:
        self.tried += 1
        if self.fault is not None:
            raise self.fault
        return self.facts

    def _log(self, level: str, name: str, **more: Any) -> None:
        self.logged.append((level, name, more))
        self.textfile.wake()  # as a snapshot does

    def names(self) -> list[str]:
        return [name for _, name, _ in self.logged]

    def wake_until(self, predicate: Any, saying: str) -> None:
        def woken() -> bool:
            self.textfile.wake()
            return bool(predicate())

        eventually(woken, 10, saying=saying)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(textfile_module, "PAUSE", 0.01)
    monkeypatch.setattr(textfile_module, "COST_SHARE", 0.0)
    bench = Bench(tmp_path / "assumed.prom")
    yield bench
    bench.textfile.stop()


def up(path: Path) -> float:
    """What the file says."""
    return Exposition(path.read_text()).value("assumed_up")


def test_the_file_is_written_at_once_and_left_behind_as_down(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "assumed.prom"
    bench.textfile.wake()
    eventually(file.exists, 10)
    assert up(file) == 1.0
    bench.textfile.stop()
    assert up(file) == 0.0
    assert list(tmp_path.iterdir()) == [tmp_path / "assumed.prom"]


def test_everybody_may_read_it_whatever_the_umask(tmp_path: Path) -> None:
    """node_exporter runs as another user. It is the only file wider than 0600."""
    before = os.umask(0o077)
    try:
        write_textfile(tmp_path / "assumed.prom", text(facts()))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "assumed.prom").stat().st_mode) == 0o644


def test_a_reader_never_sees_half_of_it(tmp_path: Path) -> None:
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


def test_a_directory_that_is_missing_costs_one_line_and_its_return_another(bench: Bench, tmp_path: Path) -> None:
    bench.path = tmp_path / "collector" / "assumed.prom"
    bench.textfile.wake()
    eventually(lambda: bench.names() == ["metrics.not_written"], 10)
    tried = bench.tried
    bench.wake_until(lambda: bench.tried >= tried + 5, "more tries")
    level, name, facts_ = bench.logged[0]
    assert (level, name, len(bench.logged)) == ("warning", "metrics.not_written", 1)
    assert "directory is not there" in facts_["message"]
    assert facts_["advice"].startswith("Make the directory")
    bench.path.parent.mkdir()
    bench.wake_until(lambda: "metrics.written" in bench.names(), "the recovery")
    assert up(bench.path) == 1.0
    assert bench.names() == ["metrics.not_written", "metrics.written"]


def test_a_fault_while_rendering_does_not_end_the_thread(bench: Bench, tmp_path: Path) -> None:
    bench.fault = LookupError("x")
    bench.textfile.wake()
    eventually(lambda: bench.names() == ["metrics.not_written"], 10)
    assert "LookupError" in bench.logged[0][2]["message"]
    bench.fault = None
    bench.wake_until((tmp_path / "assumed.prom").exists, "the file")


def test_a_file_that_is_no_longer_configured_is_removed(bench: Bench, tmp_path: Path) -> None:
    """It would go stale. One that gets another name moves."""
    first, second = tmp_path / "assumed.prom", tmp_path / "other.prom"
    bench.textfile.wake()
    eventually(first.exists, 10)
    bench.path = second
    bench.wake_until(lambda: second.exists() and not first.exists(), "the move")
    bench.path = None
    bench.wake_until(lambda: not second.exists(), "the removal")


@pytest.mark.parametrize("make", [lambda path: path.write_text("# HELP node_x\n"), os.mkfifo], ids=["file", "fifo"])
def test_another_programs_file_is_neither_replaced_nor_removed(make: Any, bench: Bench, tmp_path: Path) -> None:
    """Another program's file of that name, there from the beginning or put there meanwhile."""
    bench.textfile.wake()
    file = tmp_path / "assumed.prom"
    eventually(file.exists, 10)
    file.unlink()
    make(file)
    before = file.stat()
    bench.wake_until(lambda: bench.logged, "it is refused")
    assert bench.logged[0][2]["message"] == f"{file} is another program's file"
    bench.path = tmp_path / "other.prom"
    bench.wake_until((tmp_path / "other.prom").exists, "the other one is written")
    assert (file.stat().st_ino, file.stat().st_size) == (before.st_ino, before.st_size)


def test_what_an_earlier_crash_has_left_is_swept(bench: Bench, tmp_path: Path) -> None:
    leftover = tmp_path / f".assumed.prom.assumed.{2**22 + 1}.{'0' * 16}.tmp"
    leftover.write_text("half")
    bench.textfile.wake()
    eventually((tmp_path / "assumed.prom").exists, 10)
    assert not leftover.exists()


def test_without_a_configured_file_there_is_no_thread(bench: Bench) -> None:
    bench.path = None
    bench.textfile.wake()
    assert "metrics" not in {thread.name for thread in threading.enumerate()}


def test_a_directory_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "assumed.prom").mkdir()
    with pytest.raises(FileRefused, match="EISDIR"):
        write_textfile(tmp_path / "assumed.prom", b"")
    assert list(tmp_path.iterdir()) == [tmp_path / "assumed.prom"]
