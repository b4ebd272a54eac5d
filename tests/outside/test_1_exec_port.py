"""1.6: no other program gets the port of `exec` while its command or a child of it lives; processes that outlive it
are listed."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from world.daemon import Home, python, role
from world.fake_sts import FakeSts
from world.waiting import eventually

WITHIN = 45.0
TELL = """
import json, os, sys
print(json.dumps([os.getpid(), os.getppid(), os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"]]), flush=True)
sys.stdin.read()
"""
WAYS = {
    "the command itself": [sys.executable, "-c", TELL],
    "a shell that waits for it": ["sh", "-c", '"$0" -c "$1"; exit $?', sys.executable, TELL],
    "a command in a session of its own": ["setsid", "--wait", sys.executable, "-c", TELL],
}
SHARED = [
    (),
    (socket.SO_REUSEADDR,),
    (socket.SO_REUSEPORT,),
    (socket.SO_REUSEADDR, socket.SO_REUSEPORT),
]


@dataclass(frozen=True)
class Running:
    """A command under `exec`."""

    process: subprocess.Popen[str]
    pid: int
    port: int

    def end(self) -> None:
        """End it by closing its input."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()


@contextmanager
def running(home: Home, sts: FakeSts, command: list[str]) -> Iterator[Running]:
    home.configure(role("job", "arn:aws:iam::123456789012:role/job"))
    process = subprocess.Popen(
        [python(), "-m", "assumed", "exec", "job", "--", *command],
        env=home.environment(AWS_ENDPOINT_URL_STS=sts.url),
        cwd=home.path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    pid, _, url = json.loads(process.stdout.readline())
    port = urlsplit(url).port
    assert port is not None
    run = Running(process, pid, port)
    try:
        yield run
    finally:
        run.end()
        process.stdout.close()
        process.wait(WITHIN)
        eventually(lambda: not alive(pid), WITHIN, saying="the end of the command")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def can_bind(port: int, options: tuple[int, ...] = (), address: str = "127.0.0.1") -> bool:
    """Whether another program can bind the port and get connections."""
    with socket.socket() as other:
        for option in options:
            other.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            other.bind((address, port))
            other.listen()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
        return True


@pytest.mark.parametrize("command", WAYS.values(), ids=list(WAYS))
def test_no_other_program_gets_the_port_after_exec_was_killed(aws_home: Home, sts: FakeSts, command: list[str]) -> None:
    """It could give its own credentials to the command."""
    with running(aws_home, sts, command) as run:
        run.process.kill()
        run.process.wait(WITHIN)
        assert [can_bind(run.port, options) for options in SHARED] == [False] * len(SHARED)
        assert not can_bind(run.port, (socket.SO_REUSEADDR,), "0.0.0.0")
        assert alive(run.pid)
        run.end()
        eventually(lambda: can_bind(run.port), WITHIN, saying="a free port after the command's end")


def test_the_port_is_taken_while_exec_runs_and_free_afterwards(aws_home: Home, sts: FakeSts) -> None:
    with running(aws_home, sts, WAYS["the command itself"]) as run:
        assert [can_bind(run.port, options) for options in SHARED] == [False] * len(SHARED)
        run.end()
        assert run.process.wait(WITHIN) == 0
        assert can_bind(run.port)


JOB = "sleep 300 </dev/null >/dev/null 2>&1"
OUTLIVES = {
    "a job in the background": f"{JOB} &",
    "a job that ignores the hangup": f"nohup {JOB} &",
    "a job in a session of its own": f"setsid {JOB} &",
}


@pytest.mark.parametrize("how", OUTLIVES.values(), ids=list(OUTLIVES))
def test_processes_that_outlive_the_command_are_listed_and_get_refused_connections(
    aws_home: Home, sts: FakeSts, how: str
) -> None:
    """An immediate refusal, no hanging request, and no answer of another program."""
    aws_home.configure(role("job", "arn:aws:iam::123456789012:role/job"))
    script = f'{how} echo "$! $AWS_CONTAINER_CREDENTIALS_FULL_URI"; exit 3'
    done = aws_home.assumed("exec", "job", "--", "sh", "-c", script, AWS_ENDPOINT_URL_STS=sts.url)
    told, url = done.stdout.split()
    port = urlsplit(url).port
    assert port is not None
    try:
        assert done.returncode == 3
        named = [line for line in done.stderr.splitlines() if "sleep" in line]
        assert len(named) == 1, done.stderr
        assert f"pid {told}" in named[0]
        assert 'deliver = "process"' in named[0]
        assert not any(can_bind(port, options) for options in SHARED)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), WITHIN)
    finally:
        os.kill(int(told), signal.SIGKILL)
    eventually(lambda: can_bind(port), WITHIN, saying="a free port after the last process")


@pytest.mark.parametrize("script", ["true", "sleep 0.01 & wait", "sh -c 'exit 0' | cat"])
def test_nothing_is_printed_if_no_process_outlives_the_command(aws_home: Home, sts: FakeSts, script: str) -> None:
    aws_home.configure(role("job", "arn:aws:iam::123456789012:role/job"))
    done = aws_home.assumed("exec", "job", "--", "sh", "-c", script, AWS_ENDPOINT_URL_STS=sts.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_script_finds_the_low_descriptors_free(aws_home: Home, sts: FakeSts) -> None:
    """For `exec 3>file` and make's job server."""
    aws_home.configure(role("job", "arn:aws:iam::123456789012:role/job"))
    listing = "import os; print(sorted(int(fd) for fd in os.listdir('/dev/fd')))"
    command = [sys.executable, "-c", listing]
    outside = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    inside = json.loads(aws_home.assumed("exec", "job", "--", *command, AWS_ENDPOINT_URL_STS=sts.url).stdout)
    assert [fd for fd in inside if fd < 100] == outside
