"""The helper that starts a real daemon, against our own STS."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from world.control import NotRunning
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

ROLE = "arn:aws:iam::123456789012:role/MyApp/MyS3Access"


@pytest.fixture
def sts() -> Iterator[FakeSts]:
    with FakeSts() as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, sts: FakeSts) -> Home:
    home = Home(tmp_path)
    home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
    home.configure(role("my-role", ROLE, external_id="MyApp-42", duration_seconds=900))
    return home


def test_a_daemon_renews_a_role_and_stops_on_request(home: Home, sts: FakeSts) -> None:
    with Daemon(home, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        status = daemon.wait_until_fresh("my-role")
        assert status["daemon"]["pid"] == daemon.pid
        assert daemon.role("my-role")["role_arn"] == ROLE
        call = sts.wait_for_calls(1, ROLE)[0]
        assert (call.external_id, call.duration, call.outcome) == ("MyApp-42", 900, "ok")
        profile = home.profile("my-role")
        assert profile
        assert profile["aws_access_key_id"] == call.issued
        assert [event["profile"] for event in daemon.events("role.renewed")] == ["my-role"]
        assert daemon.stop() == 0
        with pytest.raises(NotRunning):
            daemon.status()


def test_a_killed_daemon_leaves_its_files_and_the_next_one_continues(home: Home, sts: FakeSts) -> None:
    daemon = Daemon(home, AWS_ENDPOINT_URL_STS=sts.url).start()
    daemon.wait_until_fresh("my-role")
    daemon.kill9()
    before = home.profile("my-role")
    with Daemon(home, AWS_ENDPOINT_URL_STS=sts.url) as second:
        second.wait_until_fresh("my-role")
    assert home.profile("my-role") == before
    assert len(sts.calls_for(ROLE)) == 1


def test_if_the_daemon_cannot_start_the_error_contains_its_log(home: Home) -> None:
    home.config.write_text("nonsense")
    with pytest.raises(AssertionError, match=r"ended with 2\n(.|\n)*config\.toml"), Daemon(home):
        pass


def test_commands_run_in_the_same_home(home: Home) -> None:
    done = home.assumed("--version")
    assert (done.returncode, done.stdout.split()[0]) == (0, "assumed")


def test_waiting_has_a_deadline_and_reports_the_condition() -> None:
    with pytest.raises(AssertionError, match=r"the tide did not happen within 0\.5 s; last seen: 0"):
        eventually(lambda: 0, within=0.05, saying="the tide")


def test_a_daemon_that_was_never_started_needs_no_stop(home: Home) -> None:
    assert Daemon(home).stop() == 0
    assert subprocess.run(["pgrep", "-f", str(home.config)], check=False, capture_output=True).stdout == b""
