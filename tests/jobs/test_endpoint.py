"""The endpoint on loopback answers holders of the token alone, whatever others send."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from assumed.jobs import endpoint as module
from assumed.jobs.endpoint import Endpoint, Reply
from world.scores import Record
from world.waiting import eventually

TOKEN = "the-token-of-this-test"
CANARY = "CanarySecretAccessKey"
Answers = dict[str, Callable[[], Reply | None]]


def answer(path: str) -> Reply | None:
    """One role; a session that never comes; nothing else."""
    if path == "/role/never":
        return None
    return (200, {"SecretAccessKey": CANARY}) if path == "/role/a" else (404, {"code": "NoSuchRole"})


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint(TOKEN, answer)
    endpoint.start()
    yield endpoint
    endpoint.close()


def raw(endpoint: Endpoint, *parts: bytes, within: float = 10.0) -> bytes:
    """Say these bytes, then listen until the end."""
    with socket.create_connection(("127.0.0.1", endpoint.port), within) as channel:
        for part in parts:
            channel.sendall(part)
        received = b""
        try:
            while piece := channel.recv(65536):
                received += piece
        except ConnectionResetError:
            pass
        return received


def request(
    endpoint: Endpoint, line: str = "GET /role/a HTTP/1.1", token: str | None = TOKEN, host: str = "", **headers: str
) -> bytes:
    """One request as bytes."""
    lines = [line, f"Host: {host or f'127.0.0.1:{endpoint.port}'}"]
    lines += [f"Authorization: {token}"] if token is not None else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def status_of(answered: bytes) -> int:
    """The status of a whole answer; 0 where there was none."""
    return int(answered.split(b" ", 2)[1]) if answered else 0


def test_whoever_holds_the_token_is_answered_and_nobody_keeps_it(endpoint: Endpoint) -> None:
    answered = raw(endpoint, request(endpoint))
    head, _, body = answered.partition(b"\r\n\r\n")
    assert json.loads(body) == {"SecretAccessKey": CANARY}
    assert head.startswith(b"HTTP/1.1 200 ")
    assert {b"cache-control: no-store", b"connection: close"} <= set(head.lower().split(b"\r\n"))


FORBIDDEN: dict[str, tuple[int, dict[str, Any]]] = {
    "no token": (401, {"token": None}),
    "an empty token": (401, {"token": ""}),
    "a shorter token": (401, {"token": TOKEN[:-1]}),
    "a longer token": (401, {"token": TOKEN + "x"}),
    "another case": (401, {"token": TOKEN.upper()}),
    "a scheme before it": (401, {"token": f"Bearer {TOKEN}"}),
    "bytes beyond ASCII": (401, {"token": "ä" * len(TOKEN)}),
    "another method": (405, {"line": "POST /role/a HTTP/1.1"}),
    "HEAD": (405, {"line": "HEAD /role/a HTTP/1.1"}),
    "OPTIONS": (405, {"line": "OPTIONS * HTTP/1.1"}),
    "CONNECT": (405, {"line": "CONNECT 127.0.0.1:80 HTTP/1.1"}),
    "another path": (404, {"line": "GET /role/b HTTP/1.1"}),
    "a path above": (404, {"line": "GET /role/a/../a HTTP/1.1"}),
    "an escaped path": (404, {"line": "GET /role/%61 HTTP/1.1"}),
    "a query": (404, {"line": "GET /role/a?x=1 HTTP/1.1"}),
    "an absolute URI": (404, {"line": "GET http://127.0.0.1/role/a HTTP/1.1"}),
    "an absolute URI of somebody else": (404, {"line": "GET http://evil.example/role/a HTTP/1.1"}),
    "a page of another site": (403, {"Origin": "http://evil.example"}),
    "a page of this origin": (403, {"Origin": "null"}),
    "a link": (403, {"Referer": "http://evil.example/"}),
    "a browser": (403, {"Sec_Fetch_Site": "same-origin"}),
    "a proxy": (403, {"X_Forwarded_For": "127.0.0.1"}),
    "another proxy": (403, {"Forwarded": "for=127.0.0.1"}),
    "a body": (400, {"Content_Length": "5"}),
    "a body in chunks": (400, {"Transfer_Encoding": "chunked"}),
}


@pytest.mark.parametrize(("status", "how"), FORBIDDEN.values(), ids=list(FORBIDDEN))
def test_who_asks_otherwise_gets_nothing(endpoint: Endpoint, status: int, how: dict[str, Any]) -> None:
    answered = raw(endpoint, request(endpoint, **how))
    assert status_of(answered) == status
    assert CANARY.encode() not in answered


HOSTS = {
    "localhost:{port}": 200,
    "LOCALHOST:{port}": 200,
    "127.0.0.1:{port}": 200,
    "127.0.0.1": 200,
    "localhost": 403,
    "127.0.0.2": 403,
    "[::1]": 403,
    "127.0.0.1.evil.example": 403,
    "127.0.0.1:80": 403,
    "127.1": 403,
    "127.0.0.1:1": 403,
    "evil.example": 403,
    "evil.example:{port}": 403,
    "127.0.0.1.evil.example:{port}": 403,
    "localhost.evil.example:{port}": 403,
    "127.0.0.2:{port}": 403,
    "[::1]:{port}": 403,
    "0.0.0.0:{port}": 403,
    "2130706433:{port}": 403,
    "user@127.0.0.1:{port}": 403,
    "127.0.0.1:{port}.": 403,
    " ": 403,
}


@pytest.mark.parametrize(("host", "status"), HOSTS.items())
def test_only_a_request_for_this_very_address_is_answered(endpoint: Endpoint, host: str, status: int) -> None:
    """A page that has its name resolved to 127.0.0.1 sends its own name (DNS rebinding)."""
    answered = raw(endpoint, request(endpoint, host=host.format(port=endpoint.port)))
    assert status_of(answered) == status
    assert (CANARY.encode() in answered) is (status == 200)


MALFORMED = {
    "no Host": b"GET /role/a HTTP/1.1\r\nAuthorization: %(token)s\r\n\r\n",
    "two Hosts": b"GET /role/a HTTP/1.1\r\nHost: %(host)s\r\nHost: evil\r\nAuthorization: %(token)s\r\n\r\n",
    "a space before the colon": b"GET /role/a HTTP/1.1\r\nHost : %(host)s\r\nAuthorization: %(token)s\r\n\r\n",
    "two lengths": b"GET /role/a HTTP/1.1\r\nHost: %(host)s\r\nAuthorization: %(token)s\r\n"
    b"Content-Length: 0\r\nContent-Length: 9\r\n\r\n",
    "a NUL": b"GET /role/a\0 HTTP/1.1\r\nHost: %(host)s\r\nAuthorization: %(token)s\r\n\r\n",
    "HTTP/0.9": b"GET /role/a\r\n\r\n",
    "HTTP/1.0 without Host": b"GET /role/a HTTP/1.0\r\nAuthorization: %(token)s\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "too many headers": b"GET /role/a HTTP/1.1\r\n" + b"X: y\r\n" * 3000,
    "one long header": b"GET /role/a HTTP/1.1\r\nX: " + b"y" * 20_000,
}


@pytest.mark.parametrize("bytes_", MALFORMED.values(), ids=list(MALFORMED))
def test_what_is_no_request_gets_nothing(endpoint: Endpoint, bytes_: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 1.0)
    host = f"127.0.0.1:{endpoint.port}".encode()
    answered = raw(endpoint, bytes_.replace(b"%(host)s", host).replace(b"%(token)s", TOKEN.encode()))
    assert CANARY.encode() not in answered
    assert status_of(answered) in {0, 400, 403, 431}


def test_a_second_request_on_the_connection_is_not_answered(endpoint: Endpoint) -> None:
    """Nothing can be smuggled behind a request: there is one answer, and then the end."""
    answered = raw(endpoint, request(endpoint, token=None) + request(endpoint))
    assert answered.count(b"HTTP/1.1 ") == 1
    assert status_of(answered) == 401


def test_a_request_may_come_letter_by_letter(endpoint: Endpoint) -> None:
    whole = request(endpoint)
    assert status_of(raw(endpoint, *(whole[n : n + 1] for n in range(len(whole))))) == 200


def test_whoever_says_nothing_is_cut_off_and_holds_nobody_up(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    with socket.create_connection(("127.0.0.1", endpoint.port), 10) as silent:
        silent.sendall(b"GET /role/a HTTP/1.1\r\n")
        assert status_of(raw(endpoint, request(endpoint))) == 200
        assert silent.recv(100) == b""


def test_more_connections_than_there_are_places_do_not_keep_a_reader_out(endpoint: Endpoint) -> None:
    channels = [socket.create_connection(("127.0.0.1", endpoint.port), 10) for _ in range(module.MAX_CLIENTS + 50)]
    try:
        assert status_of(raw(endpoint, request(endpoint))) == 200
    finally:
        for channel in channels:
            channel.close()


def test_many_readers_at_once_are_all_answered(endpoint: Endpoint) -> None:
    with ThreadPoolExecutor(20) as pool:
        answered = list(pool.map(lambda _: status_of(raw(endpoint, request(endpoint))), range(200)))
    assert answered == [200] * 200


@pytest.mark.slow
def test_ten_thousand_connections_leak_nothing_and_leave_nothing(endpoint: Endpoint, record: Record) -> None:
    """Strangers and readers mixed."""

    def one(n: int) -> tuple[bool, bool]:
        stranger = n % 10 != 0
        answered = raw(endpoint, request(endpoint, token="wrong" if stranger else TOKEN))
        return stranger and CANARY.encode() in answered, status_of(answered) == (401 if stranger else 200)

    with ThreadPoolExecutor(16) as pool:
        done = list(pool.map(one, range(10_000)))
    record("endpoint.connections", len(done))
    record("endpoint.leaked", sum(leaked for leaked, _ in done))
    assert not any(leaked for leaked, _ in done)
    assert all(well for _, well in done)
    eventually(lambda: not endpoint._clients, 5)


def test_a_session_that_is_on_its_way_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a resume the first request comes before the renewal has: SDKs wait for two seconds."""
    ready_at = time.monotonic() + 0.4

    def later(_: str) -> Reply | None:
        return (200, {"ok": 1}) if time.monotonic() >= ready_at else None

    endpoint = Endpoint(TOKEN, later)
    endpoint.start()
    try:
        assert status_of(raw(endpoint, request(endpoint))) == 200
        assert time.monotonic() >= ready_at
    finally:
        endpoint.close()


def test_a_session_that_does_not_come_is_said_in_every_sdks_casing(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AWAITED", 0.2)
    answered = raw(endpoint, request(endpoint, "GET /role/never HTTP/1.1"))
    assert status_of(answered) == 503
    assert {"code", "message", "Code", "Message"} == set(json.loads(answered.partition(b"\r\n\r\n")[2]))


def test_a_port_that_is_taken_is_an_error(endpoint: Endpoint) -> None:
    with pytest.raises(OSError, match="in use"):
        Endpoint(TOKEN, answer, endpoint.port)
