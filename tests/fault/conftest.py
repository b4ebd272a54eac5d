"""A stage, and a place where thousands of fsyncs cost nothing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fault.traced import Stage, can_trace, open_stage

MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """Skips where nothing can be traced."""
    if not can_trace():
        pytest.skip("strace is missing or may not inject faults here")
    with open_stage() as stage:
        yield stage


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A directory in memory where there is one: the calls and their order are the same."""
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as directory:
        yield Path(directory) / "scene"
