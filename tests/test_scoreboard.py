"""The scoreboard: figures of many tests become a line each, and what was not measured says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from world.scores import SCORES, recorder

ROOT = Path(__file__).parents[1]
SHOW = """
import sys; from pathlib import Path
from proof.scoreboard import planted, scores, table; from proof.figures import Figures
figures = Figures.of(Path(sys.argv[1])); print(table(scores(figures))); print(planted(figures))
"""


def board(directory: Path) -> dict[str, list[str]]:
    """Promise → the other cells of its row; a process of its own, for `proof` is no package of the tests."""
    command = [sys.executable, "-c", SHOW, str(directory)]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in shown.splitlines() if " | " in line]
    return {row[0]: row[1:] for row in rows} | {"": [shown.splitlines()[-1]]}


def test_figures_of_many_tests_become_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SCORES, str(tmp_path))
    for test, reads, bad in (("a", 600_000, 0), ("b", 500_000, 1)):
        record = recorder(test)
        record("soak.reads", reads)
        record("soak.bad", bad)
        record("rivals.reads", 7)
        record("rivals.torn_reads", 0)
        record(f"bug.{test}", 7 if test == "a" else -1)
    rows = board(tmp_path)
    assert rows["no reader sees a torn or mixed file"] == ["1 of 1,100,014 reads", "0 of 10⁶", "missed"]
    assert rows["bugs planted and found"][0] == "1 of 2"
    assert rows[""] == ["planted bugs: a by seed 7, b NOT FOUND"]


@pytest.mark.parametrize(("calls", "verdict"), [(0, "met"), (1, "missed")])
def test_a_restart_is_judged_by_its_slowest_way_and_by_the_calls_that_it_costs(
    calls: int, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SCORES, str(tmp_path))
    for test, hung, killed in (("a", 4.5, 5.3), ("b", 4.75, 5.25)):
        record = recorder(test)
        record("systemd.watchdog_restart_seconds", hung)
        record("systemd.kill_restart_seconds", killed)
        record("systemd.calls_after_restart", calls if test == "a" else 0)
    row = board(tmp_path)["hung past the watchdog, killed: to READY again"]
    assert row == [f"4.8 s, 5.3 s, {calls} calls", "≤ 10 s, no call", verdict]


def test_what_no_test_measured_is_neither_met_nor_missed(tmp_path: Path) -> None:
    rows = board(tmp_path)
    assert rows["STS outage that no reader notices"][:2] == ["not measured here", "≥ 20 min"]
    assert not any(cells[-1] in {"met", "missed"} for cells in rows.values())


def test_outside_of_a_proof_figures_go_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SCORES, raising=False)
    monkeypatch.chdir(tmp_path)
    recorder("a")("soak.reads", 1)
    assert not list(tmp_path.iterdir())
