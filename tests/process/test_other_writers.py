"""Other programs write the credentials file too: concurrently, over it, or so that it cannot be written."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from configparser import RawConfigParser
from pathlib import Path

import pytest

from process.kit import arn, in_words, key_of, rounds, temporaries
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

AWS = str(Path(sys.executable).parent / "aws")


@pytest.fixture
def running(sts: FakeSts, aws_home: Home, daemon: Daemon) -> Daemon:
    """A daemon with the roles `kept` and `also` during the test."""
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("kept", arn("kept")), role("also", arn("also")))
    return daemon.start().wait_until_fresh("kept", "also") and daemon


def without(home: Home, profile: str) -> None:
    """A tool that parses and rewrites the whole file drops a section."""
    file = RawConfigParser()
    file.read(home.credentials)
    file.remove_section(profile)
    with home.credentials.open("w") as stream:
        file.write(stream)


def overwritten(home: Home, profile: str, key: str, **more: str) -> None:
    """A tool writes its own session into the same profile."""
    file = RawConfigParser()
    file.read(home.credentials)
    file[profile] = {"aws_access_key_id": key, "aws_secret_access_key": "rivals", "aws_session_token": "rivals", **more}
    with home.credentials.open("w") as stream:
        file.write(stream)


@pytest.mark.slow
def test_aws_configure_loses_nothing_during_renewals(aws_home: Home, running: Daemon, sts: FakeSts) -> None:
    """The AWS CLI rewrites the file in place while sessions are renewed: both writers' changes are there afterwards."""
    for n in range(4):
        running.ask("refresh", profiles=["kept", "also"])
        command = [AWS, "configure", "set", "aws_access_key_id", f"AKIA{n}", "--profile", f"mine-{n}"]
        subprocess.run(command, env=aws_home.environment(), check=True, timeout=120)
    for n in range(4):
        assert (aws_home.profile(f"mine-{n}") or {})["aws_access_key_id"] == f"AKIA{n}"
    running.wait_until_fresh("kept", "also")
    eventually(lambda: key_of(aws_home, "kept") and key_of(aws_home, "also"), 3)
    assert aws_home.profile("default")


def test_a_deleted_managed_section_is_restored_within_seconds(aws_home: Home, running: Daemon, sts: FakeSts) -> None:
    """The session is still valid, so STS is not called."""
    key = key_of(aws_home, "kept")
    without(aws_home, "kept")
    eventually(lambda: key_of(aws_home, "kept") == key, 4)
    assert running.events("profile.overwritten")
    assert len(sts.calls) == 2


def test_a_deleted_credentials_file_is_restored_within_seconds(aws_home: Home, running: Daemon, sts: FakeSts) -> None:
    """Without the user's own profile; managed profiles continue with the source as it was last read."""
    key = key_of(aws_home, "kept")
    aws_home.credentials.unlink()
    eventually(lambda: aws_home.credentials.exists() and key_of(aws_home, "kept") == key, 6)
    running.wait_until_fresh("kept", "also")
    assert aws_home.credentials.stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_a_program_that_keeps_overwriting_a_profile_is_named_and_restoring_backs_off(
    aws_home: Home, running: Daemon, sts: FakeSts
) -> None:
    """Named from the second time on; the other profile is unaffected; `refresh` restores it at once."""
    for n in range(2):
        key = f"ASIARIVAL{n}"
        overwritten(aws_home, "kept", key, autoawsume="true")
        eventually(lambda key=key: key_of(aws_home, "kept") != key, 30)  # type: ignore[misc]
    overwritten(aws_home, "kept", "ASIARIVAL2", autoawsume="true")
    running.wait_until(lambda status: status["roles"][0]["state"] == "failing", within=10)
    entry = running.role("kept")
    assert entry["overwritten_by"] == "awsume"
    assert "awsume" in in_words(entry)
    assert "assumed refresh" in in_words(entry)
    running.ask("refresh", profiles=["also"])
    eventually(lambda: rounds(running, "also") >= 2, 5)
    running.wait_until_fresh("also")
    assert {event["profile"] for event in running.events("profile.overwritten")} == {"kept"}
    assert key_of(aws_home, "kept") == "ASIARIVAL2", "it is not put back yet"
    assert aws_home.assumed("refresh", "kept", AWS_ENDPOINT_URL_STS=sts.url).returncode == 0
    eventually(lambda: sts.key(key_of(aws_home, "kept")) if "RIVAL" not in key_of(aws_home, "kept") else None, 5)
    running.wait_until_fresh("kept")


