"""One STS and one home for each test. Nothing here, or in the tests beside it, imports anything of `assumed`.

The number in a file's name says what went wrong: 1 the wrong session, 2 one role or program took others along,
3 sources, 4 files and homes, 5 trust, 6 commands.

Every kind of fault is tried with several inputs. The first of them runs every day, all of them in `make proof`.
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
    """Mark every input but the first of each test as slow."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec is not None and item.path.is_relative_to(HERE) and any(callspec.indices.values()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def sts() -> Iterator[FakeSts]:
    """A fake STS whose sessions live for an hour."""
    with FakeSts() as sts:
        yield sts


@pytest.fixture
def aws_home(tmp_path_factory: pytest.TempPathFactory, sts: FakeSts) -> Home:
    """A home whose `default` profile holds the fake STS's long-term key. Its path is short: sockets want that."""
    home = Home(tmp_path_factory.mktemp("h"))
    home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
    return home


@pytest.fixture
def daemon(aws_home: Home, sts: FakeSts) -> Iterator[Daemon]:
    """The daemon of that home, not started yet; at the end it must obey SIGTERM if it still runs."""
    daemon = Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url)
    yield daemon
    daemon.stop()
