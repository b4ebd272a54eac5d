"""The configuration is edited while the daemon runs, in every way that editors and tools save files."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from process.kit import arn, atomic, key_of, text
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.scores import Record
from world.waiting import eventually, in_time

SOON = 3.5
"""Seconds until a good edit takes effect on a busy machine; `make proof` measures the promised 1.5."""


def rename_away(path: Path, new: str) -> None:
    """vim with backupcopy=no, emacs: the old file becomes config.toml~, a new one is written."""
    path.rename(path.with_name(path.name + "~"))
    path.write_text(new)
    path.with_name(path.name + "~").unlink()


def in_two_parts(path: Path, new: str) -> None:
    """nano, VS Code: truncate and write; for a moment the file is half and valid TOML."""
    with path.open("w") as file:
        head, middle, tail = new.partition("\n\n[[roles]]")
        file.write(head)
        file.flush()
        time.sleep(0.05)  # the gap is under test
        file.write(middle + tail)


def from_elsewhere(path: Path, new: str) -> None:
    """mv from another directory."""
    temp = path.parent.parent / "elsewhere.toml"
    temp.write_text(new)
    temp.replace(path)


def copied_over(path: Path, new: str) -> None:
    """cp new config.toml."""
    temp = path.parent.parent / "elsewhere.toml"
    temp.write_text(new)
    shutil.copyfile(temp, path)
    temp.unlink()


def appended(path: Path, new: str) -> None:
    """cat >> config.toml."""
    with path.open("a") as file:
        file.write("\n" + new[new.index('[[roles]]\nprofile = "new"') :])


def sed(path: Path, new: str) -> None:
    """sed -i: a temporary file, renamed."""
    entry = role("new", arn("new")).replace("\n", "\\n")
    subprocess.run(["sed", "-i", f"$ a {entry}", str(path)], check=True)
    assert tomllib.loads(path.read_text()) == tomllib.loads(new)


def removed_and_written(path: Path, new: str) -> None:
    """rm, and a new file after a moment."""
    path.unlink()
    time.sleep(0.1)  # the gap is under test
    path.write_text(new)


def link_swapped(path: Path, new: str) -> None:
    """ln -sfn: the file becomes a link to another one."""
    target = path.parent.parent / "elsewhere.toml"
    target.write_text(new)
    link = path.with_name("link.tmp")
    link.symlink_to(target)
    link.replace(path)


def real_vim(path: Path, new: str) -> None:
    """vim itself, driven by ex commands."""
    if shutil.which("vim") is None:
        pytest.skip("vim is not installed")
    addition = path.parent.parent / "addition"
    addition.write_text(role("new", arn("new")))
    keys = ["--cmd", "set backupskip=", "-c", f"$r {addition}", "-c", "wq"]
    subprocess.run(
        ["vim", "-es", "-N", "-u", "NONE", *keys, str(path)], check=True, stdin=subprocess.DEVNULL, timeout=60
    )
    assert tomllib.loads(path.read_text()) == tomllib.loads(new)


STYLES = [
    rename_away,
    in_two_parts,
    atomic,
    from_elsewhere,
    copied_over,
    appended,
    sed,
    removed_and_written,
    link_swapped,
    real_vim,
]


EVERY_DAY = [atomic, in_two_parts, removed_and_written, link_swapped]
"""One for each way in which the kernel reports an edit; `make proof` runs all styles below."""


@pytest.mark.proof
@pytest.mark.parametrize("edit", EVERY_DAY, ids=lambda edit: edit.__name__)
def test_an_edit_takes_effect_however_it_is_saved(
    edit: Callable[[Path, str], None], aws_home: Home, running: Daemon, sts: FakeSts
) -> None:
    """The new profile appears, and no other role is renewed."""
    edit(aws_home.config, text("kept", "also", "new"))
    began = time.monotonic()
    eventually(lambda: key_of(aws_home, "new"), SOON)
    assert in_time(began, SOON)
    running.wait_until_fresh("kept", "also", "new")
    assert len(sts.calls) == 3, "unchanged roles cost no call"
    assert running.status()["daemon"]["config_error"] is None


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("edit", STYLES, ids=lambda edit: edit.__name__)
def test_twenty_edits_of_each_style_all_take_effect_in_time(
    edit: Callable[[Path, str], None], sts: FakeSts, tmp_path_factory: pytest.TempPathFactory, record: Record
) -> None:
    """From the end of the save to the new profile in the credentials file, each style in its own home."""
    sts.rule("*", session_seconds=900)
    for _ in range(20):
        home = Home(tmp_path_factory.mktemp("h"))
        home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
        home.configure(role("kept", arn("kept")), role("also", arn("also")))
        with Daemon(home, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
            daemon.wait_until_fresh("kept", "also")
            edit(home.config, text("kept", "also", "new"))
            began = time.monotonic()
            eventually(lambda home=home: key_of(home, "new"), 20, every=0.005)  # type: ignore[misc]
            record("reload.seconds", time.monotonic() - began)


@pytest.mark.proof
def test_several_edits_in_a_row_all_take_effect(aws_home: Home, running: Daemon, sts: FakeSts, record: Record) -> None:
    """Five saves while one daemon runs."""
    names = ["kept", "also"]
    for n in range(5):
        names.append(f"new-{n}")
        atomic(aws_home.config, text(*names))
        began = time.monotonic()
        eventually(lambda n=n: key_of(aws_home, f"new-{n}"), 5)  # type: ignore[misc]
        record("reload.seconds", time.monotonic() - began)
    assert len(sts.calls) == 7


def test_a_kubernetes_swap_takes_effect(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """config.toml → ..data/config.toml, and a rename swaps ..data: twice, each time to a new directory."""
    sts.rule("*", session_seconds=900)
    directory = aws_home.config.parent
    directory.mkdir(parents=True)

    def version(number: int, *profiles: str) -> None:
        data = directory / f"..2026_{number}"
        data.mkdir()
        (data / "config.toml").write_text(text(*profiles))
        link = directory / "..data_tmp"
        link.symlink_to(data.name)
        link.replace(directory / "..data")

    version(1, "kept")
    aws_home.config.symlink_to("..data/config.toml")
    daemon.start().wait_until_fresh("kept")
    for number, profiles in ((2, ("kept", "new-2")), (3, ("kept", "new-2", "new-3"))):
        version(number, *profiles)
        eventually(lambda last=profiles[-1]: key_of(aws_home, last), SOON)  # type: ignore[misc]
    assert len(sts.calls) == 3


def test_edits_of_a_links_target_are_seen_after_the_link_changed_too(aws_home: Home, running: Daemon) -> None:
    """A dotfiles repository: inotify reports nothing in the link's own directory when the target is edited."""
    link_swapped(aws_home.config, text("kept", "also", "new-1"))
    eventually(lambda: key_of(aws_home, "new-1"), SOON)
    target = aws_home.config.resolve()
    assert target.parent != aws_home.config.parent
    target.write_text(text("kept", "also", "new-1", "new-2"))
    eventually(lambda: key_of(aws_home, "new-2"), SOON)
    assert running.status()["daemon"]["config_error"] is None


@pytest.mark.proof
def test_sighup_finds_the_configuration_in_a_recreated_directory(aws_home: Home, running: Daemon) -> None:
    """An inotify watch dies with its directory; SIGHUP and the heartbeat still check."""
    shutil.rmtree(aws_home.config.parent)
    aws_home.config.parent.mkdir()
    aws_home.config.write_text(text("kept", "also", "new"))
    running.signal(signal.SIGHUP)
    began = time.monotonic()
    eventually(lambda: key_of(aws_home, "new"), SOON)
    assert in_time(began, SOON), "and not by the heartbeat"
    aws_home.config.write_text(text("kept", "also", "new", "newer"))
    eventually(lambda: key_of(aws_home, "newer"), SOON, saying="the new directory is watched")
