"""The endpoint of `exec`: which requests it answers, even if another account opens all connections."""

from __future__ import annotations

import json
import os
import shutil
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

WITHIN = 40.0
TELL = "import json, os, sys; print(json.dumps(dict(os.environ)), flush=True); sys.stdin.read()"


@dataclass(frozen=True)
class Endpoint:
    """Its address and token."""

    port: int
    path: str
    token: str

    def request(self, host: str | None = None, token: str | None = None, *more: str) -> bytes:
        """One request, with the right address and token unless given."""
        lines = [
            f"GET {self.path} HTTP/1.1",
            f"Host: {host or f'127.0.0.1:{self.port}'}",
            f"Authorization: {token or self.token}",
            *more,
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), WITHIN)

    def ask(self, request: bytes) -> tuple[int, bytes]:
        with self.connect() as channel:
            channel.sendall(request)
            return answer(channel)


def answer(channel: socket.socket) -> tuple[int, bytes]:
    """Status and body; 0 if the connection was closed."""
    received = b""
    with suppress(ConnectionResetError):
        while piece := channel.recv(65536):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    return (int(head.split(b" ", 2)[1]) if head else 0), body


@pytest.fixture
def endpoint(aws_home: Home, sts: FakeSts) -> Iterator[Endpoint]:
    """The endpoint of a command under `exec`."""
    aws_home.configure(role("job", "arn:aws:iam::123456789012:role/job"))
    with subprocess.Popen(
        [python(), "-m", "assumed", "exec", "job", "--", sys.executable, "-c", TELL],
        env=aws_home.environment(AWS_ENDPOINT_URL_STS=sts.url),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        found = json.loads(process.stdout.readline())
        url = urlsplit(found["AWS_CONTAINER_CREDENTIALS_FULL_URI"])
        assert url.port is not None
        yield Endpoint(url.port, url.path, found["AWS_CONTAINER_AUTHORIZATION_TOKEN"])
        process.communicate(timeout=WITHIN)


CRT = [(), ("Accept: application/json", "User-Agent: aws-sdk-crt/1"), ("Connection: keep-alive",)]
"""Further Host headers of aws-c-auth."""


@pytest.mark.parametrize("more", CRT, ids=len)
def test_a_client_that_omits_the_port_in_host_is_answered(endpoint: Endpoint, more: tuple[str, ...]) -> None:
    """aws-c-auth: awscrt, s3torchconnector, Mountpoint."""
    status, body = endpoint.ask(endpoint.request("127.0.0.1", None, *more))
    assert status == 200
    assert json.loads(body)["AccessKeyId"].startswith("ASIA")


def test_only_requests_with_its_own_address_as_host_are_answered(endpoint: Endpoint) -> None:
    """DNS rebinding: a page sends the name that it was loaded from."""
    port = endpoint.port
    right = [f"127.0.0.1:{port}", f"localhost:{port}"]
    names = ["localhost", "evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "127.0.0.1:80"]
    wrong = [*names, f"127.0.0.1:{port + 1}", "127.0.0.2", f"127.0.0.2:{port}", "[::1]", "2130706433", "127.1"]
    found = {host: endpoint.ask(endpoint.request(host))[0] for host in [*right, *wrong]}
    assert found == {**dict.fromkeys(right, 200), **dict.fromkeys(wrong, 403)}


FOREIGN = {
    "Origin": ["http://127.0.0.1", "null"],
    "Referer": ["http://127.0.0.1/"],
    "Sec-Fetch-Site": ["none", "same-origin"],
    "Sec-Fetch-Mode": ["cors"],
    "X-Forwarded-For": ["127.0.0.1"],
    "X-Forwarded-Host": ["127.0.0.1"],
    "Forwarded": ["for=127.0.0.1"],
    "Via": ["1.1 proxy"],
}


def test_browsers_and_proxies_are_refused_even_with_the_token(endpoint: Endpoint) -> None:
    """A page of a server on port 80 of this machine sends the bare address."""
    for host in (f"127.0.0.1:{endpoint.port}", "127.0.0.1"):
        lines = [f"{name}: {value}" for name, values in FOREIGN.items() for value in values]
        found = {line: endpoint.ask(endpoint.request(host, None, line))[0] for line in ["Accept: */*", *lines]}
        assert found == {"Accept: */*": 200, **dict.fromkeys(lines, 403)}


STRANGER = """
import socket, sys
port, say = int(sys.argv[1]), sys.argv[2].encode().decode("unicode_escape").encode()
print("ready", flush=True)
sys.stdin.readline()
held = []
for _ in range(400):
    channel = socket.create_connection(("127.0.0.1", port), 40)
    try:
        channel.sendall(say)
    except OSError:
        pass  # it was cut off
    held.append(channel)
try:
    while held[100].recv(65536):  # until there are no places left
        pass
except OSError:
    pass
print("held", flush=True)
sys.stdin.read()
"""
SAID = {
    "nothing": "",
    "half a line": "GET /role/job HT",
    "half of the headers": "GET /role/job HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nAuthorization: ",
}
GUESSED = "GET /role/job HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nAuthorization: guess\\r\\n\\r\\n"


class Stranger:
    """Another account that opens four hundred connections, sends the same on each, and holds them."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def comes(self) -> None:
        """Open all connections."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        self.says("held")

    def says(self, line: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == line


@contextmanager
def stranger(endpoint: Endpoint, said: str) -> Iterator[Stranger]:
    """Started before the block, ended after it."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None or not sys.platform.startswith("linux"):
        pytest.skip("another account is needed: root and setpriv, on Linux")
    # The system's Python, because that account may be unable to read ours.
    interpreter = shutil.which("python3", path="/usr/bin:/bin")
    if interpreter is None:
        pytest.skip("a Python that another account can run is needed: /usr/bin/python3")
    another = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", interpreter]
    with subprocess.Popen(
        [*another, "-c", STRANGER, str(endpoint.port), said],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd="/",
        text=True,
    ) as process:
        one = Stranger(process)
        one.says("ready")
        yield one
        process.communicate(timeout=WITHIN)


@pytest.mark.parametrize("said", SAID.values(), ids=list(SAID))
def test_a_connected_reader_is_answered_despite_a_flood_from_another_account(endpoint: Endpoint, said: str) -> None:
    """It has sent half of its request when four hundred connections arrive."""
    whole = endpoint.request()
    with stranger(endpoint, said) as one, endpoint.connect() as reader:
        reader.sendall(whole[:30])
        one.comes()
        with suppress(ConnectionError):
            reader.sendall(whole[30:])
        assert answer(reader)[0] == 200


@pytest.mark.parametrize("said", [*SAID.values(), GUESSED], ids=[*SAID, "a guess"])
def test_a_reader_that_connects_during_the_flood_is_answered(endpoint: Endpoint, said: str) -> None:
    with stranger(endpoint, said) as one:
        one.comes()
        assert [endpoint.ask(endpoint.request())[0] for _ in range(20)] == [200] * 20
