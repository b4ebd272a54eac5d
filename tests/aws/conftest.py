"""An STS of the project's own, and a home with two AWS files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aws.kit import Home
from world.fake_sts import FakeSts


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSts]:
    with FakeSts() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
        yield server


@pytest.fixture
def aws(home: Path) -> Iterator[Home]:
    made = Home(home)
    yield made
    made.sources.close()
