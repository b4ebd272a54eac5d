"""One STS, one home, one daemon for each test; nothing outlives it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from process.kit import arn
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts


@pytest.fixture
def sts() -> Iterator[FakeSts]:
    """A fake STS whose sessions live for 4 s."""
    with FakeSts() as sts:
        sts.rule("*", session_seconds=4)
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


@pytest.fixture
def running(sts: FakeSts, aws_home: Home, daemon: Daemon) -> Daemon:
    """A daemon that keeps `kept` and `also`, whose sessions are fresh for the length of a test."""
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("kept", arn("kept")), role("also", arn("also")))
    daemon.start().wait_until_fresh("kept", "also")
    return daemon
