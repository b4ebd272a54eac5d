"""What the service manager is notified of, and when (sd_notify(3))."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from process.kit import arn
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually, in_time


@pytest.fixture
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[socket.socket, Path]]:
    path = tmp_path_factory.mktemp("n") / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(60)
        yield listener, path


def next_of(listener: socket.socket, kind: str) -> tuple[float, dict[str, str]]:
    """The next notification of a kind, by the monotonic clock; others are skipped."""
    while True:
        notice = dict(line.partition("=")[::2] for line in listener.recv(4096).decode().splitlines())
        if kind in notice:
            return time.monotonic(), notice


@pytest.mark.proof
def test_the_manager_is_notified_of_start_watchdog_reload_and_stop(
    manager: tuple[socket.socket, Path], sts: FakeSts, aws_home: Home
) -> None:
    """`systemctl reload` of a Type=notify-reload unit hangs without RELOADING and its time; the watchdog needs two
    notifications per timeout."""
    listener, path = manager
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("a", arn("a")))
    told = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "1000000"}
    with Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url, **told) as daemon:
        _, notice = next_of(listener, "READY")
        assert notice["STATUS"] == "1 of 1 roles have a session"
        assert aws_home.profile("a") is not None, "READY comes after the first plan"
        beats = [next_of(listener, "WATCHDOG")[0] for _ in range(3)]
        assert in_time(beats[0], 2.0), "one each half second"
        before = time.monotonic_ns() // 1000
        daemon.signal(signal.SIGHUP)
        _, notice = next_of(listener, "RELOADING")
        assert before <= int(notice["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        next_of(listener, "READY")
        eventually(lambda: daemon.status()["daemon"]["beat_age_seconds"] < 0.9, 10, saying="status knows the last beat")
        daemon.signal(signal.SIGTERM)
        next_of(listener, "STOPPING")


def test_the_managers_status_line_is_updated_at_once(
    manager: tuple[socket.socket, Path], sts: FakeSts, aws_home: Home
) -> None:
    """For `systemctl status`, without waiting for a heartbeat."""
    listener, path = manager
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("a", arn("a")))
    with Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url, NOTIFY_SOCKET=str(path)) as daemon:
        next_of(listener, "READY")
        began = time.monotonic()
        aws_home.configure(role("a", arn("a")), role("b", arn("b")))
        while next_of(listener, "STATUS")[1]["STATUS"] != "2 of 2 roles have a session":
            pass
        since = time.monotonic() - began
        assert daemon.status()["daemon"]["beat_age_seconds"] > since - 0.1  # rounded
