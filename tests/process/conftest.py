"""One STS, one home and one daemon per test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from process.kit import arn
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts


@pytest.fixture
def sts() -> Iterator[FakeSts]:
    """A fake STS with 4-second sessions."""
    with FakeSts() as sts:
        sts.rule("*", session_seconds=4)
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


@pytest.fixture
def running(sts: FakeSts, aws_home: Home, daemon: Daemon) -> Daemon:
    """A daemon with the roles `kept` and `also`, whose sessions stay fresh during the test."""
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("kept", arn("kept")), role("also", arn("also")))
    daemon.start().wait_until_fresh("kept", "also")
    return daemon
