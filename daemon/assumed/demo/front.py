"""An HTTP front for moto's server that makes sessions expire as AWS's do.

moto accepts an expired session and a missing external ID, and issues sessions of at least 900 s. Without this front no
client would ever have to renew, and the demo would show nothing.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from .ledger import Ledger
from .protocol import Call, Reply, denied, expired, read_call, tag, with_tag

UPSTREAM_TIMEOUT_SECONDS = 30
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "te", "upgrade", "proxy-connection"}


@dataclass(frozen=True, slots=True)
class Record:
    """One request, without secrets, tokens or signatures.

    `error` is the error code of the answer (`ExpiredToken`), `issued` the access key id of the session in it.
    """

    time: float
    access_key_id: str | None
    service: str
    operation: str
    role_arn: str | None
    session_name: str | None
    status: int
    error: str | None
    issued: str | None


class Front(ThreadingHTTPServer):
    """Serves on 127.0.0.1 what `upstream` (an `http://host:port`) serves, with sessions that expire.

    `clip_seconds` shortens every session issued from now on; it may be changed at any time. `port` 0 takes a free one.
    Raises OSError if the port is taken.
    """

    daemon_threads = False  # stop() joins them
    request_queue_size = 128

    def __init__(self, upstream: str, clip_seconds: int | None = None, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.clip_seconds = clip_seconds
        self.ledger = Ledger()
        self._upstream = urlsplit(upstream).netloc
        self._records: list[Record] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name="front")

    @property
    def records(self) -> list[Record]:
        """Every request so far, oldest first."""
        return list(self._records)

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stops serving; returns when every thread and connection of the front has ended."""
        self.shutdown()
        self._thread.join()
        self.server_close()

    __enter__ = start

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """The answer to one request, recorded."""
        call = read_call(method, target, {k.lower(): v for k, v in headers.items()}, body)
        reply = self._decide(call, method, target, headers, body)
        issued = tag(reply.body, "AccessKeyId") if call.issues and reply.status == 200 else None
        error = tag(reply.body, "Code") if reply.status >= 400 else None
        asked = (call.access_key_id, call.service, call.operation, call.role_arn, call.params.get("RoleSessionName"))
        self._records.append(Record(time.time(), *asked, reply.status, error, issued))
        return reply

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Silent: a client that closed its connection is not an error of the front."""

    def _decide(self, call: Call, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        if self.ledger.has_expired(call.access_key_id):
            return expired(call)
        reply = self._forward(method, target, headers, body)
        if call.issues and reply.status == 403:
            return _with_resource(call, reply)
        if reply.status != 200:
            return reply
        if self.ledger.lacks_external_id(call):
            return denied(call, self.ledger.principal(call.access_key_id))
        if call.issues:
            return Reply(200, reply.headers, self.ledger.issue(call, reply.body, self.clip_seconds))
        self.ledger.learn(call, reply.body)
        return reply

    def _forward(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Asks upstream with the client's own Host, because the signature covers it."""
        sent = {k: v for k, v in headers.items() if k.lower() not in _HOP_BY_HOP | {"content-length"}}
        connection = http.client.HTTPConnection(self._upstream, timeout=UPSTREAM_TIMEOUT_SECONDS)
        with contextlib.closing(connection):
            connection.request(method, target, body, {**sent, "Content-Length": str(len(body))})
            response = connection.getresponse()
            kept = [(k, v) for k, v in response.getheaders() if k.lower() not in _HOP_BY_HOP | {"date"}]
            return Reply(response.status, kept, response.read())


def _with_resource(call: Call, reply: Reply) -> Reply:
    """moto's AccessDenied omits "on resource: …", which says what to fix."""
    message = tag(reply.body, "Message") or ""
    if tag(reply.body, "Code") != "AccessDenied" or " on resource: " in message:
        return reply
    return Reply(403, reply.headers, with_tag(reply.body, "Message", f"{message} on resource: {call.role_arn}"))


class _Handler(BaseHTTPRequestHandler):
    """One request per connection: an idle connection would keep stop() waiting."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = UPSTREAM_TIMEOUT_SECONDS
    server: Front

    def serve(self) -> None:
        try:
            reply = self.server.answer(self.command, self.path, dict(self.headers.items()), self._body())
        except (OSError, http.client.HTTPException) as error:
            reply = Reply(502, [("Content-Type", "text/plain")], f"the server behind the front: {error}\n".encode())
        self.send_response_only(reply.status)
        headers = {name.lower(): value for name, value in reply.headers} | {"connection": "close"}
        if self.command != "HEAD":
            headers["content-length"] = str(len(reply.body))
        if reply.status in (204, 304):
            headers.pop("content-length", None)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("date", formatdate(usegmt=True))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_OPTIONS = do_PATCH = serve  # noqa: N815

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts: list[bytes] = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return b"".join(parts)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Silent: `Front.records` is the log."""
