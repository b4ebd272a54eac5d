"""One STS and one home per test. Nothing here imports anything of `assumed`.

The number in a file's name is the kind of fault: 1 the wrong session, 2 one role or program affects others, 3 sources,
4 files and homes, 5 trust, 6 commands.

Each fault is tried with several inputs: the first one every day, all of them in `make proof`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from world.daemon import Daemon, Home
from world.fake_sts import FakeSts

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before `-m "not slow"` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every input except the first of each test as slow."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec is not None and item.path.is_relative_to(HERE) and any(callspec.indices.values()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def sts() -> Iterator[FakeSts]:
    """A fake STS with one-hour sessions."""
    with FakeSts() as sts:
        yield sts


@pytest.fixture
def aws_home(tmp_path_factory: pytest.TempPathFactory, sts: FakeSts) -> Home:
    """A home whose `default` profile has the fake STS's long-term key. Its path is short because of the socket."""
    home = Home(tmp_path_factory.mktemp("h"))
    home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
    return home


@pytest.fixture
def daemon(aws_home: Home, sts: FakeSts) -> Iterator[Daemon]:
    """The daemon of that home, not started. If it runs at the end of the test, it must obey SIGTERM."""
    daemon = Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url)
    yield daemon
    daemon.stop()
