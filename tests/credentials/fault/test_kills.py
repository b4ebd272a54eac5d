"""SIGKILL before every system call of a write: the file is the old or the new one, and the next start leaves no
temporary file. (reliability T12)"""

from __future__ import annotations

from pathlib import Path

import pytest

from credentials.fault.cases import Trial
from credentials.fault.scenes import IN_PLACE, NO_EXCHANGE, SCENES
from credentials.fault.traced import Stage
from world.scores import Record


@pytest.mark.parametrize("call", ["openat", "write", "fsync", "/rename"])
def test_a_killed_rewrite_leaves_the_old_file_or_the_new_one(call: str, stage: Stage, scratch: Path) -> None:
    trial = Trial(stage, "a rewrite", scratch)
    trial.kill_at_each(only=call)
    assert trial.tally.fired
    assert (trial.tally.torn, trial.tally.leftovers) == (0, 0)
    assert not trial.tally.wrong


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("scene", SCENES)
def test_wherever_it_is_killed_the_file_is_whole(scene: str, stage: Stage, scratch: Path, record: Record) -> None:
    trial = Trial(stage, scene, scratch)
    trial.kill_at_each()
    trial.kill_while_cleaning_up()
    tally = trial.tally
    record("crash.points", tally.fired)
    record("crash.torn", tally.torn)
    record("crash.leftovers", tally.leftovers)
    assert tally.fired > 15
    assert tally.swept > 0, "no kill has left anything to sweep: they came too early or too late"
    assert (tally.torn, tally.leftovers) == (0, 0)
    assert not tally.wrong


@pytest.mark.slow
@pytest.mark.parametrize("scene", ["a rewrite", "the first write"])
def test_where_files_cannot_trade_places_a_kill_tears_nothing_either(
    scene: str, stage: Stage, scratch: Path, record: Record
) -> None:
    trial = Trial(stage, scene, scratch, NO_EXCHANGE)
    for call in {call.name for call in trial.clean.calls} - {"renameat2"}:  # strace takes one order for each call
        trial.kill_at_each(only=call)
    record("crash.points", trial.tally.fired)
    record("crash.torn", trial.tally.torn)
    record("crash.leftovers", trial.tally.leftovers)
    assert trial.tally.fired > 15
    assert (trial.tally.torn, trial.tally.leftovers) == (0, 0)
    assert not trial.tally.wrong


def test_a_killed_writer_in_place_is_found_out(stage: Stage, scratch: Path) -> None:
    """The same sweep over what most tools do."""
    trial = Trial(stage, IN_PLACE, scratch)
    trial.kill_at_each()
    assert trial.tally.torn > 0
