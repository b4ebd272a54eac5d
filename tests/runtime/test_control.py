"""The control socket: for this user alone, one line each way, and nobody can hold it up."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from assumed.errors import FileRefused, NotAnswering, NotRunning
from assumed.paths import socket_path
from assumed.runtime import control
from assumed.runtime.control import Answer, ControlServer, Request, ask
from world.waiting import eventually, in_time

Start = Callable[..., Path]


def echo(request: Request) -> Answer:
    return {"heard": request}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers in a private directory, and stops them in the end."""
    servers: list[ControlServer] = []

    def begin(answer: Callable[[Request], Answer] = echo, path: Path | None = None) -> Path:
        path = path or tmp_path / "state" / "control.sock"
        server = ControlServer(path, answer)
        servers.append(server)
        server.start()
        return path

    yield begin
    for server in servers:
        server.stop()
    eventually(lambda: not [t for t in threading.enumerate() if t.name.startswith("control")], 5)


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory whose path leaves room for a socket's."""
    with tempfile.TemporaryDirectory(prefix="assumed-test-") as directory:
        yield Path(directory)


def raw(path: Path, *parts: bytes) -> bytes:
    """Say these bytes, then listen until the end."""
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(60)
        channel.connect(str(path))
        for part in parts:
            channel.sendall(part)
        channel.shutdown(socket.SHUT_WR)
        received = b""
        while part := channel.recv(65536):
            received += part
        return received


def test_a_request_is_answered(start: Start) -> None:
    assert ask(start(), {"command": "ping", "n": [1, "ä"]}) == {"heard": {"command": "ping", "n": [1, "ä"]}}


