"""Neither a debugger of the same user nor a core file can read the daemon's memory."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from process.kit import arn
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts

UNLIMITED = ["/bin/sh", "-c", 'ulimit -c unlimited && exec "$@"', "sh"]
READER = """
import sys
for what in ("mem", "environ", "maps"):
    try:
        with open(f"/proc/{sys.argv[1]}/{what}", "rb"):
            print(what)
    except PermissionError:
        pass
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


def ordinary() -> list[str]:
    """Run a command without root's privileges: a process may inspect those with no more than its own."""
    if os.getuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("root may read everything, and there is no setpriv to take that away")
    return [setpriv, "--bounding-set", "-all", "--inh-caps", "-all"]


def readable(pid: int) -> list[str]:
    """What another process of the same user can open of that process."""
    command = [*ordinary(), sys.executable, "-I", "-c", READER, str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()


def end_of(pid: int) -> int:
    """How a child process ended (CLD_KILLED, CLD_DUMPED); it can still be waited for."""
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    return ended.si_code


@pytest.fixture
def victim(tmp_path: Path) -> subprocess.Popen[bytes]:
    """A process like the daemon without the protection: there the access must succeed."""
    program = "import time; print('up', flush=True); time.sleep(60)"
    process = subprocess.Popen(
        [*ordinary(), *UNLIMITED, sys.executable, "-c", program],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    with process.stdout:
        if process.stdout.readline() != b"up\n":
            process.wait(60)
            pytest.skip("core files cannot be allowed here")
    return process


def test_sessions_cannot_be_read_by_the_same_user_or_from_a_core_file(
    victim: subprocess.Popen[bytes], sts: FakeSts, aws_home: Home
) -> None:
    """The machine allows both; a session is in memory when the process is aborted."""
    possible = readable(victim.pid)
    victim.send_signal(signal.SIGABRT)
    dumps = end_of(victim.pid) == os.CLD_DUMPED
    victim.wait(60)
    if possible != ["mem", "environ", "maps"] or not dumps:
        pytest.skip(f"of any process only {possible} can be read here, cores: {dumps}")
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("a", arn("a")))
    with Daemon(aws_home, under=[*ordinary(), *UNLIMITED], AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        daemon.wait_until_fresh("a")

        assert readable(daemon.pid) == []

        limits = Path(f"/proc/{daemon.pid}/limits").read_text().splitlines()
        (cores,) = (line.split()[4:6] for line in limits if line.startswith("Max core file size"))
        daemon.signal(signal.SIGABRT)
        assert end_of(daemon.pid) == os.CLD_KILLED
        assert daemon.wait_for_exit() == -signal.SIGABRT
    assert cores == ["0", "0"]
    assert [path.name for path in aws_home.path.rglob("core*")] == []
