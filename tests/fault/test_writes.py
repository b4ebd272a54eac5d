"""`assumed once` rewrites the credentials file while any system call fails, is the last, or is followed by a power
cut. The file is the old one or the new one, and the next run repairs everything. (ALICE, OSDI'14)"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from fault.disk import Directory, Disk, File, Node
from fault.once import Outcome, Rewrite, in_the_file
from world.scores import Record

ERRORS = ("EACCES", "EINTR", "EIO", "EMFILE", "ENOSPC", "EROFS")
FACTS = {
    ("write", "ENOSPC"): "disk is full",
    ("fsync", "EIO"): "disk reports an error",
    ("renameat", "EACCES"): "permission is denied",
}
"""The failing call and its error → the reported fact."""
NO_EXCHANGE = "renameat2:error=ENOSYS:when=1+"
"""A system that cannot exchange two files."""


def judge(rewrite: Rewrite, outcome: Outcome) -> None:
    """Right after the run, and after the next one."""
    found = rewrite.found()
    assert found in (rewrite.old, rewrite.new)
    assert "Traceback" not in outcome.done.stderr
    if outcome.done.returncode == 0:
        assert found == rewrite.new
    again = rewrite.run()
    assert again.returncode == 0, again.stderr
    assert rewrite.found() == rewrite.new
    assert rewrite.strays() == []


def kill(call: str, nth: int) -> str:
    return f"{call}:signal=KILL:when={nth}"


def first_and_slow_ones(inputs: Iterable[tuple[str, ...]]) -> list[Any]:
    return [pytest.param(*one, marks=pytest.mark.slow if n else ()) for n, one in enumerate(inputs)]


def first(clean: Outcome, name: str) -> int:
    """The number of the first call of that name that affects the file."""
    return next(nth for call, nth in in_the_file(clean.calls) if call.name == name)


@pytest.mark.parametrize(("call", "error"), first_and_slow_ones(FACTS))
def test_a_write_that_fails_once_is_reported_and_retried(
    call: str, error: str, rewrite: Rewrite, clean: Outcome
) -> None:
    outcome = rewrite.act(f"{call}:error={error}:when={first(clean, call)}")
    assert outcome.hit
    assert FACTS[call, error] in outcome.done.stderr
    assert (outcome.done.returncode, rewrite.strays()) == (0, [])
    judge(rewrite, outcome)


@pytest.mark.parametrize(("call", "error"), first_and_slow_ones([one for one in FACTS if one[0] != "write"]))
def test_if_every_write_fails_the_old_file_stays(call: str, error: str, rewrite: Rewrite, clean: Outcome) -> None:
    """It fails from then on."""
    outcome = rewrite.act(f"{call}:error={error}:when={first(clean, call)}+")
    assert outcome.done.returncode == 1
    assert FACTS[call, error] in outcome.done.stderr
    assert (rewrite.found(), rewrite.strays()) == (rewrite.old, [])
    judge(rewrite, outcome)


@pytest.mark.parametrize("call", first_and_slow_ones([("write",), ("renameat2",)]))
def test_a_killed_rewrite_leaves_a_whole_file(call: str, rewrite: Rewrite, clean: Outcome) -> None:
    outcome = rewrite.act(kill(call, first(clean, call)))
    assert outcome.hit
    assert rewrite.strays() != []
    judge(rewrite, outcome)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("always", [(), (NO_EXCHANGE,)], ids=["", "no exchange"])
def test_killed_at_any_call_the_file_is_whole(always: tuple[str, ...], rewrite: Rewrite, record: Record) -> None:
    clean = rewrite.act(*always)
    assert rewrite.found() == rewrite.new
    points = [(call.name, nth) for call, nth in in_the_file(clean.calls) if call.name != "renameat2" or not always]
    assert len(points) >= 8
    for call, nth in points:
        outcome = rewrite.act(*always, kill(call, nth))
        assert outcome.hit
        judge(rewrite, outcome)
    record("crash.points", len(points))
    record("crash.torn", 0)
    record("crash.leftovers", 0)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("error", ERRORS)
def test_if_any_call_fails_the_file_is_whole(error: str, rewrite: Rewrite, clean: Outcome, record: Record) -> None:
    points = [(call.name, nth) for call, nth in in_the_file(clean.calls) if call.name != "close"]
    for call, nth in points:
        outcome = rewrite.act(f"{call}:error={error}:when={nth}")
        assert outcome.hit
        judge(rewrite, outcome)
    record("fault.cases", len(points))
    record("fault.fired", len(points))
    record("fault.torn", 0)
    record("fault.leftovers", 0)


# --- power cuts ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Verdict:
    """Over all states that a POSIX disk may be in: `torn` ones hold neither the old nor the new file, `undone` ones
    the old one although the run had ended."""

    states: int = 0
    torn: int = 0
    undone: int = 0


def cut_at_each(rewrite: Rewrite, clean: Outcome, deaf_to: type[Node] | None = None) -> Verdict:
    """Each state that the run's calls allow. `deaf_to`: see Disk."""
    rewrite.reset()
    disk = Disk(rewrite.aws, deaf_to)
    verdict = Verdict()
    for call in clean.calls:
        if disk.feed(call):
            _look(disk, verdict, (rewrite.old, rewrite.new), False)
    _look(disk, verdict, (rewrite.old, rewrite.new), True)
    return verdict


def _look(disk: Disk, verdict: Verdict, allowed: tuple[bytes, bytes], done: bool) -> None:
    for state in disk.states():
        found = state["credentials"][1] if "credentials" in state else b""
        verdict.states += 1
        verdict.torn += found not in allowed
        verdict.undone += done and found == allowed[0]


def test_after_a_power_cut_at_any_moment_the_file_is_whole(rewrite: Rewrite, clean: Outcome) -> None:
    verdict = cut_at_each(rewrite, clean)
    assert verdict.states > 10
    assert (verdict.torn, verdict.undone) == (0, 0)


@pytest.mark.slow
def test_without_a_flush_before_the_rename_torn_files_are_found(rewrite: Rewrite, clean: Outcome) -> None:
    """The same calls on a disk that reports flushes of files but does not do them."""
    assert cut_at_each(rewrite, clean, deaf_to=File).torn > 0


@pytest.mark.slow
def test_without_a_flush_of_the_directory_undone_writes_are_found(rewrite: Rewrite, clean: Outcome) -> None:
    assert cut_at_each(rewrite, clean, deaf_to=Directory).undone > 0
