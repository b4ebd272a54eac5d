"""`assumed demo` as a newcomer runs it: the real command, its own AWS, and nothing left behind."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from assumed.cli import app
from assumed.cli.demo import session_seconds
from world.waiting import eventually

TOOLS = Path(sys.executable).parent


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A short directory for temporary files: a socket's path holds about 100 bytes."""
    with tempfile.TemporaryDirectory(prefix="d-", dir="/tmp") as name:
        yield Path(name)


def demo(scratch: Path, *arguments: str, stdout: int = subprocess.PIPE, **variables: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "TMPDIR": str(scratch), "PATH": f"{TOOLS}:{os.environ['PATH']}", **variables}
    return subprocess.Popen(
        [sys.executable, "-m", "assumed", "demo", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def is_tidy(scratch: Path) -> bool:
    """No file is left, and no process that works with one."""
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return not list(scratch.iterdir()) and str(scratch) not in running


@pytest.mark.slow
def test_a_second_terminal_can_use_the_roles(scratch: Path) -> None:
    with demo(scratch) as process:
        assert process.stdout
        lines = iter(process.stdout.readline, "")
        block: list[str] = []
        while "--profile my-role" not in "".join(block):
            block.append(next(lines))
        while "my-role: assumed" not in next(lines):
            pass
        pasted = eventually(lambda: listing("".join(block[1:])), within=60)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert "reports/2026/hello.txt" in pasted
    assert is_tidy(scratch)


@pytest.mark.slow
def test_three_roles_are_renewed_while_one_watches(scratch: Path) -> None:
    with demo(scratch, "--seconds", "8") as process:
        rest, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    for profile in ("my-role", "reports", "archive"):
        assert re.search(rf"{profile}: renewed, ASIA\w+ until \d\d:\d\d:\d\d", rest)
        assert re.search(rf"  {profile} +renewals: [1-9]", rest)
    assert re.search(r"(\d+) listings through the kept profiles: \1 succeeded, 0 failed", rest)
    assert "the first session ended long ago; a reader that kept it is refused: ExpiredToken" in rest
    assert is_tidy(scratch)


def listing(command: str) -> str:
    """What the pasted command prints in a shell of its own; nothing while the profile is not there yet."""
    environment = {"PATH": f"{TOOLS}:{os.environ['PATH']}", "HOME": os.environ["HOME"]}
    return subprocess.run(
        ["sh", "-c", command], env=environment, capture_output=True, text=True, timeout=60, check=False
    ).stdout


@pytest.mark.slow
def test_ctrl_c_twice_ends_it_and_tidies_up(scratch: Path) -> None:
    ours, theirs = pty.openpty()
    with demo(scratch, stdout=theirs, TERM="xterm") as process:
        os.close(theirs)
        screen = b""
        with contextlib.suppress(OSError):  # EIO: it ended by itself, and what it said is judged below
            while b"assumed, ASIA" not in screen:
                screen += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    os.close(ours)
    assert "not renewed yet: my-role, reports, archive" in stderr
    assert process.returncode == 1
    assert "Traceback" not in stderr
    assert b"Ctrl-C ends the demo" in screen
    assert is_tidy(scratch)


@pytest.mark.slow
def test_without_the_aws_command_the_same_is_shown_with_python(scratch: Path) -> None:
    bare = scratch / "bare"
    bare.mkdir()
    python = bare / "python"
    python.symlink_to(sys.executable)
    site = next(path for path in sys.path if path.endswith("site-packages"))
    environment = {**os.environ, "TMPDIR": str(scratch), "PATH": str(bare), "PYTHONPATH": f"{site}:{SOURCE}"}
    with subprocess.Popen(
        [str(python), "-m", "assumed", "demo", "--seconds", "4"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        stdout, stderr = process.communicate(timeout=200)
    assert "there is no `aws` here" in stdout, stderr
    assert "-c 'import boto3; " in stdout
    shutil.rmtree(bare)
    assert is_tidy(scratch)


SOURCE = Path(app.__file__).parents[2]


def test_a_port_that_is_taken_is_said_with_what_to_do(scratch: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with demo(scratch, "--port", port) as process:
            stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (2, "")
    assert f"port {port} cannot be used" in stderr
    assert "leave --port out" in stderr
    assert is_tidy(scratch)


def test_without_moto_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert app.main(["demo"]) == 1
    assert "assumed: this needs moto's server: pip install 'assumed[demo]'" in capsys.readouterr().err


@pytest.mark.parametrize(("seconds", "life"), [(None, 20), (20, 10), (60, 20), (8, 4), (1, 4)])
def test_sessions_are_short_enough_to_be_renewed_within_the_demo(seconds: int | None, life: int) -> None:
    assert session_seconds(seconds) == life
