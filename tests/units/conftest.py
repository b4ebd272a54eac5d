"""Machines of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from units.machine import Machine
from world.fake_sts import FakeSts


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    base = tmp_path / "machine"
    base.mkdir()
    with Machine(base) as machine:
        yield machine


@pytest.fixture
def sts() -> Iterator[FakeSts]:
    with FakeSts() as sts:
        yield sts
