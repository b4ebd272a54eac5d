"""Another user of the machine can read nothing: no file, no environment, nothing from the control socket."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from process.kit import arn
from world.control import socket_of
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
needs_root = pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("setpriv") is None, reason="only root, with setpriv, can be somebody else"
)


@pytest.fixture
def open_home(sts: FakeSts) -> Iterator[Home]:
    """A home that every user may enter and list."""
    with tempfile.TemporaryDirectory(prefix="assumed-test-") as path:
        Path(path).chmod(0o755)
        home = Home(Path(path))
        home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
        home.credentials.parent.chmod(0o755)
        home.configure(role("a", arn("a")))
        yield home


ASK = """
import socket, sys
channel = socket.socket(socket.AF_UNIX)
channel.settimeout(60)
channel.connect(sys.argv[1])
print("connected", flush=True)
received = b""
try:
    channel.sendall(b'{"command": "status"}\\n')
    while part := channel.recv(65536):
        received += part
except OSError:
    pass  # it was cut off
print(len(received))
"""
SYSTEM_PYTHON = shutil.which("python3", path="/usr/bin:/bin")
"""The interpreter for another account, which may be unable to read ours."""


def read_by_a_stranger(paths: list[Path]) -> str:
    """What `cat` prints for another user."""
    command = [*NOBODY, "cat", *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=False, errors="replace").stdout


@needs_root
def test_another_user_can_read_no_file_and_no_environment(open_home: Home, sts: FakeSts) -> None:
    """While the daemon runs and a command runs under `exec`."""
    sts.rule("*", session_seconds=900)
    with Daemon(open_home, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        daemon.wait_until_fresh("a")
        show = "echo $AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE; echo $$; read line"
        with subprocess.Popen(
            [sys.executable, "-m", "assumed", "exec", "a", "--", "sh", "-c", show],
            env=open_home.environment(AWS_ENDPOINT_URL_STS=sts.url),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as running:
            assert running.stdout is not None
            token_file, inner = Path(running.stdout.readline().strip()), running.stdout.readline().strip()
            secrets = [*sts.secrets(), token_file.read_text()]
            files = [path for path in open_home.path.rglob("*") if path.is_file()]
            processes = [Path(f"/proc/{pid}/environ") for pid in (daemon.pid, running.pid, inner)]
            read = read_by_a_stranger([*files, token_file, *processes])
            ours = "".join(path.read_text(errors="replace") for path in [*files, token_file])
            running.communicate("\n", timeout=60)
    assert [secret for secret in secrets if secret in ours], "they are there to be read by us"
    assert "[[roles]]" in read, "the stranger can read what is not secret"
    assert not [secret for secret in secrets if secret in read]


@needs_root
@pytest.mark.skipif(SYSTEM_PYTHON is None, reason="needs a Python that another account can run: /usr/bin/python3")
def test_another_user_gets_nothing_from_a_control_socket_that_it_can_open(open_home: Home, sts: FakeSts) -> None:
    """After a `chmod -R` that opens everything, the daemon still checks the peer's uid."""
    sts.rule("*", session_seconds=900)
    with Daemon(open_home, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        daemon.wait_until_fresh("a")
        socket = socket_of(open_home.state)
        socket.parent.chmod(0o755)
        socket.chmod(0o666)
        command = [str(SYSTEM_PYTHON), "-I", "-c", ASK, str(socket)]
        said = [
            subprocess.run([*who, *command], capture_output=True, check=True).stdout.split() for who in (NOBODY, [])
        ]
    assert said[0] == [b"connected", b"0"]
    assert int(said[1][1]) > 100, "root gets the status"
