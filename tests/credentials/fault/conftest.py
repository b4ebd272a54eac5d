"""A stage, and a place where thousands of fsyncs cost nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from credentials.fault.traced import NotTraced, Stage, open_stage

MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """Skips where nothing can be traced."""
    if shutil.which("strace") is None:
        pytest.skip("strace is missing")
    with open_stage() as stage:
        with tempfile.TemporaryDirectory() as directory:
            try:
                assert stage.act("the first write", Path(directory), "fsync:error=EIO:when=1+").failed
            except NotTraced as why:
                pytest.skip(f"strace may not inject faults here: {why}")
        yield stage


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A directory in memory where there is one: the calls and their order are the same."""
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as directory:
        yield Path(directory) / "scene"
