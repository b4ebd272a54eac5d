"""The commands beside a real daemon."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually, patient

GOOD = "arn:aws:iam::123456789012:role/MyApp/Good"
BAD = "arn:aws:iam::123456789012:role/MyApp/Bad"


@pytest.fixture
def sts() -> Iterator[FakeSts]:
    with FakeSts() as server:
        yield server


@pytest.fixture
def user(home: Path, sts: FakeSts) -> Home:
    return configured(home, sts)


def configured(path: Path, sts: FakeSts) -> Home:
    """A home with two roles, and a disabled one."""
    user = Home(path)
    user.add_source(sts.source.access_key_id, sts.source.secret_access_key)
    user.configure(role("good", GOOD), role("bad", BAD), role("off", GOOD, enabled=False))
    return user


@pytest.fixture
def daemon(user: Home, sts: FakeSts) -> Iterator[Daemon]:
    """A daemon that renews `good` and is denied `bad`."""
    with running(user, sts) as daemon:
        yield daemon


@contextmanager
def running(user: Home, sts: FakeSts) -> Iterator[Daemon]:
    sts.rule(BAD, error="AccessDenied")
    with Daemon(user, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        daemon.wait_until_fresh("good")
        daemon.wait_until(lambda status: status["roles"][1]["state"] == "failing")
        yield daemon


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with FakeSts() as sts, running(configured(tmp_path_factory.mktemp("h"), sts), sts) as daemon:
        yield daemon


class TestReadOnlyCommands:
    """One daemon for all of them."""

    @pytest.fixture
    def user(self, shared: Daemon) -> Home:
        return shared.home

    @pytest.fixture
    def daemon(self, shared: Daemon) -> Daemon:
        return shared

    def test_status_shows_both_roles_and_exits_with_their_health(self, user: Home, daemon: Daemon) -> None:
        result = user.assumed("status")
        assert (result.returncode, result.stderr) == (1, "")
        assert result.stdout.startswith(f"assumed 0.1.0 · pid {daemon.pid} · up ")
        assert re.search(r"^good +fresh +5\dm \d\ds  in [23]\dm +keys$", result.stdout, re.MULTILINE)
        assert re.search(r"^bad +failing +- .* not written\n  AccessDenied: ", result.stdout, re.MULTILINE)
        assert re.search(r"^off +disabled ", result.stdout, re.MULTILINE)

    def test_refresh_of_a_role_that_is_denied_says_why_and_exits_1(self, user: Home, daemon: Daemon) -> None:
        for _ in range(2):
            result = user.assumed("refresh", "bad")
            assert result.returncode == 1
            assert re.search(r"^assumed: bad: AccessDenied: ", result.stderr, re.MULTILINE)

    @pytest.mark.parametrize(
        ("profile", "advice"), [("goood", "Did you mean 'good'?"), ("off", "set enabled = true in the configuration")]
    )
    def test_refresh_of_an_unknown_profile_is_a_usage_error(
        self, user: Home, daemon: Daemon, profile: str, advice: str
    ) -> None:
        result = user.assumed("refresh", profile)
        assert (result.returncode, result.stdout) == (2, "")
        assert advice in result.stderr

    def test_wait_returns_for_served_roles_and_names_the_others(self, user: Home, daemon: Daemon) -> None:
        served = user.assumed("wait", "good")
        assert (served.returncode, served.stdout, served.stderr) == (0, "", "")
        result = user.assumed("wait", "--timeout", "0.2")
        assert result.returncode == 1
        assert result.stderr.startswith("assumed: bad: AccessDenied: ")

    def test_a_second_instance_exits_4(self, user: Home, daemon: Daemon) -> None:
        result = user.assumed("run")
        assert (result.returncode, result.stdout) == (4, "")
        assert f"pid {daemon.pid}" in result.stderr


def test_a_healthy_daemon_exits_0_and_its_bad_edit_is_shown(user: Home, sts: FakeSts) -> None:
    with Daemon(user, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        daemon.wait_until_fresh("good", "bad")
        assert user.assumed("status").returncode == 0
        user.config.write_text("nonsense")
        daemon.wait_until(lambda status: status["daemon"]["config_error"])
        result = user.assumed("status")
        assert (result.returncode, result.stderr) == (0, "")
        assert "The configuration has an error; the last good one stays in force:" in result.stdout
        assert user.assumed("wait", "good").returncode == 0
        assert user.assumed("refresh", "good").returncode == 0


def test_refresh_renews_what_is_fresh_and_waits_until_it_is_written(user: Home, daemon: Daemon, sts: FakeSts) -> None:
    result = user.assumed("refresh", "good")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == "good: renewed\n"
    profile = user.profile("good")
    assert profile is not None
    assert profile["aws_access_key_id"] == sts.calls_for(GOOD)[-1].issued
    assert len(sts.calls_for(GOOD)) == 2


def test_refresh_without_a_wait_returns_at_once(user: Home, daemon: Daemon, sts: FakeSts) -> None:
    sts.rule(GOOD, fault="hang")
    assert user.assumed("refresh", "good", "--no-wait").returncode == 0
    eventually(lambda: len(sts.calls_for(GOOD)) == 2, 10)


def test_wait_outlasts_a_daemon_that_starts_later(user: Home, sts: FakeSts) -> None:
    waiting = subprocess.Popen(
        [sys.executable, "-m", "assumed", "wait", "good", "--timeout", "300"], env=user.environment()
    )
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(1.0)
        with Daemon(user, AWS_ENDPOINT_URL_STS=sts.url):
            assert waiting.wait(patient(20)) == 0
    finally:
        waiting.kill()
        waiting.wait()


def test_once_beside_a_daemon_lets_it_do_the_work(user: Home, daemon: Daemon, sts: FakeSts) -> None:
    result = user.assumed("once", "--json")
    assert result.returncode == 1
    document = json.loads(result.stdout)
    assert document["renewed"] == []
    assert [failure["profile"] for failure in document["failed"]] == ["bad"]
    assert len(sts.calls_for(GOOD)) == 1


def test_once_alone_renews_what_is_due_and_a_second_time_nothing(user: Home, sts: FakeSts) -> None:
    result = user.assumed("once", AWS_ENDPOINT_URL_STS=sts.url)
    assert (result.returncode, result.stdout) == (0, "")
    assert sorted(result.stderr.splitlines()) == ["bad: renewed", "good: renewed"]
    again = user.assumed("once", "--json", AWS_ENDPOINT_URL_STS=sts.url)
    assert (again.returncode, again.stderr) == (0, "")
    assert json.loads(again.stdout) == {"renewed": [], "failed": []}
    assert len(sts.calls) == 2


def test_once_alone_says_why_a_role_failed(user: Home, sts: FakeSts) -> None:
    sts.rule(BAD, error="AccessDenied")
    result = user.assumed("once", "--json", AWS_ENDPOINT_URL_STS=sts.url)
    assert result.returncode == 1
    document = json.loads(result.stdout)
    assert document["renewed"] == ["good"]
    ((failure),) = document["failed"]
    assert failure["profile"] == "bad"
    assert "not authorized" in failure["reason"]


def test_a_slow_refresh_shows_a_bar_on_a_terminal(user: Home, daemon: Daemon, sts: FakeSts) -> None:
    sts.rule(GOOD, latency=2.0)
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "assumed", "refresh", "good"],
        env=user.environment(TERM="xterm"),
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    output = b""
    while True:
        try:
            output += os.read(leader, 65536)
        except OSError:  # the other side has been closed
            break
    os.close(leader)
    assert process.wait(60) == 0
    assert b"Renewing" in output
    assert b"0/1" in output
    assert b"1/1" in output


def test_credential_process_restores_a_missing_session_through_the_daemon(user: Home, daemon: Daemon) -> None:
    (user.state / "sessions" / "good.json").unlink()
    result = user.assumed("credential-process", "good")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["AccountId"] == "123456789012"
