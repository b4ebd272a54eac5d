"""Machines of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from units.machine import Machine, Service
from units.story import KINDS, Told, installed
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


@pytest.fixture(params=KINDS)
def service(request: pytest.FixtureRequest, machine: Machine, sts: FakeSts) -> Service:
    """Installed, with one role to keep; not started."""
    return installed(Service(machine, *KINDS[request.param]), sts)


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Told:
    print()
    return Told(request.node.callspec.params.get("service", "") if hasattr(request.node, "callspec") else "")


@pytest.fixture
def sandboxed(machine: Machine, sts: FakeSts) -> Service:
    return installed(Service(machine, *KINDS["user unit in its sandbox"]), sts)