def test_a_section_with_long_term_keys_is_never_taken(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """A configured name with long-term keys is reported and left alone; the others are managed."""
    aws_home.add_source("AKIAMINE", "fake-mine", profile="mine")
    before = aws_home.profile("mine")
    aws_home.configure(role("mine", arn("mine")), role("kept", arn("kept")))
    daemon.start().wait_until_fresh("kept")
    daemon.wait_until(lambda status: status["roles"][0]["state"] == "failing", within=5)
    assert aws_home.profile("mine") == before
    entry = daemon.role("mine")
    assert entry["delivered"] is False
    assert entry["last_error"]["code"] == "ProfileRefused"


def broken(file: Path) -> Callable[[], None]:
    """A failed merge that no parser can read. Returns what repairs it."""
    text = file.read_bytes()
    file.write_bytes(b"<<<<<<< HEAD\n" + text)
    return lambda: file.write_bytes(text) and None


def a_directory(file: Path) -> Callable[[], None]:
    """`docker run -v` of a missing file creates a directory of that name."""
    text = file.read_bytes()
    file.unlink()
    file.mkdir()

    def mend() -> None:
        file.rmdir()
        file.write_bytes(text)

    return mend


def a_pipe(file: Path) -> Callable[[], None]:
    """Process substitution, or a secret manager's mount."""
    import os

    text = file.read_bytes()
    file.unlink()
    os.mkfifo(file)

    def mend() -> None:
        file.unlink()
        file.write_bytes(text)

    return mend


def a_circle(file: Path) -> Callable[[], None]:
    """A symbolic link to itself."""
    text = file.read_bytes()
    file.unlink()
    file.symlink_to(file.name)

    def mend() -> None:
        file.unlink()
        file.write_bytes(text)

    return mend


@pytest.mark.parametrize(
    "spoil",
    [broken, a_directory, *(pytest.param(spoil, marks=pytest.mark.slow) for spoil in (a_pipe, a_circle))],
    ids=lambda spoil: spoil.__name__,
)
def test_a_file_that_cannot_be_rewritten_stops_only_the_writing(
    spoil: Callable[[Path], Callable[[], None]], sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """It is reported in status and log and left alone, renewals continue, and it is written once repaired."""
    aws_home.configure(role("kept", arn("kept")))
    daemon.start().wait_until_fresh("kept")
    mend = spoil(aws_home.credentials)
    daemon.wait_until(lambda status: status["credentials_file"]["error"], within=8)
    done = rounds(daemon, "kept")
    eventually(lambda: rounds(daemon, "kept") > done, 6, saying="renewals go on")
    eventually(lambda: daemon.events("file.refused"), 6)
    assert daemon.events("file.refused")[0]["path"] == str(aws_home.credentials)
    assert daemon.role("kept")["state"] != "fresh", "what cannot be delivered is not fresh"
    mend()
    daemon.wait_until_fresh("kept", within=9)
    daemon.wait_until(lambda status: status["credentials_file"]["error"] is None, within=8)
    assert aws_home.profile("default")
    assert temporaries(aws_home.path) == []


def test_a_read_only_directory_is_reported_and_survived(sts: FakeSts, aws_home: Home) -> None:
    """Readers keep the old session, and status says why."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("setpriv is not installed: without it root may write everywhere")
    sts.rule("*", session_seconds=3)
    aws_home.configure(role("kept", arn("kept")))
    directory = aws_home.credentials.parent
    with Daemon(aws_home, under=[setpriv, "--bounding-set", "-all"], AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        daemon.wait_until_fresh("kept")
        directory.chmod(0o500)
        try:
            status = daemon.wait_until(lambda status: status["credentials_file"]["error"], within=8)
            assert "permission" in status["credentials_file"]["error"]
            assert key_of(aws_home, "kept")
        finally:
            directory.chmod(0o700)
        daemon.wait_until_fresh("kept", within=9)


def test_a_store_that_cannot_be_written_affects_only_restarts(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """The profile stays fresh although sessions cannot be stored."""
    aws_home.configure(role("kept", arn("kept")))
    daemon.start().wait_until_fresh("kept")
    sessions = aws_home.state / "sessions"
    shutil.rmtree(sessions)
    sessions.write_text("a file in the place of the directory")
    key = key_of(aws_home, "kept")
    eventually(lambda: key_of(aws_home, "kept") not in ("", key), 6)
    assert daemon.events("session.not_stored")
    sessions.unlink()
    daemon.wait_until_fresh("kept", within=8)
