"""One home for every run; it is reset before each."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fault.once import Outcome, Rewrite
from world.fake_sts import FakeSts

MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def rewrite() -> Iterator[Rewrite]:
    """In memory if possible: the calls and their order are the same, and an fsync costs nothing."""
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as directory, FakeSts() as sts:
        yield Rewrite(Path(directory), sts)


@pytest.fixture(scope="session")
def clean(rewrite: Rewrite) -> Outcome:
    """The run under strace, without a fault."""
    if shutil.which("strace") is None:
        pytest.skip("strace is missing")
    outcome = rewrite.act()
    if not outcome.calls:
        pytest.skip(f"strace may not trace here: {outcome.done.stderr}")
    assert outcome.done.returncode == 0, outcome.done.stderr
    assert rewrite.found() == rewrite.new
    return outcome
