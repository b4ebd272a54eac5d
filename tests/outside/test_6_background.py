"""6.1: signals ignored at the start of `exec` stay ignored, for it and for its command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from world.daemon import Home, python, role
from world.fake_sts import FakeSts

WITHIN = 45.0
JOB = 'echo "$PPID $$"; while [ ! -e finish ]; do sleep 0.05; done; echo finished'
"""Prints the pids of `exec` and itself, and exits with 0 when it may."""
NOHUP, SETSID = ["nohup"], ["setsid", "--wait"]
BACKGROUND = ["sh", "-c", '"$@" & wait $!', "sh"]

SETTING = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execvp(sys.argv[1], sys.argv[1:])"
CHILDREN_IGNORED = [sys.executable, "-c", SETTING]
"""Shells reset SIGCHLD, service managers may not."""


def trapped(*names: str) -> list[str]:
    """A shell that ignores these signals and executes a program."""
    return ["sh", "-c", f"trap '' {' '.join(names)}; exec \"$@\"", "sh"]


def shown(value: signal.Signals | list[str]) -> str:
    return value.name if isinstance(value, signal.Signals) else " ".join(value)


class Started:
    """`exec` with a running job, started in a given way."""

    def __init__(self, home: Home, process: subprocess.Popen[str]) -> None:
        self._home, self.process = home, process
        assert process.stdout is not None
        self.exec, self.job = map(int, process.stdout.readline().split())

    def signal(self, *pids: int, number: signal.Signals) -> None:
        for pid in pids:
            os.kill(pid, number)

    def end(self) -> tuple[str, int]:
        """Let the job end; its further output and the exit status."""
        (self._home.path / "finish").touch()
        said, _ = self.process.communicate(timeout=WITHIN)
        return said.strip(), self.process.returncode


@contextmanager
def started(home: Home, sts: FakeSts, by: Sequence[str]) -> Iterator[Started]:
    process = subprocess.Popen(
        [*by, python(), "-m", "assumed", "exec", "job", "--", "sh", "-c", JOB],
        env=home.environment(AWS_ENDPOINT_URL_STS=sts.url),
        cwd=home.path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        yield Started(home, process)
    finally:
        (home.path / "finish").touch()
        process.communicate(timeout=WITHIN)


@pytest.fixture
def job(aws_home: Home) -> Home:
    """A home with one role, `job`."""
    aws_home.configure(role("job", "arn:aws:iam::123456789012:role/job"))
    return aws_home


IGNORED = [
    (NOHUP, signal.SIGHUP),
    (BACKGROUND, signal.SIGINT),
    (BACKGROUND, signal.SIGQUIT),
    (trapped("TERM"), signal.SIGTERM),
    (trapped("USR1", "USR2"), signal.SIGUSR2),
    ([*NOHUP, *SETSID], signal.SIGHUP),
]


@pytest.mark.parametrize(("by", "number"), IGNORED, ids=shown)
def test_a_signal_ignored_at_the_start_ends_neither_exec_nor_its_command(
    job: Home, sts: FakeSts, by: list[str], number: signal.Signals
) -> None:
    """A long job must survive the logout."""
    with started(job, sts, by) as run:
        run.signal(run.exec, run.job, number=number)
        assert run.end() == ("finished", 0)


@pytest.mark.parametrize(
    ("by", "number"),
    [([], signal.SIGHUP), ([], signal.SIGTERM), (SETSID, signal.SIGHUP), (NOHUP, signal.SIGTERM)],
    ids=shown,
)
def test_every_other_signal_reaches_the_command(job: Home, sts: FakeSts, by: list[str], number: signal.Signals) -> None:
    with started(job, sts, by) as run:
        run.signal(run.exec, number=number)
        assert run.process.wait(WITHIN) == 128 + number


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_a_signal_from_the_terminal_ends_the_foreground_command(
    job: Home, sts: FakeSts, number: signal.Signals
) -> None:
    with started(job, sts, []) as run:
        run.signal(run.exec, run.job, number=number)
        assert run.process.wait(WITHIN) == 128 + number


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("kill -TERM $$", 143), ("true", 0)])
def test_the_exit_status_is_right_if_sigchld_was_ignored(job: Home, sts: FakeSts, script: str, status: int) -> None:
    """Some service managers start programs with SIGCHLD ignored: the kernel then keeps no exit status."""
    done = subprocess.run(
        [*CHILDREN_IGNORED, python(), "-m", "assumed", "exec", "job", "--", "sh", "-c", script],
        env=job.environment(AWS_ENDPOINT_URL_STS=sts.url),
        cwd=job.path,
        capture_output=True,
        timeout=WITHIN,
        check=False,
    )
    assert done.returncode == status, done.stderr
