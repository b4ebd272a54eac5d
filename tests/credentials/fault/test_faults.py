"""Every system call of a write fails, in every way and from every point on: the file is the old or the new one, what
is said is true and a sentence, nothing is left behind, and the next write goes through. (reliability T11)"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from credentials.fault.cases import ERRORS, Trial
from credentials.fault.scenes import IN_PLACE, SCENES, TWICE
from credentials.fault.traced import Stage
from world.scores import Record

TOGETHER = 80
"""Cases of several faults in one act, for each scene."""
SENTENCES = {
    "write:error=ENOSPC:when=1": "the disk is full",
    "write:error=EDQUOT:when=1": "quota",
    "write:error=EIO:when=1": "the disk reports an error",
    "write:retval=7:when=1": "the disk did not give back",
    "/rename:error=EACCES:when=1+": "permission is denied",
    "/rename:error=EPERM:when=1+": "immutable",
    "/rename:error=EBUSY:when=1+": "Mount its directory",
    "/rename:error=EXDEV:when=1+": "Mount its directory",
    "/^mkdir:error=EROFS:when=1": "read-only",
    "openat:error=EMFILE:when=1+": "too many files are open",
    "fchmod:error=EPERM:when=1": "does not permit",
    "pread64:error=EIO:when=1": "the disk reports an error",
    "flock:error=ENOLCK:when=1": "has no locks",
}


@pytest.mark.parametrize("fault", SENTENCES)
def test_a_write_that_fails_leaves_the_old_file_and_a_sentence(fault: str, stage: Stage, scratch: Path) -> None:
    trial = Trial(stage, "the first write" if "mkdir" in fault else "a rewrite", scratch)
    outcome = trial.run(fault)
    assert outcome.said.startswith("refused: ")
    assert SENTENCES[fault] in outcome.said
    assert not trial.tally.torn
    assert not trial.tally.wrong


def test_an_error_after_the_rename_is_published_but_not_durable(stage: Stage, scratch: Path) -> None:
    trial = Trial(stage, "a rewrite", scratch)
    flushes = sum(1 for call in trial.clean.calls if call.name == "fsync")
    assert trial.run(f"fsync:error=EIO:when={flushes}").said == "written, not durable"
    assert not trial.tally.wrong


def test_what_could_not_be_flushed_is_thrown_away_and_not_flushed_again(stage: Stage, scratch: Path) -> None:
    """The kernel has marked its pages clean: a second fsync says that all is well (Rebello, ATC'20)."""
    trial = Trial(stage, "a rewrite", scratch)
    before = [call.name for call in trial.clean.calls]
    nth = before[: before.index("write")].count("fsync") + 1
    after = [call.name for call in trial.run(f"fsync:error=EIO:when={nth}").calls]
    rest = after[after.index("write") + 1 :]
    assert rest.count("fsync") == 1
    assert "unlinkat" in rest
    assert not [name for name in rest if name.startswith("rename")]


def test_a_file_that_cannot_be_removed_is_removed_at_the_next_look(stage: Stage, scratch: Path) -> None:
    trial = Trial(stage, TWICE, scratch)
    assert trial.run("unlinkat:error=EIO:when=1").failed
    assert trial.tally.swept == 0
    assert not trial.tally.wrong


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("scene", SCENES)
def test_whatever_fails_the_file_is_whole(scene: str, stage: Stage, scratch: Path, record: Record) -> None:
    trial = Trial(stage, scene, scratch)
    trial.fail_each()
    trial.fail_from_each_on("ENOSPC")
    trial.fail_from_each_on("EROFS")
    trial.fail_from_each_on("EIO", sparing=("close", "getrandom"))
    chance = random.Random(scene)
    for _ in range(TOGETHER):
        trial.fail_together(chance)
    tally = trial.tally
    record("fault.cases", tally.cases)
    record("fault.fired", tally.fired)
    record("fault.torn", tally.torn)
    record("fault.leftovers", tally.leftovers)
    assert tally.fired > len(ERRORS) * 10
    assert (tally.torn, tally.leftovers) == (0, 0)
    assert not tally.wrong


def test_a_writer_in_place_is_found_out(stage: Stage, scratch: Path) -> None:
    """The same sweep over what most tools do: it truncates, and then the disk is full."""
    trial = Trial(stage, IN_PLACE, scratch)
    trial.fail_each(("ENOSPC",), only="write")
    assert trial.tally.torn == 1
