"""Another program overwrites managed profiles: restored with increasing delay, never at the price of a session; 1.5
and 2.5."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from configparser import RawConfigParser
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from outside.machine import arn, key_of
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

WITHIN = 40.0

OTHERS = {
    "awsume": {"autoawsume": "true"},
    "aws-mfa": {"assumed_role_arn": "arn:aws:iam::1:role/x"},
    "a program without a mark": {},
}


def overwritten(home: Home, profile: str, key: str, **more: str) -> None:
    """Another tool rewrites the whole file with its own session in that profile."""
    file = RawConfigParser()
    file.read(home.credentials)
    file[profile] = {"aws_access_key_id": key, "aws_secret_access_key": "other", "aws_session_token": "other", **more}
    new = home.credentials.with_name("other")
    with new.open("w") as stream:
        file.write(stream)
    new.chmod(0o600)
    new.replace(home.credentials)


def repeatedly_overwritten(home: Home, daemon: Daemon, profile: str, times: int, **more: str) -> None:
    """Another tool overwrites the profile this many times, each time after it was restored."""
    for n in range(times):
        overwritten(home, profile, f"ASIAOTHER{n}", **more)
        if n < times - 1:
            eventually(lambda: "OTHER" not in key_of(home, profile), WITHIN)


@pytest.fixture
def running(aws_home: Home, daemon: Daemon) -> Daemon:
    """A daemon with the roles `kept` and `also`."""
    aws_home.configure(role("kept", arn("kept")), role("also", arn("also")))
    daemon.start().wait_until_fresh("kept", "also")
    return daemon


@pytest.mark.parametrize("other", OTHERS)
def test_a_removed_role_loses_its_keys_beside_another_profile_in_conflict(
    other: str, aws_home: Home, running: Daemon
) -> None:
    """A conflict about `kept` is no reason to leave the keys of `also` to readers."""
    for n in range(6):  # as often as it takes
        overwritten(aws_home, "kept", f"ASIAOTHER{n}", **OTHERS[other])
        if n < 5:
            time.sleep(1.5)
    assert key_of(aws_home, "also")
    aws_home.configure(role("kept", arn("kept")))
    eventually(lambda: not key_of(aws_home, "also"), WITHIN, saying="the removed role's keys leave the file")


@pytest.mark.slow
@pytest.mark.parametrize("times", [1])
def test_a_removed_role_loses_its_keys_without_a_conflict(times: int, aws_home: Home, running: Daemon) -> None:
    """Control: overwritten once, and restored."""
    repeatedly_overwritten(aws_home, running, "kept", times)
    aws_home.configure(role("kept", arn("kept")))
    eventually(lambda: not key_of(aws_home, "also"), WITHIN)


@pytest.mark.parametrize("other", OTHERS)
def test_the_other_program_is_named_from_the_second_time_on(other: str, aws_home: Home, running: Daemon) -> None:
    """By its mark, where it leaves one."""
    repeatedly_overwritten(aws_home, running, "kept", 2, **OTHERS[other])
    status = running.wait_until(lambda status: status["roles"][0]["last_error"], WITHIN)
    entry = status["roles"][0]
    assert entry["last_error"]["code"] == "ProfileContested"
    assert OTHERS[other] == {} or entry["overwritten_by"] == other
    eventually(lambda: "OTHER" not in key_of(aws_home, "kept"), WITHIN, saying="it is put back")


@pytest.mark.slow
@pytest.mark.parametrize("deliver", ["keys", "process"])
@pytest.mark.parametrize("times", [3, 5])
def test_a_renewal_restores_the_profile(times: int, deliver: str, aws_home: Home, daemon: Daemon, sts: FakeSts) -> None:
    """Readers get the new session, however often the profile was overwritten."""
    sts.rule(arn("kept"), session_seconds=30)
    aws_home.configure(role("kept", arn("kept"), deliver=deliver), role("also", arn("also")))
    daemon.start().wait_until_fresh("kept", "also")
    for n in range(times):
        overwritten(aws_home, "kept", f"ASIAOTHER{n}")
        time.sleep(1.5)
    issued = len(sts.calls)
    eventually(lambda: len([call for call in sts.calls[issued:] if call.role_arn == arn("kept")]), WITHIN)
    eventually(lambda: "OTHER" not in key_of(aws_home, "kept"), WITHIN, saying="the renewed session is written")


GONE: dict[str, Callable[[Home], None]] = {
    "the section": lambda home: without(home, "kept", whole=True),
    "its keys": lambda home: without(home, "kept", whole=False),
    "the file": lambda home: home.credentials.unlink(),
}


def without(home: Home, profile: str, whole: bool) -> None:
    file = RawConfigParser()
    file.read(home.credentials)
    file.remove_section(profile)
    if not whole:
        file[profile] = {"region": "us-west-2"}
    with home.credentials.open("w") as stream:
        file.write(stream)


@pytest.mark.slow
@pytest.mark.parametrize("what", GONE)
def test_readers_without_a_session_need_not_wait(what: str, aws_home: Home, running: Daemon) -> None:
    """Six times in a row: it is restored at once each time."""
    for _ in range(6):
        GONE[what](aws_home)
        eventually(lambda: key_of(aws_home, "kept"), WITHIN / 4, saying="it is back")
    assert running.role("kept")["state"] == "fresh"


@contextmanager
def edits(home: Home, every: float, edit: Callable[[Path, int], None]) -> Iterator[None]:
    """Another program keeps editing its own section."""
    stop = threading.Event()

    def work() -> None:
        n = 0
        while not stop.wait(every):
            edit(home.credentials, n)
            n += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def by_rename(file: Path, n: int) -> None:
    parser = RawConfigParser()
    parser.read(file)
    parser["mine"] = {"region": f"us-west-{n}"}
    new = file.with_name("edited")
    with new.open("w") as stream:
        parser.write(stream)
    new.chmod(0o600)
    new.replace(file)


def in_place(file: Path, n: int) -> None:
    lines = [line for line in file.read_text().splitlines() if not line.startswith("# edit")]
    file.write_text("\n".join([f"# edit {n}", *lines, ""]))


def appended(file: Path, n: int) -> None:
    with file.open("a") as stream:
        stream.write(f"[mine-{n}]\nregion = us-west-2\n")


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("edit", [by_rename, in_place, appended])
def test_edits_of_another_section_are_no_conflict_and_cost_no_reader_a_session(
    edit: Callable[[Path, int], None], aws_home: Home, daemon: Daemon, sts: FakeSts
) -> None:
    """Sessions of 6 s, an edit every 0.5 s: the last delivered session counts, not the next one."""
    sts.rule("*", session_seconds=6)
    aws_home.configure(*(role(f"r{n}", arn(f"r{n}")) for n in range(6)))
    daemon.start().wait_until_fresh()
    expired: list[str] = []
    with edits(aws_home, 0.5, edit):
        until = time.monotonic() + 25
        while time.monotonic() < until:
            for n in range(6):
                key = sts.key(key_of(aws_home, f"r{n}")) if key_of(aws_home, f"r{n}") else None
                if key is not None and key.expiration is not None and time.time() > key.expiration + 1:
                    expired.append(f"r{n}")
            time.sleep(0.1)
    assert expired == []
    assert daemon.events("profile.contested") == []
    assert all(entry["last_error"] is None for entry in daemon.status()["roles"])


def test_an_expired_session_is_replaced_at_once_whatever_other_expiry_is_in_the_profile(
    aws_home: Home, running: Daemon
) -> None:
    """Two tools left their marks: the earlier expiry counts, or the fifth overwrite would wait for two minutes."""
    ended, later = (
        datetime.fromtimestamp(time.time() + seconds, UTC).isoformat(timespec="seconds") for seconds in (-1, 86_400)
    )
    repeatedly_overwritten(aws_home, running, "kept", 5, aws_expiration=ended, expiration=later)
    eventually(lambda: "OTHER" not in key_of(aws_home, "kept"), 10)
