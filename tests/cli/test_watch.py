"""`assumed status --watch` on a terminal: it comes and goes without a trace."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from world.daemon import Home, role
from world.waiting import patient

ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
"""The alternate screen and back (xterm's control sequences)."""
CURSOR, NO_CURSOR = "\x1b[?25h", "\x1b[?25l"
IN_A_SESSION = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.executable, [sys.executable, '-m', 'assumed', *sys.argv[1:]])"
)
"""The command with the terminal as its own, so that keys become signals."""


@pytest.fixture
def user(tmp_path: Path) -> Home:
    """A home whose daemon does not run."""
    home = Home(tmp_path)
    home.configure(role("my-role", "arn:aws:iam::123456789012:role/R"))
    return home


class Watching:
    """The command on a terminal of its own."""

    def __init__(self, home: Home, columns: int = 80, lines: int = 24, begin_with: str = "", **more: str) -> None:
        """`begin_with`: a shell instead."""
        self._leader, self._follower = pty.openpty()
        self.resize(columns, lines)
        self.modes = termios.tcgetattr(self._follower)
        self.output = ""
        self._process = subprocess.Popen(
            [sys.executable, "-c", IN_A_SESSION, "status", "--watch"]
            if not begin_with
            else [begin_with, "--norc", "-i"],
            env=home.environment(**{"TERM": "xterm", "LANG": "C.UTF-8", **more}),
            stdin=self._follower,
            stdout=self._follower,
            stderr=self._follower,
            start_new_session=True,
        )

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._leader, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self._leader, keys)

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def until(self, holds: Callable[[str], object], within: float = 30.0) -> str:
        """Read until what has been read since the last call holds; returns it."""
        seen, deadline = "", time.monotonic() + patient(within)
        while not holds(seen):
            assert time.monotonic() < deadline, f"not seen in {seen!r}"
            if select.select([self._leader], [], [], 0.1)[0]:
                seen += os.read(self._leader, 65536).decode()
        self.output += seen
        return seen

    def is_echoing(self) -> bool:
        return termios.tcgetattr(self._follower) == self.modes

    def end(self) -> int:
        status = self._process.wait(patient(20))
        while select.select([self._leader], [], [], 0.1)[0]:
            self.output += os.read(self._leader, 65536).decode()
        return status

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(patient(20))
        os.close(self._leader)
        os.close(self._follower)


@pytest.fixture
def watching(user: Home) -> Iterator[Watching]:
    terminal = Watching(user)
    try:
        yield terminal
    finally:
        terminal.close()


def frames(text: str) -> list[list[str]]:
    """What was drawn, as lines without paint."""
    plain = [re.sub(r"\x1b\[[0-9;]*[mKJ]", "", frame) for frame in text.split("\x1b[H")[1:]]
    return [frame.split("\r\n") for frame in plain]


def whole_frame(text: str) -> bool:
    return text.count("\x1b[H") > 1


@pytest.mark.parametrize(
    ("ending", "status"),
    [("q", 0), ("\x03", 130), ("\x1c", 131), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=["q", "ctrl-c", "ctrl-backslash", "SIGTERM", "SIGHUP"],
)
def test_whatever_ends_it_leaves_the_terminal_as_it_was(watching: Watching, ending: str | int, status: int) -> None:
    watching.until(lambda text: "my-role" in text)
    assert not watching.is_echoing()
    if isinstance(ending, str):
        watching.type(ending.encode())
    else:
        watching.signal(ending)
    assert watching.end() == status
    assert watching.output.count(ENTER) == watching.output.count(LEAVE) == 1
    assert watching.output.partition(LEAVE)[2].replace(CURSOR, "").strip() == ""
    assert watching.output.rfind(CURSOR) > watching.output.rfind(NO_CURSOR)
    assert watching.is_echoing()
    assert "Traceback" not in watching.output


def test_it_fills_the_terminal_also_after_a_resize_and_gives_it_back_for_ctrl_z(watching: Watching) -> None:
    first = watching.until(lambda text: "my-role" in text)
    assert max(map(len, frames(first)[0])) <= 80
    watching.resize(40, 10)
    watching.signal(signal.SIGWINCH)
    watching.until(lambda text: whole_frame(text) and max(map(len, frames(text)[-2])) <= 40)
    watching.type(b"\x1a")
    # Nobody is there who could continue a stopped process (its group is an orphan), so the system does not stop it.
    watching.until(lambda text: "my-role" in text.partition(LEAVE)[2].partition(ENTER)[2])
    assert not watching.is_echoing()


def test_on_a_dumb_terminal_it_says_what_there_is_and_then_is_quiet(user: Home) -> None:
    terminal = Watching(user, TERM="dumb", LC_ALL="C")
    try:
        text = terminal.until(lambda text: "my-role" in text and text.endswith("\r\n\r\n"))
        assert re.match(r"\d\d:\d\d:\d\d\r\nassumed is not running", text)
        terminal.type(b"\x03")
        assert terminal.end() == 130
        assert "\x1b" not in terminal.output
        assert terminal.output.isascii()  # Python would write UTF-8 in the C locale, too; the terminal may not show it
        assert terminal.output.count("PROFILE") == 1
    finally:
        terminal.close()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_a_watch_that_a_shell_has_stopped_can_be_killed(user: Home) -> None:
    """Changing the terminal from the background would stop it once more (SIGTTOU), and the kill with it."""
    terminal = Watching(user, begin_with="bash", PS1="$ ")
    try:
        terminal.type(f"{sys.executable} -m assumed status --watch\n".encode())
        terminal.until(lambda text: "my-role" in text)
        terminal.type(b"\x1a")
        terminal.until(lambda text: "Stopped" in text)
        # Not `wait`: to a shell that has not yet seen it go on, it is still stopped.
        gone = b'kill %1; while kill -0 $(jobs -p); do sleep 0.1; done; echo it is "gone"\n'
        terminal.type(gone)
        terminal.until(lambda text: "it is gone" in text)
    finally:
        terminal.close()
