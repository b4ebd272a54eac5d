"""SIGTERM, SIGINT, SIGHUP: an orderly stop whatever hangs, and a reload on demand."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from process.kit import arn, key_of
from world.control import socket_of
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually, in_time

AT_ONCE = 2.0
"""Seconds for a stop: systemd and launchd wait much longer, users do not."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_stop_is_orderly(number: signal.Signals, sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """Exit status 0, the socket is removed, the sessions stay."""
    aws_home.configure(role("a", arn("a")))
    daemon.start().wait_until_fresh("a")
    key = key_of(aws_home, "a")
    daemon.signal(number)
    assert daemon.wait_for_exit(AT_ONCE + 3) == 0
    assert not socket_of(aws_home.state).exists()
    assert key_of(aws_home, "a") == key
    assert daemon.events("daemon.stopped")[-1]["signal"] == number.name
    assert aws_home.assumed("status").returncode in (0, 3)


@pytest.mark.proof
def test_a_stop_does_not_wait_for_an_sts_that_hangs(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """The maximum number of calls is in flight, and none will be answered."""
    names = [f"hung-{n}" for n in range(12)]
    for name in names:
        sts.rule(arn(name), fault="hang")
    aws_home.configure(*(role(name, arn(name)) for name in names))
    daemon.start()
    eventually(lambda: len(sts.calls) >= 8, 6)  # the most of the ten workers that one endpoint gets
    began = time.monotonic()
    daemon.signal(signal.SIGTERM)
    assert daemon.wait_for_exit() == 0
    assert in_time(began, AT_ONCE)


def test_a_stop_writes_sessions_that_have_arrived(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """A restart makes no second call for a session that STS has issued."""
    sts.rule("*", session_seconds=900)
    aws_home.configure(*(role(f"r-{n}", arn(f"r-{n}")) for n in range(10)))
    daemon.start()
    sts.wait_for_calls(10, outcome="ok")
    daemon.wait_until_fresh()
    assert daemon.stop() == 0
    daemon.start().wait_until_fresh()
    assert len(sts.calls) == 10


def test_a_second_sigterm_ends_it_at_once(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """Two in a row: it ends by either, with a whole file."""
    aws_home.configure(role("a", arn("a")))
    daemon.start().wait_until_fresh("a")
    daemon.signal(signal.SIGTERM)
    daemon.signal(signal.SIGTERM)
    # The last case: the second signal arrived when the interpreter was already exiting.
    assert daemon.wait_for_exit(AT_ONCE + 3) in (0, 128 + signal.SIGTERM, -signal.SIGTERM)
    assert key_of(aws_home, "a")


def test_sighup_reloads_at_once(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """Also for the first step of a removal and a bad file, and without ending the daemon."""
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("a", arn("a")))
    daemon.start().wait_until_fresh("a")
    aws_home.configure(role("a", arn("a")), role("b", arn("b")))
    daemon.signal(signal.SIGHUP)
    eventually(lambda: key_of(aws_home, "b"), 3)
    aws_home.config.write_text("not TOML")
    daemon.signal(signal.SIGHUP)
    daemon.wait_until(lambda status: status["daemon"]["config_error"], within=3)
    assert daemon.ask("ping")["pid"] == daemon.pid


def test_signals_during_the_start_are_obeyed(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """Sent during the first half second: it always ends, killed by the signal or in order."""
    aws_home.configure(role("a", arn("a")))
    for n in range(5):
        daemon.start(answering=False)
        time.sleep(0.1 * n + 0.02)  # the moment is under test
        daemon.signal(signal.SIGTERM)
        assert daemon.wait_for_exit(5) in (0, -signal.SIGTERM, 128 + signal.SIGTERM)
    daemon.start().wait_until_fresh("a")


def test_no_process_and_no_socket_is_left_in_a_deep_home(sts: FakeSts, tmp_path: Path) -> None:
    """If the path is too long for a socket, the fallback directory is removed as well."""
    home = Home(tmp_path / ("deep-" * 12) / ("deeper-" * 8))
    home.path.mkdir(parents=True)
    home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
    home.configure(role("a", arn("a")))
    with Daemon(home, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        daemon.wait_until_fresh("a")
        directory = socket_of(home.state).parent
        assert directory != home.state
        assert directory.stat().st_mode & 0o777 == 0o700
    assert not directory.exists()
