"""`deliver = "process"` without a daemon: consumers renew by themselves, once for all, and politely."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from process.kit import arn
from world.daemon import Daemon, Home, role
from world.dripping import Dripping, Mode
from world.fake_sts import FakeSts
from world.sts_rules import Call
from world.waiting import eventually, in_time

BUSY = 2.5
"""Seconds that a busy machine may take to start an interpreter."""
UNDER_WAY = ("takes longer than an SDK waits", "no session of profile")
"""The message while a renewal is in progress."""
HOSTILE = {"PATH": "", "PYTHONHOME": "/nowhere", "PYTHONPATH": "/nowhere", "AWS_PROFILE": "other"}


@pytest.fixture
def left_behind(aws_home: Home, sts: FakeSts) -> Home:
    """A home in which a daemon has managed `a` by process and has stopped."""
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("a", arn("a"), deliver="process"), role("b", arn("b"), deliver="process"))
    with Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        daemon.wait_until_fresh("a", "b")
    return aws_home


def asked(sts: FakeSts) -> list[Call]:
    """The calls after the daemon's own two."""
    return sts.calls[2:]


def lose(home: Home, profile: str = "a") -> None:
    """Remove the stored session."""
    (home.state / "sessions" / f"{profile}.json").unlink()


def ask(home: Home, sts: FakeSts, profile: str = "a", **more: str) -> subprocess.CompletedProcess[str]:
    """What an SDK does: run the line of the profile. Retries once if a slow machine takes longer than an SDK waits."""

    def answer() -> subprocess.CompletedProcess[str] | None:
        done = ask_once(home, sts, profile, **more)
        return None if any(words in done.stderr for words in UNDER_WAY) else done

    return eventually(answer, 60)


def ask_once(home: Home, sts: FakeSts, profile: str = "a", **more: str) -> subprocess.CompletedProcess[str]:
    """Run the line of the profile."""
    command = shlex.split((home.profile(profile) or {})["credential_process"])
    environ = {**home.environment(AWS_ENDPOINT_URL_STS=sts.url), **HOSTILE, **more}
    return subprocess.run(command, env=environ, cwd="/", capture_output=True, text=True, timeout=60, check=False)


def test_a_missing_session_is_renewed_in_any_environment(left_behind: Home, sts: FakeSts) -> None:
    """The consumer's environment names another credentials file; the daemon's counts."""
    lose(left_behind)
    done = ask(left_behind, sts, AWS_SHARED_CREDENTIALS_FILE="/nowhere", AWS_CONFIG_FILE="/nowhere")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["AccessKeyId"] == asked(sts)[-1].issued
    assert len(asked(sts)) == 1


