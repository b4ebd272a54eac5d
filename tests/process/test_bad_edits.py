"""Wrong edits and removals: nothing is lost before the change is certain."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from process.kit import arn, atomic, key_of, text
from world.daemon import DEFAULTS, Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

SOON = 3.5
"""Seconds until a good edit takes effect on a busy machine."""


def cut_off(path: Path) -> None:
    path.write_text(path.read_text()[:-30])


def emptied(path: Path) -> None:
    path.write_text("")


def without_roles(path: Path) -> None:
    path.write_text(DEFAULTS)


def unknown_key(path: Path) -> None:
    path.write_text(path.read_text() + "\nexternalid = 'typo'\n")


def deleted(path: Path) -> None:
    path.unlink()


def made_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def made_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def binary(path: Path) -> None:
    path.write_bytes(b"\x00\xff\xfe" * 1000)


def a_dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere.toml")


def huge(path: Path) -> None:
    with path.open("w") as file:
        file.truncate(100 << 20)


BAD = [
    (cut_off, "config.toml"),
    (emptied, "roles"),
    (without_roles, "there are no roles"),
    (unknown_key, "external_id"),
    (deleted, "config.toml"),
    (made_a_directory, "directory"),
    (made_a_pipe, "config.toml"),
    (binary, "config.toml"),
    (a_dangling_link, "config.toml"),
    (huge, "config.toml"),
]


@pytest.mark.parametrize("edits", [BAD[::2], BAD[1::2]], ids=["some", "others"])
def test_a_bad_edit_changes_nothing_but_the_status(
    edits: list[tuple[Callable[[Path], None], str]], aws_home: Home, running: Daemon
) -> None:
    """The last good configuration stays in effect, status shows the error, and fixing the file clears it."""
    profiles = ["kept", "also"]
    for spoil, said in edits:
        keys = {name: key_of(aws_home, name) for name in profiles}
        spoil(aws_home.config)
        status = running.wait_until(lambda status: status["daemon"]["config_error"], within=5)
        assert said in status["daemon"]["config_error"], spoil
        assert {entry["state"] for entry in status["roles"]} == {"fresh"}, spoil
        assert {name: key_of(aws_home, name) for name in profiles} == keys, spoil
        if aws_home.config.is_dir():
            aws_home.config.rmdir()
        profiles.append(f"after-{spoil.__name__}")
        atomic(aws_home.config, text(*profiles))
        running.wait_until(lambda status: not status["daemon"]["config_error"], within=5)
        running.wait_until_fresh(*profiles, within=SOON)
        assert {name: key_of(aws_home, name) for name in keys} == keys, spoil


def test_the_last_good_configuration_survives_a_bad_edit_and_a_crash(
    aws_home: Home, running: Daemon, sts: FakeSts
) -> None:
    """After kill -9, with the same sessions."""
    cut_off(aws_home.config)
    running.wait_until(lambda status: status["daemon"]["config_error"], within=5)
    running.kill9()
    status = running.start().wait_until_fresh("kept", "also")
    assert status["daemon"]["config_error"]
    assert len(sts.calls) == 2


def test_the_keys_of_a_removed_role_are_removed_once_the_removal_is_confirmed(aws_home: Home, running: Daemon) -> None:
    """After about 5 s, because half-written TOML is often valid. The other role and the user's own profile stay."""
    atomic(aws_home.config, text("kept"))
    began = time.monotonic()
    running.wait_until(lambda status: len(status["roles"]) == 1, within=12)
    eventually(lambda: aws_home.profile("also") is None, 3)
    assert time.monotonic() - began > 4
    assert key_of(aws_home, "kept")
    assert aws_home.profile("default")
    assert [path.name for path in (aws_home.state / "sessions").iterdir()] == ["kept.json"]


def test_a_removal_undone_within_seconds_has_no_effect(aws_home: Home, running: Daemon, sts: FakeSts) -> None:
    """An editor that saves in two steps, or a git checkout there and back."""
    key = key_of(aws_home, "also")
    atomic(aws_home.config, text("kept"))
    running.wait_until(lambda _: bool(running.events("config.loaded")))
    atomic(aws_home.config, text("kept", "also"))
    atomic(aws_home.config, text("kept", "also", "new"))
    eventually(lambda: key_of(aws_home, "new"), 5)
    time.sleep(5.5)  # as long as the removal would have taken
    assert key_of(aws_home, "also") == key
    assert len(sts.calls) == 3


def test_disabling_a_role_removes_its_keys_at_once(aws_home: Home, running: Daemon) -> None:
    """`enabled = false` cannot be half a file, so it needs no confirmation."""
    aws_home.configure(role("kept", arn("kept")), role("also", arn("also"), enabled=False))
    eventually(lambda: aws_home.profile("also") is None, 9)
    assert running.role("also")["enabled"] is False
    assert running.role("kept")["state"] == "fresh"
