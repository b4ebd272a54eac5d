"""The wall clock of the running process jumps (a shim around clock_gettime); monotonic clocks and waits do not."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from process.kit import arn, key_of, rounds
from process.shim import Clocks, compiled
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

HOURS = 8 * 3600


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim, compiled once."""
    return compiled(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def clocks(library: Path, aws_home: Home) -> Clocks:
    """The clocks of the daemon."""
    return Clocks(library, aws_home.path / "offset")


def jump(clocks: Clocks, sts: FakeSts, seconds: int) -> None:
    """The daemon's clock and AWS's jump together, as if the host had paused the machine."""
    sts.rule("*", session_seconds=6, clock_offset=float(seconds))
    clocks.move(wall=seconds)


@pytest.mark.parametrize("seconds", [HOURS, -HOURS], ids=["forward", "backward"])
def test_a_jump_of_the_wall_clock_does_not_stop_renewals(
    seconds: int, clocks: Clocks, sts: FakeSts, aws_home: Home
) -> None:
    """Eight hours in either direction: every role is tried within a heartbeat, and renewed on time from then on."""
    sts.rule("*", session_seconds=6)
    names = ("a", "b")
    aws_home.configure(*(role(name, arn(name)) for name in names))
    with Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url, **clocks.environment) as daemon:
        daemon.wait_until_fresh(*names)
        jump(clocks, sts, seconds)
        before = {name: rounds(daemon, name) for name in names}
        daemon.signal(signal.SIGHUP)  # wakes the loop, as the next heartbeat would
        eventually(lambda: daemon.events("clock.jumped"), 4)
        assert abs(daemon.events("clock.jumped")[0]["stepped_seconds"] - seconds) <= 2
        eventually(lambda: all(rounds(daemon, name) >= before[name] + 3 for name in names), 16)
        daemon.wait_until_fresh(*names)
        now = time.time() + seconds
        for name in names:
            assert (sts.key(key_of(aws_home, name)).expiration or 0) > now, "nothing expired is served"


def test_a_wrong_local_clock_is_reported_and_costs_no_session(clocks: Clocks, sts: FakeSts, aws_home: Home) -> None:
    """The local clock is eight hours ahead: STS refuses the signature, the session stays, and renewals resume once the
    clock is right."""
    sts.rule("*", session_seconds=30)
    aws_home.configure(role("a", arn("a")))
    with Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url, **clocks.environment) as daemon:
        daemon.wait_until_fresh("a")
        key = key_of(aws_home, "a")
        clocks.move(wall=HOURS)
        daemon.signal(signal.SIGHUP)
        daemon.wait_until(lambda status: status["roles"][0]["last_error"], within=6)
        assert "clock" in daemon.role("a")["last_error"]["advice"]
        assert key_of(aws_home, "a") == key
        clocks.move(wall=-HOURS)
        daemon.signal(signal.SIGHUP)
        eventually(lambda: key_of(aws_home, "a") not in ("", key) or daemon.role("a")["state"] == "fresh", 8)
        daemon.wait_until_fresh("a")
