"""A machine of its own, with alice's shell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.shell import ARN, Shell
from units.machine import Machine
from world.daemon import role
from world.fake_sts import FakeSts


@pytest.fixture
def sts() -> Iterator[FakeSts]:
    with FakeSts() as sts:
        yield sts


@pytest.fixture
def shell(tmp_path: Path, sts: FakeSts) -> Iterator[Shell]:
    base = tmp_path / "machine"
    base.mkdir()
    with Machine(base) as machine:
        shell = Shell(machine, sts)
        shell.home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
        shell.home.configure(role("my-role", ARN))
        machine.hand_over()
        yield shell
