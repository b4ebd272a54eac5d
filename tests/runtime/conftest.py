"""An STS of the project's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from world.fake_sts import FakeSts


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSts]:
    with FakeSts() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
        yield server
