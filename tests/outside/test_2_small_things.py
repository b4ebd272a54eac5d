"""Signals during startup, and file descriptors above the limit of select()."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from pathlib import Path

import pytest

from outside.machine import arn, program
from world.control import NotRunning
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

WITHIN = 40.0

SLOWLY = ("-D", "-f", "-qq", "-o", "/dev/null", "-e", "inject=rt_sigaction:delay_exit=60000", "-e", "rt_sigaction")
"""Each handler change takes 60 ms, so that a signal can arrive between two of them."""


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("later", [0.0, 0.03, 0.06])
def test_a_stop_during_the_start_is_obeyed(later: float, aws_home: Home, sts: FakeSts) -> None:
    """SIGTERM as soon as it has a handler, and a little later."""
    aws_home.configure(role("kept", arn("kept")))
    daemon = Daemon(aws_home, under=[program("strace"), *SLOWLY], AWS_ENDPOINT_URL_STS=sts.url)
    daemon.start(answering=False)
    try:
        eventually(lambda: catches(daemon.pid, signal.SIGTERM), WITHIN, every=0.002)
        time.sleep(later)
        daemon.signal(signal.SIGTERM)
        with contextlib.suppress(AssertionError):
            eventually(lambda: not daemon.is_running(), WITHIN / 2)
        assert not daemon.is_running(), "SIGTERM is lost"
    finally:
        if daemon.is_running():
            daemon.kill9()


def test_a_stop_after_the_start_is_obeyed(aws_home: Home, daemon: Daemon) -> None:
    """Control."""
    aws_home.configure(role("kept", arn("kept")))
    daemon.start()
    assert daemon.stop() == 0


HOLD = (
    "import os, resource, sys; n = int(sys.argv[1]); hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]; "
    "resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard)); "
    "[os.dup2(0, fd) for fd in range(3, n)]; os.execvp(sys.argv[2], sys.argv[2:])"
)
"""Passes this many open descriptors to the command, like a careless parent."""


@pytest.mark.parametrize("descriptors", [10, 1023, 1024, 1500, 4000])
def test_the_daemon_answers_with_any_number_of_descriptors(descriptors: int, aws_home: Home, sts: FakeSts) -> None:
    """Control: ten."""
    aws_home.configure(role("kept", arn("kept")))
    daemon = Daemon(aws_home, under=[sys.executable, "-c", HOLD, str(descriptors)], AWS_ENDPOINT_URL_STS=sts.url)
    daemon.start(answering=False)
    answers: list[str] = []

    def answered() -> bool:
        with contextlib.suppress(NotRunning):
            answers.append(daemon.role("kept")["state"])
        return "fresh" in answers

    try:
        with contextlib.suppress(AssertionError):
            eventually(answered, WITHIN / 2)
        assert "fresh" in answers
    finally:
        daemon.stop()