@pytest.mark.parametrize("many", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_executors_that_start_together_make_one_call(many: int, left_behind: Home, sts: FakeSts) -> None:
    lose(left_behind)
    with ThreadPoolExecutor(many) as pool:
        done = list(pool.map(lambda _: ask(left_behind, sts), range(many)))
    good = [json.loads(each.stdout)["AccessKeyId"] for each in done if each.returncode == 0]
    assert set(good) == {asked(sts)[0].issued}
    assert len(asked(sts)) == 1
    if many <= 12:
        assert len(good) == many


def test_a_refusal_is_one_line_and_is_not_retried_at_once(left_behind: Home, sts: FakeSts) -> None:
    """An SDK runs the line for every request that it signs: a denied role must not flood STS."""
    lose(left_behind)
    sts.rule("*", error="AccessDenied")
    said = [ask(left_behind, sts) for _ in range(3)]
    assert {each.returncode for each in said} == {1}
    assert {each.stderr for each in said} == {said[0].stderr}
    assert said[0].stderr.count("\n") == 1
    assert "is not authorized to perform: sts:AssumeRole" in said[0].stderr
    times = [call.time for call in asked(sts)]
    assert all(later - earlier >= 5 for earlier, later in pairwise(times))


def test_a_valid_session_is_returned_while_sts_is_down(left_behind: Home, sts: FakeSts) -> None:
    """Old but unexpired: one failed attempt, then backoff."""
    path = left_behind.state / "sessions" / "a.json"
    stored = json.loads(path.read_text())
    for name in ("received_wall", "received_boot", "expiration"):
        stored["Assumed"][name] -= 700
    path.write_text(json.dumps(stored))
    sts.rule("*", error="InternalFailure")
    for _ in range(3):
        done = ask(left_behind, sts)
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["AccessKeyId"] == stored["AccessKeyId"]
    times = [call.time for call in asked(sts)]
    assert times
    assert all(later - earlier >= 3 for earlier, later in pairwise(times))


@pytest.mark.proof
def test_a_hanging_sts_costs_four_seconds_and_the_session_still_arrives(left_behind: Home, sts: FakeSts) -> None:
    """The Rust SDK gives up after 5 s; the next process finds the stored session."""
    lose(left_behind)
    sts.rule("*", latency=7.0, session_seconds=900)
    began = time.monotonic()
    done = ask_once(left_behind, sts)
    assert in_time(began, 4 + BUSY)
    assert done.returncode == 1
    assert "takes longer than an SDK waits" in done.stderr
    assert ask(left_behind, sts).returncode == 0
    assert len(asked(sts)) == 1


def test_an_edit_without_a_daemon_applies_to_the_next_session(left_behind: Home, sts: FakeSts) -> None:
    left_behind.configure(role("a", arn("another"), deliver="process"))
    lose(left_behind)
    assert ask(left_behind, sts).returncode == 0
    assert [call.role_arn for call in asked(sts)] == [arn("another")]


@pytest.mark.proof
def test_a_profile_that_is_its_own_source_is_refused_at_once(left_behind: Home, sts: FakeSts) -> None:
    """The source's credential_process is the same line. A person who runs it sees the message."""
    line = (left_behind.profile("a") or {})["credential_process"]
    left_behind.aws_config.write_text(f"[profile source]\ncredential_process = {line}\n")
    left_behind.configure(role("a", arn("a"), deliver="process", source_profile="source"))
    lose(left_behind)
    began = time.monotonic()
    done = ask(left_behind, sts)
    assert done.returncode == 1
    assert "its credential_process ended with status 1; run the credential_process of profile source" in done.stderr
    assert "is this profile itself" in ask(left_behind, sts, ASSUMED_RENEWING="a").stderr
    assert in_time(began, 4 + BUSY)
    assert not asked(sts)


@pytest.mark.parametrize("mode", ["body", "continue", "endless-body", "gzip-bomb"])
def test_a_server_whose_answer_never_ends_costs_four_seconds(aws_home: Home, sts: FakeSts, mode: Mode) -> None:
    """What comes as fast as it is taken, or grows when it is unpacked, is refused at once."""
    aws_home.add_source(sts.source.access_key_id, sts.source.secret_access_key, "other")
    aws_home.configure(role("a", arn("a"), deliver="process", source_profile="other"))
    aws_home.aws_config.write_text(f"[profile other]\nendpoint_url = {sts.url}\n")
    with Daemon(aws_home) as daemon:
        daemon.wait_until_fresh("a")
    with Dripping(mode) as dripping:
        aws_home.aws_config.write_text(f"[profile other]\nendpoint_url = {dripping.url}\n")
        lose(aws_home)
        began = time.monotonic()
        done = ask_once(aws_home, sts)
        assert in_time(began, 4 + BUSY)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert dripping.connections == 1
        assert dripping.sent < 16 << 20
        assert ("takes longer" in done.stderr) is (mode in {"body", "continue"})


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_session_that_cannot_be_printed_is_one_line_on_stderr(left_behind: Home) -> None:
    command = [left_behind.interpreter, "-m", "assumed", "credential-process", "a"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, env=left_behind.environment(), check=False
        )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
