"""A server and a proxy that answer without ever finishing, which a read time-out cannot limit.

    with Dripping("headers") as dripping:
        Daemon(home, AWS_ENDPOINT_URL_STS=dripping.url)

Each connection gets a thread. Only the end of a request's head is parsed.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import socket
import threading
from collections.abc import Iterator
from typing import Literal, Self

Mode = Literal[
    "headers", "body", "continue", "connect", "handshake", "silent", "endless-body", "endless-line", "huge-headers",
    "gzip-bomb",
]  # fmt: skip
DRIPPING: tuple[Mode, ...] = ("headers", "body", "continue", "connect", "handshake", "silent")
"""Each byte arrives in time; the answer never ends."""
ENDLESS: tuple[Mode, ...] = ("endless-body", "endless-line", "huge-headers")
"""Bytes arrive as fast as they are read, and never end."""

EVERY = 2.0
"""Seconds between two drops: less than any read time-out."""
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n"


class Dripping:
    """A server on 127.0.0.1 that drips in one way. `connect` and `handshake` are for https URLs."""

    def __init__(self, mode: Mode) -> None:
        self._mode = mode
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.connections = 0
        """Connections so far."""
        self.open = 0
        """Connections that the client has not closed yet."""
        self.sent = 0
        """Bytes sent so far."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def url(self) -> str:
        """What `AWS_ENDPOINT_URL_STS` or an `endpoint_url` names."""
        return f"{'https' if self._mode == 'handshake' else 'http'}://{self.address}"

    def environment(self) -> dict[str, str]:
        """The variables that send a daemon here: as STS, or as the proxy to it."""
        if self._mode != "connect":
            return {"AWS_ENDPOINT_URL_STS": self.url}
        return {"HTTPS_PROXY": self.url, "AWS_ENDPOINT_URL_STS": "https://sts.dripping.invalid"}

    def __enter__(self) -> Self:
        self._begin(self._accept)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _begin(self, call: object, *arguments: object) -> None:
        thread = threading.Thread(target=call, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        self._listener.settimeout(0.2)
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self._begin(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self.connections += 1
            self.open += 1
        try:
            with connection:
                connection.settimeout(1.0)
                if self._mode != "handshake":
                    _read_head(connection)
                for drop, pause in self._drops():
                    connection.settimeout(10.0)
                    connection.sendall(drop)
                    self.sent += len(drop)
                    if self._gone(connection, pause):
                        return
        except OSError:
            pass  # the client has gone
        finally:
            with self._lock:
                self.open -= 1

    def _gone(self, connection: socket.socket, pause: float) -> bool:
        """Waits; whether the client has closed the connection, or the server is to stop."""
        if not pause:
            return self._stop.is_set()
        connection.settimeout(0.1)
        for _ in range(int(pause / 0.1)):
            if self._stop.is_set():
                return True
            with contextlib.suppress(TimeoutError):
                if not connection.recv(65536) and self._mode != "handshake":
                    return True
        return False

    def _drops(self) -> Iterator[tuple[bytes, float]]:
        match self._mode:
            case "headers":
                yield _OK, EVERY
                yield from ((f"X-{n}: y\r\n".encode(), EVERY) for n in itertools.count())
            case "body":
                yield _OK + b"Content-Length: 100000\r\n\r\n", EVERY
                yield from itertools.repeat((b" ", EVERY))
            case "continue":
                yield from itertools.repeat((b"HTTP/1.1 100 Continue\r\n\r\n", EVERY))
            case "connect":
                yield b"HTTP/1.1 200 Connection established\r\n", EVERY
                yield from itertools.repeat((b"X: y\r\n", EVERY))
            case "handshake":
                # A TLS record of 16 KiB that comes byte by byte.
                yield b"\x16\x03\x03\x40\x00", EVERY
                yield from itertools.repeat((b"\x02", EVERY))
            case "silent":
                yield from itertools.repeat((b"", EVERY))
            case "endless-body":
                yield _OK + b"Transfer-Encoding: chunked\r\n\r\n", 0.0
                yield from itertools.repeat((b"10000\r\n" + b" " * 0x10000 + b"\r\n", 0.0))
            case "endless-line":
                yield _OK + b"Transfer-Encoding: chunked\r\n\r\n", 0.0
                yield from itertools.repeat((b"0" * 65536, 0.0))
            case "gzip-bomb":
                bomb = gzip.compress(gzip.compress(bytes(1 << 20)) * 512)  # half a GiB, packed twice
                head = f"Content-Encoding: gzip, gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
                yield _OK + head.encode() + bomb, EVERY
            case "huge-headers":
                yield _OK, 0.0
                yield from ((f"X-{n}: {'y' * 60000}\r\n".encode(), 0.0) for n in itertools.count())


def _read_head(connection: socket.socket) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        part = connection.recv(65536)
        if not part:
            return
        head += part
