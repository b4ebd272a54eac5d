"""A simulator that finds nothing proves nothing: it must find planted bugs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from world.scores import Record

from .bugs import PATCHES, hunt

ALL = sorted(PATCHES.glob("*.patch"))


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.skipif(shutil.which("patch") is None, reason="the patch command is not installed")
@pytest.mark.parametrize("patch", ALL, ids=lambda patch: patch.stem)
def test_a_planted_bug_is_found(patch: Path, record: Record) -> None:
    """Each in its own copy of the daemon."""
    found = hunt(patch, seeds=1000)
    record(f"bug.{patch.stem}", -1 if found.seed is None else found.seed)
    assert found.seed is not None, f"{found.title} was not found in 1000 simulated months"


def test_at_least_ten_bugs_are_planted() -> None:
    """Files can get lost."""
    assert len(ALL) >= 10
