"""Rival programs of each kind against our writer, as real processes: no edit lost, nothing destroyed, no torn reads."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rivals.editors import KINDS, TEARING
from rivals.kit import Outcome, contest
from world.scores import Record


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory in memory, where there is one: no disk slows the contest down."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="rivals-", dir=shared if shared.is_dir() else None) as path:
        yield Path(path)


def fought(outcome: Outcome) -> Outcome:
    """What has to be so in any contest."""
    assert outcome.destroyed == 0
    assert outcome.left_over == ()
    assert outcome.written > 0
    assert outcome.reads > 0
    return outcome


def test_an_editor_that_renames_loses_nothing(memory: Path) -> None:
    """A second of both as fast as they can."""
    outcome = fought(contest("renaming", memory, batches=1, edits=50, pause=0.002, our_pause=0.0))
    assert (outcome.lost, outcome.torn) == (0, 0)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", KINDS)
def test_under_stress_no_edit_is_lost(kind: str, memory: Path, record: Record) -> None:
    """Both in a loop of milliseconds. Some rivals leave readers half a file themselves; for the others none is torn."""
    outcome = fought(contest(kind, memory, batches=5, edits=100, pause=0.005, our_pause=0.0))
    record("rivals.edits_stress", outcome.edits)
    record("rivals.rewrites_stress", outcome.written)
    record("rivals.slipped_in_stress", outcome.trades - outcome.written)
    record("rivals.lost_stress", outcome.lost)
    record("rivals.destroyed", outcome.destroyed)
    assert outcome.lost == 0
    if kind not in TEARING:
        record("rivals.reads", outcome.reads)
        record("rivals.torn_reads", outcome.torn)
        assert outcome.torn == 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_at_human_speed_no_edit_is_lost(memory: Path, record: Record) -> None:
    """An edit every half second, of each kind of rival on a file of its own, beside the daemon's way of writing."""

    def fight(kind: str) -> Outcome:
        (memory / kind).mkdir()
        return contest(kind, memory / kind, batches=1, edits=50, pause=0.5, way="daemon", our_pause=0.3)

    with ThreadPoolExecutor(len(KINDS)) as pool:
        outcomes = [fought(outcome) for outcome in pool.map(fight, KINDS)]
    record("rivals.edits_human", sum(outcome.edits for outcome in outcomes))
    record("rivals.lost_human", sum(outcome.lost for outcome in outcomes))
    record("rivals.destroyed", sum(outcome.destroyed for outcome in outcomes))
    assert [outcome.lost for outcome in outcomes] == [0] * len(KINDS)
