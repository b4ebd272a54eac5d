"""A path too long for a socket: another account cannot stop the daemon from starting or answering."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from world.control import socket_of
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

pytestmark = pytest.mark.slow
"""Minor faults, tried only in the proof."""

ROLE = "arn:aws:iam::123456789012:role/Job"
THEIRS = 65534

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to another account")


@pytest.fixture
def deep(tmp_path_factory: pytest.TempPathFactory, sts: FakeSts) -> Iterator[Home]:
    """A home whose path is too long for a socket below it."""
    home = Home(tmp_path_factory.mktemp("h") / ("d" * 110))
    home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
    home.configure(role("job", ROLE, deliver="process"))
    private = socket_of(home.state).parent
    yield home
    if private.is_symlink() or private.is_file():
        private.unlink()
    shutil.rmtree(private, ignore_errors=True)


def directory(path: Path) -> None:
    path.mkdir(0o700)


def directory_that_listens(path: Path) -> None:
    path.mkdir(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path / "control.sock"))


def file(path: Path) -> None:
    path.touch()


def link(path: Path) -> None:
    path.symlink_to("/nowhere")


def link_to_a_directory(path: Path) -> None:
    path.symlink_to("/tmp")


def nothing(_: Path) -> None:
    """The name is free."""


@needs_root
@pytest.mark.parametrize("squat", [directory, directory_that_listens, file, link, link_to_a_directory, nothing])
def test_a_socket_directory_taken_by_another_account_is_no_obstacle(
    squat: Callable[[Path], None], deep: Home, sts: FakeSts
) -> None:
    """The daemon starts, renews, and answers every command."""
    private = socket_of(deep.state).parent
    squat(private)
    if os.path.lexists(private):
        os.chown(private, THEIRS, THEIRS, follow_symlinks=False)
    daemon = Daemon(deep, AWS_ENDPOINT_URL_STS=sts.url)
    daemon.start(answering=False)
    try:
        asked: list[int] = []

        def answers() -> bool:
            asked.append(deep.assumed("status").returncode)
            return asked[-1] == 0 or not daemon.is_running()

        eventually(answers, 40)
        assert daemon.is_running()
        assert asked[-1] == 0
        (deep.state / "sessions" / "job.json").unlink()
        line = shlex.split((deep.profile("job") or {})["credential_process"])
        assert subprocess.run(line, env=deep.environment(), capture_output=True, check=False).returncode == 0
        assert {call.outcome for call in sts.calls} == {"ok"}
    finally:
        daemon.stop()
    listened = deep.state / "control.sock"
    assert not (listened.is_symlink() and listened.readlink().parent.exists()), "nothing is left in /tmp"
