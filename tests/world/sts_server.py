"""The network side of the project's own STS: HTTP/1.1 with keep-alive on asyncio, and faults on the connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Callable
from email.utils import formatdate
from urllib.parse import parse_qsl

from .sts_rules import Authority, Call, Fault, Rules
from .sts_words import REQUEST_ID, Refused

MAX_BODY = 1024 * 1024
_PORTAL = b"<html><body>Please sign in to the hotel's network</body></html>"
_REASONS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 500: "Internal Server Error", 503: "Service Unavailable"}


class StsServer:
    """Answers on 127.0.0.1. Lives in one event loop; `calls` is read from other threads."""

    def __init__(self, authority: Authority, rules: Rules, arrived: Callable[[], None]) -> None:
        self.authority = authority
        self.rules = rules
        self.calls: list[Call] = []
        self.port = 0
        self.peak_in_flight = 0
        self._arrived = arrived
        self._in_flight = 0
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Refuses new connections and closes existing ones."""
        if self._server is None:
            return
        self._server.close()
        for writer in list(self._writers):
            _reset(writer)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client is gone, or the server is being closed
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Reads and answers one request; False ends the connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
        length = int(headers.get("content-length", "0"))
        if length > MAX_BODY:
            return False
        body = await reader.readexactly(length)
        if head[0].startswith("GET /_calls "):
            writer.write(_reply(200, self._summary(), "application/json", self.authority.clock()))
            await writer.drain()
            return True
        self._in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self._in_flight)
        try:
            return await self._answer(headers, body, reader, writer)
        finally:
            self._in_flight -= 1

    async def _answer(
        self, headers: dict[str, str], body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        call = _call(headers, body, self.authority.clock(), self._in_flight)
        how = self.rules.take(call.role_arn)
        self.calls.append(call)
        if how.latency:
            await asyncio.sleep(how.latency)
        date = self.authority.clock() + how.clock_offset
        if how.fault not in (None, "half"):
            self._done(call, how.fault)
            await _fail(how.fault, date, reader, writer)
            return False
        try:
            status, xml = 200, self.authority.decide(headers, body, call, how)
        except Refused as refused:
            status, xml, outcome = refused.status, refused.body(), refused.code
        else:
            outcome = how.fault or "ok"
        reply = _reply(status, xml, "text/xml", date)
        self._done(
            call, outcome
        )  # before the client can see the answer, so that a client with an answer finds its call complete
        writer.write(reply[: -len(xml) // 2] if outcome == "half" else reply)
        await writer.drain()
        if outcome == "half":
            return False
        return headers.get("connection", "").lower() != "close"

    def _done(self, call: Call, outcome: str) -> None:
        call.outcome = outcome
        self._arrived()

    def _summary(self) -> bytes:
        calls = list(self.calls)
        return json.dumps(
            {
                "calls": len(calls),
                "ok": sum(1 for call in calls if call.outcome == "ok"),
                "peak_in_flight": self.peak_in_flight,
                "first": calls[0].time if calls else None,
                "last": calls[-1].time if calls else None,
            }
        ).encode()


def _call(headers: dict[str, str], body: bytes, now: float, in_flight: int) -> Call:
    params = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    authorization = headers.get("authorization", "")
    key = authorization.partition("Credential=")[2].partition("/")[0] or None
    duration = params.get("DurationSeconds", "")
    return Call(
        time=now,
        action=params.get("Action", ""),
        role_arn=params.get("RoleArn"),
        access_key_id=key,
        session_name=params.get("RoleSessionName"),
        duration=int(duration) if duration.isdigit() else None,
        external_id=params.get("ExternalId"),
        params=params,
        in_flight=in_flight,
    )


def _reply(status: int, body: bytes, kind: str, date: float) -> bytes:
    head = (
        f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}\r\n"
        f"Date: {formatdate(date, usegmt=True)}\r\nContent-Type: {kind}\r\n"
        f"x-amzn-RequestId: {REQUEST_ID}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _fail(fault: Fault | None, date: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    match fault:
        case "hang":
            while await reader.read(65536):
                pass  # until the client gives up
        case "reset":
            _reset(writer)
        case "garbage":
            writer.write(_reply(200, _PORTAL, "text/html", date))
            await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends the connection with RST rather than FIN."""
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
