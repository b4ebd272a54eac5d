"""botocore's connections, which tell the call of their thread what socket they use and how much has come over it."""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import socket
import threading
from collections.abc import Callable
from typing import Any

from botocore import awsrequest

LIMIT = 64 * 1024
"""Bytes of an answer, status line and headers included: STS's have 2 to 5 KB."""


class Call:
    """One call on its way: how much it may still read, and the socket that it uses."""

    def __init__(self, send: Callable[[], Any]) -> None:
        self.left = LIMIT
        self.over = False
        """Whether nothing more may be sent for it: it has ended, or is to."""
        self.done = False
        """Whether its thread is through with it."""
        self.answer: Any = None
        self.error: BaseException | None = None
        self.ended = threading.Lock()
        """Held until the call has ended."""
        self.ended.acquire()
        self._send = send
        self._lock = threading.Lock()
        self._fd = -1
        """A duplicate: the socket's own object is gone once TLS wraps it, its number may be another's."""

    def make(self) -> None:
        """Send, in the thread that is the call's meanwhile."""
        here.call = self
        try:
            self.answer = self._send()
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits for it
            self.error = error
        del here.call
        with self._lock:
            self.over = True
            if self._fd >= 0:
                os.close(self._fd)
            self._fd = -1

    def finish(self) -> None:
        """Let go of the one who waits."""
        self.ended.release()

    def use(self, sock: Any) -> None:
        """Note the socket. Raises TimeoutError when the call is over: an abandoned one must not be sent after all."""
        with self._lock:
            if self.over:
                raise TimeoutError("the call is over")
            if self._fd >= 0:
                os.close(self._fd)
            self._fd = os.dup(sock.fileno())

    def read(self, count: int) -> None:
        """Count what was read. Raises ValueError beyond LIMIT."""
        self.left -= count
        if self.left < 0:
            raise ValueError("the answer is too long")

    def cut(self) -> None:
        """End the call, from another thread."""
        with self._lock:
            self.over = True
            if self._fd < 0:
                return
            sock = socket.socket(fileno=self._fd)
            with contextlib.suppress(OSError):  # the other side has just closed it
                sock.shutdown(socket.SHUT_RDWR)
            sock.detach()


here = threading.local()
"""`call`: the call of this thread."""


class _Counted(io.RawIOBase):
    """What comes over a connection, counted for the call. A line without an end is cut off here, too."""

    def __init__(self, raw: Any, call: Call) -> None:
        self._raw = raw
        self._call = call

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count: int | None = self._raw.readinto(buffer)
        self._call.read(count or 0)
        return count

    def fileno(self) -> int:
        return int(self._raw.fileno())

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        raw = self.fp.detach()  # a BufferedReader
        self.fp = io.BufferedReader(_Counted(raw, here.call))


class _Noted:
    """A connection that tells the call of its thread which socket it uses, from the moment that it is open."""

    response_class = _Response
    sock: Any

    def _new_conn(self) -> Any:
        sock = super()._new_conn()  # type: ignore[misc] # urllib3's
        try:
            here.call.use(sock)
        except BaseException:
            sock.close()
            raise
        return sock

    def request(self, *arguments: Any, **options: Any) -> Any:
        if self.sock is not None:
            here.call.use(self.sock)
        return super().request(*arguments, **options)  # type: ignore[misc]


class _Connection(_Noted, awsrequest.AWSHTTPConnection):  # type: ignore[misc] # botocore's stubs disagree with urllib3
    pass


class _TlsConnection(_Noted, awsrequest.AWSHTTPSConnection):  # type: ignore[misc]
    pass


class Pool(awsrequest.AWSHTTPConnectionPool):
    ConnectionCls = _Connection


class TlsPool(awsrequest.AWSHTTPSConnectionPool):
    ConnectionCls = _TlsConnection
