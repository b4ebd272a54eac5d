"""The lock, the notice to systemd, the clock: the small edges."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assumed import clock
from assumed.errors import AlreadyRunning, FileRefused
from assumed.paths import socket_path
from assumed.runtime import control, instance, notify
from assumed.runtime.instance import Instance, InstanceLock

CREDENTIALS = Path("/home/alice/.aws/credentials")


def test_there_is_one_holder_and_the_second_is_told_its_number(tmp_path: Path) -> None:
    held = InstanceLock(tmp_path / "lock", CREDENTIALS)

    with pytest.raises(AlreadyRunning, match=rf"pid {os.getpid()}\)"):
        InstanceLock(tmp_path / "lock", CREDENTIALS)
    held.release()

    InstanceLock(tmp_path / "lock", CREDENTIALS).release()


def test_a_holder_that_is_killed_leaves_nothing_behind(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\nfrom assumed.runtime.instance import InstanceLock\n"
        "lock = InstanceLock(pathlib.Path(sys.argv[1]), pathlib.Path('/c'))\n"
        "print('held', flush=True)\nsys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "lock")], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(AlreadyRunning, match=f"pid {holder.pid}"):
            InstanceLock(tmp_path / "lock", CREDENTIALS)
        holder.kill()

    InstanceLock(tmp_path / "lock", CREDENTIALS).release()


def test_a_socket_that_could_not_be_made_again_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state directory was removed while no descriptor was left: clients and sessions come back later."""
    (tmp_path / ".aws").mkdir(mode=0o700)
    held = Instance(tmp_path / ".aws" / "credentials")
    try:
        held.listen(lambda request: {"pid": 1})
        shutil.rmtree(held.directory)
        with monkeypatch.context() as patch:
            patch.setattr(instance, "place_socket", lambda directory: Path("/proc/none/socket"))
            assert held.reclaim()[1] is not None
        assert held.reclaim() == (True, None)
        assert control.ask(socket_path(held.directory), {"command": "ping"}) == {"pid": 1}
        assert held.reclaim() == (False, None)
    finally:
        held.release()


def test_a_child_of_ours_does_not_hold_the_lock_for_us(tmp_path: Path) -> None:
    held = InstanceLock(tmp_path / "lock", CREDENTIALS)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        held.release()
        InstanceLock(tmp_path / "lock", CREDENTIALS).release()
        child.kill()


def test_the_number_of_an_earlier_holder_does_not_shine_through(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("4711471147114711\n")

    InstanceLock(tmp_path / "lock", CREDENTIALS).release()

    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("kind", ["a link", "a directory", "a place that is not there"])
def test_where_there_can_be_no_lock_a_sentence_says_so(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "lock"
    if kind == "a link":
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "a directory":
        path.mkdir()
    else:
        path = tmp_path / "no" / "lock"

    with pytest.raises(FileRefused, match="cannot lock"):
        InstanceLock(path, CREDENTIALS)

    assert not (tmp_path / "elsewhere").exists()


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(60)
        listener.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listener  # type: ignore[misc]


def test_the_lines_of_a_notice_come_in_one_datagram(manager: socket.socket) -> None:
    assert notify.notify("READY=1", "STATUS=two of two roles")

    assert manager.recv(1000) == b"READY=1\nSTATUS=two of two roles"


def test_a_reload_brings_its_time_along(manager: socket.socket) -> None:
    before = time.monotonic_ns() // 1000
    notify.notify(*notify.reloading())

    first, second = manager.recv(1000).decode().split("\n")
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_a_manager_that_takes_nothing_more_costs_a_second_and_not_the_daemon(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd itself may be stopped, or busy: the heartbeat must not hang on it."""
    monkeypatch.setattr(notify, "PATIENCE", 0.05)
    sent = 0
    while notify.notify("WATCHDOG=1") and sent < 5000:
        sent += 1

    assert 0 < sent < 5000
    manager.recv(1000)
    assert notify.notify("WATCHDOG=1"), "it is told again as soon as it listens"


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
def test_an_abstract_socket_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"assumed-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        assert notify.notify("READY=1")
        assert listener.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", [None, "", "/nonexistent/socket"])
def test_without_a_manager_that_listens_nothing_happens(monkeypatch: pytest.MonkeyPatch, address: str | None) -> None:
    if address is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)

    assert not notify.notify("READY=1")


def test_both_hands_of_the_clock_move_and_the_boot_is_named() -> None:
    hands = clock.SystemClock()
    first = hands.now()
    time.sleep(0.02)
    second = hands.now()

    assert second.boot >= first.boot + 0.02
    assert second.wall > first.wall
    assert second.slept == pytest.approx(first.slept, abs=5), "nobody has closed the lid"
    assert second.boot_id == first.boot_id == clock.boot_id() != ""


def test_a_machine_has_one_name() -> None:
    assert clock.machine_id() == clock.machine_id() != ""


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "120000000"}, 120.0),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid())}, 2.0),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_a_watchdog_says_how_often_it_wants_to_be_pinged(
    environ: dict[str, str], seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parent's watchdog, whose variables we inherit, is not ours (sd_watchdog_enabled(3))."""
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert notify.watchdog_seconds() == seconds
