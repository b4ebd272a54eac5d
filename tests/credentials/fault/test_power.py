"""A power cut after any system call of a write, on a disk as careless as POSIX allows: whatever it leaves, the file is
the old or the new one, a write that was called done stays done, and the next start and write find nothing that they
cannot deal with. (reliability T16; ALICE, OSDI'14)"""

from __future__ import annotations

from pathlib import Path

import pytest

from credentials.fault.power import cut_at_each
from credentials.fault.scenes import IN_PLACE, SCENES
from credentials.fault.traced import Stage
from fault.disk import Directory, File
from world.scores import Record


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES)
def test_whenever_the_power_goes_the_file_is_whole(scene: str, stage: Stage, scratch: Path, record: Record) -> None:
    verdict = cut_at_each(stage, scene, scratch)
    record("power.states", verdict.states)
    record("power.torn", verdict.torn)
    record("power.undone", verdict.undone)
    assert verdict.states > 10
    assert (verdict.torn, verdict.undone, verdict.stuck) == (0, 0, 0)


def test_a_rewrite_survives_a_power_cut(stage: Stage, scratch: Path) -> None:
    verdict = cut_at_each(stage, "a rewrite", scratch)
    assert (verdict.torn, verdict.undone, verdict.stuck) == (0, 0, 0)


def test_without_a_flush_before_the_rename_torn_files_are_found(stage: Stage, scratch: Path) -> None:
    """The same calls on a disk that does not flush files although it says so."""
    assert cut_at_each(stage, "a rewrite", scratch, deaf_to=File).torn > 0


def test_without_a_flush_of_the_directory_undone_writes_are_found(stage: Stage, scratch: Path) -> None:
    verdict = cut_at_each(stage, "a rewrite", scratch, deaf_to=Directory)
    assert verdict.torn == 0
    assert verdict.undone > 0


def test_a_writer_in_place_loses_the_file_to_a_power_cut(stage: Stage, scratch: Path) -> None:
    """What most tools do, and the same search."""
    assert cut_at_each(stage, IN_PLACE, scratch).torn > 0
