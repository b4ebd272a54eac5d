"""kill -9 at any moment, and twenty instances at once: no torn file, one owner, no unnecessary calls."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from botocore.configloader import raw_config_parse

from process.kit import arn, key_of, temporaries
from world.daemon import Daemon, Home, role
from world.fake_sts import SOURCE_KEY, FakeSts
from world.waiting import eventually

PROFILES = [f"role-{n}" for n in range(6)]


def whole(home: Home, sts: FakeSts) -> None:
    """The file can be read, the user's part is there, and every managed profile has the keys of one session."""
    sections = raw_config_parse(str(home.credentials))
    assert sections["default"]["aws_access_key_id"] == SOURCE_KEY
    for profile in PROFILES:
        section = sections.get(profile, {})
        if "aws_access_key_id" in section:
            key = sts.key(section["aws_access_key_id"])
            assert section["aws_secret_access_key"] == key.secret_access_key
            assert section["aws_session_token"] == key.session_token


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_a_killed_daemon_leaves_a_whole_file_and_the_next_one_continues(
    seed: int, sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """Six kills at random moments of the first second, with sessions so short that a write is always near."""
    moments = random.Random(seed)
    sts.rule("*", session_seconds=2)
    aws_home.configure(*(role(name, arn(name)) for name in PROFILES))
    for _ in range(6):
        daemon.start(answering=False)
        time.sleep(moments.uniform(0.15, 0.9))  # the time of the kill is under test
        daemon.kill9()
        whole(aws_home, sts)
    daemon.start().wait_until_fresh(*PROFILES)
    assert temporaries(aws_home.path) == []
    assert daemon.stop() == 0
    whole(aws_home, sts)


def test_the_next_start_removes_the_temporary_file_of_a_killed_write(
    sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """It contains secrets."""
    aws_home.configure(role("a", arn("a")))
    daemon.start().wait_until_fresh("a")
    pid = daemon.pid
    daemon.kill9()
    left = [
        aws_home.credentials.with_name(f".credentials.assumed.{pid}.0123456789abcdef.tmp"),
        aws_home.state / "sessions" / f".a.json.assumed.{pid}.0123456789abcdef.tmp",
        aws_home.state / f".config.last-good.toml.assumed.{pid}.0123456789abcdef.tmp",
    ]
    for path in left:
        path.write_text("half a secret")
    daemon.start().wait_until_fresh("a")
    eventually(lambda: temporaries(aws_home.path) == [], 8, saying=str(temporaries(aws_home.path)))


def test_a_restart_does_not_renew_valid_sessions(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """900 s sessions, a kill and an orderly stop: no further call."""
    sts.rule("*", session_seconds=900)
    aws_home.configure(*(role(name, arn(name)) for name in PROFILES))
    daemon.start().wait_until_fresh(*PROFILES)
    keys = {name: key_of(aws_home, name) for name in PROFILES}
    for end in (daemon.kill9, daemon.stop):
        end()
        daemon.start().wait_until_fresh(*PROFILES)
    assert {name: key_of(aws_home, name) for name in PROFILES} == keys
    assert len(sts.calls) == len(PROFILES)


def test_a_restart_restores_a_profile_that_was_lost_from_the_file(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """From the store, without calling STS."""
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("a", arn("a")))
    daemon.start().wait_until_fresh("a")
    key = key_of(aws_home, "a")
    daemon.stop()
    aws_home.credentials.unlink()
    aws_home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
    daemon.start().wait_until_fresh("a")
    assert key_of(aws_home, "a") == key
    assert len(sts.calls) == 1


def test_a_damaged_store_costs_one_call_and_nothing_else(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """A truncated session file counts as missing."""
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("a", arn("a")), role("b", arn("b")))
    daemon.start().wait_until_fresh("a", "b")
    daemon.kill9()
    stored = aws_home.state / "sessions" / "a.json"
    stored.write_bytes(stored.read_bytes()[:200])
    daemon.start().wait_until_fresh("a", "b")
    assert [call.role_arn for call in sts.calls[2:]] == [arn("a")]


def _starts(home: Home, url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "assumed", "run"],
        env=home.environment(AWS_ENDPOINT_URL_STS=url),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


@pytest.mark.parametrize("many", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_of_many_instances_started_at_once_one_owns_the_file(
    many: int, sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """The others exit with status 4 and name it; when it is killed, the next one can start at once."""
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("a", arn("a")))
    started = [_starts(aws_home, sts.url) for _ in range(many)]
    try:
        eventually(lambda: sum(1 for p in started if p.poll() is not None) >= many - 1, 40)
        running = [p for p in started if p.poll() is None]
        assert len(running) == 1
        winner = running[0].pid
        eventually(lambda: daemon.ask("ping")["pid"] == winner, 5)
        losers = [p for p in started if p.pid != winner]
        assert {p.returncode for p in losers} == {4}
        said = {p.communicate()[1].decode() for p in losers}
        assert all("already keeps" in words for words in said), said
        eventually(lambda: key_of(aws_home, "a"), 5)
    finally:
        for process in started:
            process.kill()
            process.wait()
            assert process.stderr is not None
            process.stderr.close()
    daemon.start().wait_until_fresh("a")
    assert len(sts.calls) == 1


def test_the_lock_names_the_process_that_holds_it(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """`assumed once` beside the daemon is refused like a second daemon, without harm to the first."""
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("a", arn("a")))
    daemon.start().wait_until_fresh("a")
    second = aws_home.assumed("run", AWS_ENDPOINT_URL_STS=sts.url)
    assert second.returncode == 4
    assert f"pid {daemon.pid}" in second.stderr
    assert daemon.ask("ping")["pid"] == daemon.pid


def test_the_lock_file_of_a_dead_daemon_does_not_block_a_start(aws_home: Home, sts: FakeSts, daemon: Daemon) -> None:
    """Nor do its socket and the pid inside, even if another process has that pid now."""
    aws_home.configure(role("a", arn("a")))
    daemon.start()
    daemon.kill9()
    (aws_home.state / "lock").write_text(f"{os.getpid()}\n")
    assert (aws_home.state / "control.sock").exists()
    daemon.start().wait_until_fresh("a")
    assert temporaries(aws_home.path) == []


def test_the_state_directory_may_be_emptied_while_the_daemon_runs(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """Profiles stay fresh after `assumed/` is removed, and SIGTERM still ends the daemon in order."""
    aws_home.configure(role("a", arn("a")))
    daemon.start().wait_until_fresh("a")
    for path in sorted(Path(aws_home.state).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    aws_home.state.rmdir()
    key = key_of(aws_home, "a")
    eventually(lambda: key_of(aws_home, "a") not in ("", key), 8)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait_for_exit() == 0
