"""A small HTTP front before moto's server, which makes its sessions end as AWS's do.

moto accepts an expired session, lets a missing external id pass and issues sessions of at least 900 s;
without this front no client would ever have to renew, and nothing would happen while one watches.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from . import aws_words as words
from .ledger import Ledger

MAX_BODY = 64 * 1024 * 1024
UPSTREAM_TIMEOUT_SECONDS = 30
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "te", "upgrade", "proxy-connection"}
_METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH")


@dataclass(frozen=True, slots=True)
class Record:
    """One request that passed, or was refused. Never a secret, a token or a signature."""

    time: float
    access_key_id: str | None
    service: str
    operation: str
    role_arn: str | None
    session_name: str | None
    status: int
    error: str | None
    """Error code of the answer, `ExpiredToken` for one."""
    issued: str | None
    """Access key id of the session in the answer."""


class Front:
    """Serves on 127.0.0.1 what `upstream` (an `http://host:port`) serves, with sessions that end.

    `clip_seconds` shortens every session that is issued from now on; it may be changed at any time.
    `port` 0 takes a free one. Raises OSError from `start` when the port is taken.
    """

    def __init__(self, upstream: str, clip_seconds: int | None = None, port: int = 0) -> None:
        url = urlsplit(upstream)
        self.upstream = (url.hostname or "127.0.0.1", url.port or 80)
        self.clip_seconds = clip_seconds
        self.ledger = Ledger()
        self._records: deque[Record] = deque(maxlen=100_000)
        self._port = port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def records(self) -> list[Record]:
        """Every request so far, oldest first."""
        return list(self._records)

    def start(self) -> Self:
        self._server = _Server(self, self._port)
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="front")
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stops serving; returns when no thread and no connection of the front is left."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()
        self._server = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> _Reply:
        """The answer to one request, recorded."""
        call = words.read_call(method, target, {k.lower(): v for k, v in headers.items()}, body)
        reply = self._decide(call, method, target, headers, body)
        issued = words.tag(reply.body, "AccessKeyId") if _issues(call) and reply.status == 200 else None
        error = words.tag(reply.body, "Code") if reply.status >= 400 else None
        self._records.append(
            Record(
                time.time(),
                call.access_key_id,
                call.service,
                call.operation,
                call.role_arn,
                call.session_name,
                reply.status,
                error,
                issued,
            )
        )
        return reply

    def _decide(self, call: words.Call, method: str, target: str, headers: Mapping[str, str], body: bytes) -> _Reply:
        if self.ledger.has_expired(call.access_key_id):
            return _Reply.of(words.expired(call))
        reply = self._forward(method, target, headers, body)
        if reply.status == 403 and _issues(call):
            return self._in_awss_words(call, reply)
        if reply.status != 200:
            return reply
        if self.ledger.lacks_external_id(call):
            return _Reply.of(words.denied(call, self.ledger.principal(call.access_key_id)))
        if _issues(call):
            return _Reply(200, reply.headers, self.ledger.issue(call, reply.body, self.clip_seconds))
        self.ledger.learn(call, reply.body)
        return reply

    def _in_awss_words(self, call: words.Call, reply: _Reply) -> _Reply:
        """moto leaves "on resource: …" out, which is the half that tells a person what to mend."""
        message = words.tag(reply.body, "Message") or ""
        if words.tag(reply.body, "Code") != "AccessDenied" or " on resource: " in message:
            return reply
        return _Reply(
            403, reply.headers, words.with_tag(reply.body, "Message", f"{message} on resource: {call.role_arn}")
        )

    def _forward(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> _Reply:
        """Asks upstream with the client's own Host, for the signature covers it."""
        connection = http.client.HTTPConnection(*self.upstream, timeout=UPSTREAM_TIMEOUT_SECONDS)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                if name.lower() not in _HOP_BY_HOP | {"content-length"}:
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            kept = [(k, v) for k, v in response.getheaders() if k.lower() not in _HOP_BY_HOP | {"date"}]
            return _Reply(response.status, kept, response.read())
        finally:
            connection.close()


def _issues(call: words.Call) -> bool:
    return call.operation.startswith("AssumeRole")


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @staticmethod
    def of(answer: words.Answer) -> _Reply:
        headers = [("Content-Type", answer.content_type), ("x-amzn-RequestId", words.REQUEST_ID)]
        return _Reply(answer.status, headers, answer.body)


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close() joins them
    request_queue_size = 128

    def __init__(self, front: Front, port: int) -> None:
        self.front = front
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Ends idle kept-alive connections, whose threads would wait for ever."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of the front's; upstream's failures were answered already."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def serve(self) -> None:
        body = self._body()
        if body is None:
            self.close_connection = True
            self._send(_Reply(413, [], b""))
            return
        try:
            reply = self.server.front.answer(self.command, self.path, dict(self.headers.items()), body)
        except (OSError, http.client.HTTPException) as error:
            reply = _Reply(502, [("Content-Type", "text/plain")], f"the server behind the front: {error}\n".encode())
        self._send(reply)

    def _body(self) -> bytes | None:
        """The whole body; None when it is larger than `MAX_BODY`."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._chunks()
        length = int(self.headers.get("Content-Length") or 0)
        return self.rfile.read(length) if length <= MAX_BODY else None

    def _chunks(self) -> bytes | None:
        parts: list[bytes] = []
        total = 0
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            total += size
            if total > MAX_BODY:
                return None
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return b"".join(parts)

    def _send(self, reply: _Reply) -> None:
        self.send_response_only(reply.status)
        self.send_header("Date", formatdate(usegmt=True))
        length = str(len(reply.body))
        for name, value in reply.headers:
            if name.lower() == "content-length":
                if self.command == "HEAD":
                    length = value
                continue
            self.send_header(name, value)
        if reply.status not in (204, 304):
            self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Silent: `Front.records` is the log."""


for _method in _METHODS:
    setattr(_Handler, f"do_{_method}", _Handler.serve)