def test_socket_and_directory_are_the_owners_alone_whatever_the_umask(start: Start) -> None:
    mask = os.umask(0)
    try:
        path = start()
    finally:
        after = os.umask(mask)

    assert stat.S_IMODE(path.lstat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert after == 0


def test_a_client_for_whom_there_is_no_thread_is_the_only_one_that_gets_no_answer(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = start()
    real = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "control client":
            raise RuntimeError("can't start new thread")
        real(thread)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for _ in range(control.CLIENTS + 1):
            assert raw(path) == b""

    assert ask(path, {"next": 1}) == {"heard": {"next": 1}}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_another_user_gets_no_word(start: Start, short: Path) -> None:
    """Even where the modes are wide open."""
    path = start(path=short / "state" / "control.sock")
    for directory in (short, path.parent):
        directory.chmod(0o755)
    path.chmod(0o666)
    program = (
        "import os, socket, sys\nos.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "c = socket.socket(socket.AF_UNIX); c.connect(sys.argv[1])\n"
        "try: c.sendall(b'{\"command\": \"status\"}\\n'); print(c.recv(100))\nexcept OSError: print(b'')\n"
    )

    said = subprocess.run(
        [sys.executable, "-I", "-c", program, str(path)], capture_output=True, text=True, check=True, timeout=60
    )

    assert said.stdout == "b''\n"
    assert ask(path, {"still": "there"})


GARBAGE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "one line of JSON"),
    "an empty line": (b"\n", "one line of JSON"),
    "no JSON": (b"status\n", "one line of JSON"),
    "no text": (b"\xff\xfe\x00\n", "one line of JSON"),
    "half": (b'{"command": \n', "one line of JSON"),
    "two lines": (b'{"command": "a"}\n{"command": "b"}\n', "one line of JSON"),
    "a list": (b'["status"]\n', "JSON object"),
    "a number": (b"1\n", "JSON object"),
    "brackets without end": (b"[" * 60_000 + b"\n", "one line of JSON"),
    "far too much": (b'"' + b"x" * control.MAX_REQUEST + b'"\n', "one line of JSON"),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_is_answered_with_a_sentence_and_the_next_client_as_ever(start: Start, what: str) -> None:
    said, sentence = GARBAGE[what]
    path = start()

    assert sentence in json.loads(raw(path, said))["error"]
    assert ask(path, {"next": 1}) == {"heard": {"next": 1}}


def test_who_says_too_much_is_not_listened_to_for_ever(start: Start) -> None:
    path = start()
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(60)
        channel.connect(str(path))
        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            channel.sendall(b"x" * control.MAX_REQUEST * 100)
    assert ask(path, {"next": 1})


@pytest.mark.parametrize("end", ["after the request", "before it"])
def test_a_client_that_goes_away_is_nobodys_fault(start: Start, end: str) -> None:
    path = start()
    for _ in range(5):
        with socket.socket(socket.AF_UNIX) as channel:
            channel.connect(str(path))
            if end == "after the request":
                channel.sendall(b'{"command": "status"}\n')
    assert ask(path, {"next": 1})


@pytest.mark.parametrize("clients", [1, 10])
def test_clients_that_say_nothing_hold_up_nobody(start: Start, monkeypatch: pytest.MonkeyPatch, clients: int) -> None:
    monkeypatch.setattr(control, "PATIENCE", 600)
    path = start()
    silent = [socket.socket(socket.AF_UNIX) for _ in range(clients)]
    for channel in silent:
        channel.connect(str(path))

    assert ask(path, {"next": 1}, timeout=60)

    for channel in silent:
        channel.close()


def test_a_client_that_says_a_letter_at_a_time_is_sent_away(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each letter in time, all of them never: that must not hold a place for long."""
    monkeypatch.setattr(control, "PATIENCE", 0.3)
    path = start()
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(str(path))

        def is_refused() -> bool:
            try:
                channel.sendall(b"x")
            except OSError:
                return True
            return False

        eventually(is_refused, 5, every=0.05)


def test_more_silent_clients_than_places_cost_their_patience_and_no_more(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "PATIENCE", 0.3)
    path = start()
    with contextlib.ExitStack() as silent:
        for _ in range(control.CLIENTS):
            silent.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))

        assert ask(path, {"next": 1}, timeout=60)


def test_many_clients_at_once_each_get_their_own_answer(start: Start) -> None:
    path = start(lambda request: {"n": request["n"], "long": "x" * 200_000})

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda n: ask(path, {"n": n}, timeout=60)["n"], range(100)))

    assert answers == list(range(100))


def test_nobody_there_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="start it with: assumed run"):
        ask(tmp_path / "control.sock", {"command": "ping"})


def test_a_daemon_that_does_not_answer_in_time_is_not_one_that_is_not_running(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        with pytest.raises(NotAnswering):
            ask(path, {"command": "ping"}, timeout=0.3)
    with pytest.raises(NotRunning):
        ask(path, {"command": "ping"}, timeout=0.3)


def test_a_full_queue_of_connections_belongs_to_a_daemon_that_runs(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with contextlib.ExitStack() as stack:
        busy = stack.enter_context(socket.socket(socket.AF_UNIX))
        busy.bind(str(path))
        busy.listen(0)
        waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
        waiting.connect(str(path))
        with pytest.raises(NotAnswering):
            ask(path, {"command": "ping"}, timeout=0.3)


@pytest.mark.parametrize("said", [b"no JSON\n", b"[1]\n", b"", b"[" * 100_000 + b"\n"])
def test_what_is_no_answer_of_ours_is_none(tmp_path: Path, said: bytes) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()

        def answer() -> None:
            channel, _ = other.accept()
            with channel:
                channel.recv(100)
                channel.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(NotAnswering):
            ask(path, {"command": "ping"})
        thread.join()


def test_the_socket_of_a_killed_daemon_is_replaced(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "state" / "control.sock"
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(NotRunning):
        ask(path, {"command": "ping"})

    start()

    assert ask(path, {"next": 1})


def test_a_link_in_its_place_is_replaced_and_what_it_led_to_stays(start: Start, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    path = tmp_path / "state" / "control.sock"
    path.parent.mkdir(mode=0o700)
    path.symlink_to(precious)

    start()

    assert ask(path, {"next": 1})
    assert not path.is_symlink()
    assert precious.read_text() == "mine"


def test_a_directory_in_its_place_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "control.sock").mkdir()

    with pytest.raises(FileRefused, match="cannot listen on"):
        ControlServer(tmp_path / "control.sock", echo)


def test_the_end_removes_the_socket_but_not_another_ones(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    first = ControlServer(path, echo)
    first.start()
    path.unlink()
    start(path=path)

    first.stop()

    assert ask(path, {"next": 1})


@pytest.mark.proof
def test_a_socket_that_somebody_has_removed_does_not_hold_up_the_end(tmp_path: Path) -> None:
    server = ControlServer(tmp_path / "control.sock", echo)
    server.start()
    (tmp_path / "control.sock").unlink()
    began = time.monotonic()

    server.stop()

    assert in_time(began, 1)
    eventually(lambda: not [t for t in threading.enumerate() if t.name == "control"], 2)


def test_a_server_that_was_never_started_can_be_stopped(tmp_path: Path) -> None:
    ControlServer(tmp_path / "control.sock", echo).stop()

    assert not (tmp_path / "control.sock").exists()


def test_a_path_too_long_for_a_socket_leads_to_a_private_place_the_same_for_all(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    deep = tmp_path / ("d" * 120) / "assumed"

    path = socket_path(deep)

    assert path.is_relative_to("/tmp")
    assert path == socket_path(deep)
    assert path != socket_path(deep.parent)
    start(path=path)
    assert ask(path, {"next": 1})
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make another's directory")
def test_a_directory_of_another_user_is_neither_served_from_nor_asked(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)

    with pytest.raises(FileRefused, match="belongs to another user"):
        ControlServer(theirs / "control.sock", echo)
    with pytest.raises(NotRunning):
        ask(theirs / "control.sock", {"command": "ping"})
