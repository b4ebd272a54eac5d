"""A daemon that does not answer in time is not the same as none."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from outside.machine import arn, key_of
from world.control import socket_of
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts

NOT_RUNNING = 3
COMMANDS = {
    "status": ["status"],
    "status --json": ["status", "--json"],
    "refresh": ["refresh"],
    "once": ["once"],
    "metrics": ["metrics"],
    "probe liveness": ["probe", "liveness"],
    "probe readiness": ["probe", "readiness"],
}


@pytest.fixture
def silent(aws_home: Home, daemon: Daemon) -> Iterator[Daemon]:
    """A daemon stopped by SIGSTOP: it still holds its lock and socket."""
    aws_home.configure(role("kept", arn("kept")))
    daemon.start().wait_until_fresh("kept")
    daemon.signal(signal.SIGSTOP)
    yield daemon
    daemon.signal(signal.SIGCONT)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_silent_daemon_is_not_reported_as_not_running(
    command: str, aws_home: Home, silent: Daemon, sts: FakeSts
) -> None:
    """Exit status 1, and nothing is renewed beside it."""
    done = aws_home.assumed(*COMMANDS[command], within=55, AWS_ENDPOINT_URL_STS=sts.url)
    assert done.returncode == 1, done.stderr
    assert "not running" not in done.stderr
    assert len(sts.calls) == 1
    if command == "status --json":
        document = json.loads(done.stdout)
        assert document["daemon"] is None
        assert document["daemon_error"]
        assert document["roles"][0]["delivered"]


@pytest.mark.parametrize("command", ["status", "refresh", "metrics", "probe liveness", "probe readiness"])
def test_a_command_says_when_no_daemon_runs(command: str, aws_home: Home) -> None:
    """Control: exit status 3."""
    aws_home.configure(role("kept", arn("kept")))
    assert aws_home.assumed(*COMMANDS[command], within=55).returncode == NOT_RUNNING


@pytest.mark.parametrize("command", ["status", "refresh", "metrics", "probe liveness", "probe readiness"])
def test_the_socket_of_a_dead_daemon_means_not_running(command: str, aws_home: Home) -> None:
    """It refuses connections."""
    aws_home.configure(role("kept", arn("kept")))
    aws_home.state.mkdir(parents=True, mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(socket_of(aws_home.state)))
    assert aws_home.assumed(*COMMANDS[command], within=55).returncode == NOT_RUNNING


@pytest.mark.slow
def test_check_warns_about_a_silent_daemon(aws_home: Home, silent: Daemon, sts: FakeSts) -> None:
    """As a finding, not as an error of the configuration."""
    done = aws_home.assumed("check", "--json", within=55, AWS_ENDPOINT_URL_STS=sts.url)
    findings = json.loads(done.stdout)["findings"]
    assert [finding["severity"] for finding in findings if finding["subject"] == "the daemon"] == ["warning"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [["wait", "--timeout", "2"], ["env", "kept"], ["credential-process", "kept"], ["exec", "kept", "true"]]
)
def test_a_valid_session_is_returned_beside_a_silent_daemon(
    command: list[str], aws_home: Home, silent: Daemon, sts: FakeSts
) -> None:
    """It is on disk: neither the daemon nor STS is needed."""
    done = aws_home.assumed(*command, within=55, AWS_ENDPOINT_URL_STS=sts.url)
    assert done.returncode == 0, done.stderr
    assert len(sts.calls) == 1


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_due_session_is_left_to_a_silent_daemon_while_it_is_valid(
    aws_home: Home, daemon: Daemon, sts: FakeSts
) -> None:
    """Renewing beside a daemon that is only busy would call STS twice."""
    sts.rule("*", session_seconds=40)
    aws_home.configure(role("kept", arn("kept")))
    daemon.start().wait_until_fresh("kept")
    daemon.signal(signal.SIGSTOP)
    try:
        key = key_of(aws_home, "kept")
        time.sleep(27)  # past the renewal point, and past what `credential-process` counts as fresh
        done = aws_home.assumed("credential-process", "kept", within=55, AWS_ENDPOINT_URL_STS=sts.url)
        assert json.loads(done.stdout)["AccessKeyId"] == key
        assert len(sts.calls) == 1
    finally:
        daemon.signal(signal.SIGCONT)
