"""The control socket: one JSON object per line, one request per connection, for this user alone."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from assumed.errors import FileRefused, NotAnswering, NotRunning
from assumed.files import explained
from assumed.paths import SOCKETS, is_free_or_ours, socket_path

MAX_REQUEST = 64 * 1024
MAX_ANSWER = 16 * 1024 * 1024
TIMEOUT = 5.0
"""Seconds that a client waits for an answer. Long: a daemon that is not there refuses at once."""
PATIENCE = 1.5
"""Seconds that a client has to send its request: less than it waits for the answer."""
CLIENTS = 16

Request = dict[str, Any]
Answer = dict[str, Any]


def place_socket(state_dir: Path) -> Path:
    """Where to listen: `socket_path`, which is another one from now on if another account has taken that name.

    Raises FileRefused.
    """
    path = socket_path(state_dir)
    if is_free_or_ours(path.parent):
        return path
    with explained("listen beside", path.parent):
        private = Path(tempfile.mkdtemp(prefix=f"assumed-{os.getuid()}-", dir=SOCKETS)) / path.name
        link = state_dir / path.name
        link.unlink(missing_ok=True)
        link.symlink_to(private)
    return private


def ask(path: Path, request: Request, timeout: float = TIMEOUT) -> Answer:
    """Send one request and return the answer.

    Raises NotRunning when no daemon listens, NotAnswering when one does and no answer comes within `timeout` seconds.
    """
    if not _is_own(path.parent):
        raise NotRunning(f"no assumed daemon listens on {path}; start it with: assumed run")
    deadline = time.monotonic() + timeout
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            _connect(channel, path, deadline)
            channel.sendall(json.dumps(request).encode() + b"\n")
            line = _read_line(channel, MAX_ANSWER, max(0.001, deadline - time.monotonic()))
        return _parse_answer(line)
    except (BlockingIOError, TimeoutError):
        raise _not_answering(path, f"no answer within {timeout:.0f} s") from None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise _not_answering(path, error) from None


def _parse_answer(line: bytes) -> Answer:
    if not line:
        raise ConnectionResetError("the connection was closed")
    answer = json.loads(line)
    if not isinstance(answer, dict):
        raise TypeError("the answer is not a JSON object")
    return answer


def _not_answering(path: Path, reason: object) -> NotAnswering:
    return NotAnswering(
        f"the daemon on {path} runs but does not answer: {reason} → try again; if it stays so, restart the daemon"
    )


def _connect(channel: socket.socket, path: Path, deadline: float) -> None:
    """Connect. A full queue of connections belongs to a daemon that runs: Linux says EAGAIN at once for it."""
    while True:
        channel.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            return channel.connect(str(path))
        except (BlockingIOError, TimeoutError):
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.02)
        except OSError as error:
            raise NotRunning(f"no assumed daemon listens on {path} ({error}); start it with: assumed run") from None


def _is_own(directory: Path) -> bool:
    try:
        status = directory.stat(follow_symlinks=False)
    except OSError:
        return False
    return status.st_uid == os.getuid()


class ControlServer:
    """Answers each request in a thread of its own through `answer`, which must be thread-safe, quick and never raise.

    A client that sends nothing, or a letter every second, delays no other; CLIENTS of them together do so for PATIENCE
    seconds at most.
    """

    def __init__(self, path: Path, answer: Callable[[Request], Answer]) -> None:
        """Bind the socket 0600. The instance lock is held, so a socket at that path is a dead daemon's.

        Raises FileRefused where that cannot be done.
        """
        self._path = path
        self._answer = answer
        self._slots = threading.BoundedSemaphore(CLIENTS)
        with explained("listen on", path):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            if not _is_own(path.parent):
                raise FileRefused(f"{path.parent} belongs to another user", "Remove it, or have its owner do so")
            path.unlink(missing_ok=True)
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            mask = os.umask(0o177)
            try:
                self._socket.bind(str(path))
            except OSError:
                self._socket.close()
                raise
            finally:
                os.umask(mask)
            self._inode = path.lstat().st_ino
        self._socket.listen(64)
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="control", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and remove the socket, unless another server has replaced it."""
        self._wake.close()  # which makes its other end readable
        if self._thread.is_alive():
            self._thread.join(TIMEOUT)
        self._socket.close()
        self._woken.close()
        with contextlib.suppress(OSError):  # the fallback directory is empty then; the state directory never is
            if self.is_in_place():
                self._path.unlink()
            self._path.parent.rmdir()

    def is_in_place(self) -> bool:
        """Whether the socket at that path is still this server's."""
        try:
            return self._path.lstat().st_ino == self._inode
        except OSError:
            return False

    def _serve(self) -> None:
        # Not select(), which ends this thread as soon as one of the two descriptors is beyond 1023.
        ready = select.poll()
        ready.register(self._socket, select.POLLIN)
        ready.register(self._woken, select.POLLIN)
        while not any(fd == self._woken.fileno() for fd, _ in ready.poll()):
            self._accept()

    def _accept(self) -> None:
        try:
            channel, _ = self._socket.accept()
        except OSError:  # the client has gone again, or there are no descriptors left just now
            time.sleep(0.01)
            return
        # Twice, for the clients that hold the places began in this same moment: one of the two must end first.
        if not self._slots.acquire(timeout=2 * PATIENCE):
            channel.close()
            return
        try:
            threading.Thread(target=self._one, args=[channel], name="control client", daemon=True).start()
        except RuntimeError:  # no thread can be had: this one client gets no answer
            channel.close()
            self._slots.release()

    def _one(self, channel: socket.socket) -> None:
        try:
            with channel, contextlib.suppress(OSError):  # the client went away
                if peer_uid(channel) in {os.getuid(), 0}:
                    channel.sendall(json.dumps(self._reply(channel)).encode() + b"\n")
        finally:
            self._slots.release()

    def _reply(self, channel: socket.socket) -> Answer:
        try:
            request = json.loads(_read_line(channel, MAX_REQUEST, PATIENCE))
        except (ValueError, RecursionError):
            return {"error": "a request is one line of JSON"}
        return self._answer(request) if isinstance(request, dict) else {"error": "a request is a JSON object"}


def peer_uid(channel: socket.socket) -> int:
    """User id of the process at the other end. The mode of the socket is not enough: some systems ignore it."""
    if sys.platform == "darwin":
        # struct xucred: version, uid, ngroups, groups (sys/ucred.h); SOL_LOCAL is 0, LOCAL_PEERCRED 1
        _, uid = struct.unpack_from("=II", channel.getsockopt(0, 1, 76))
        return int(uid)
    _, uid, _ = struct.unpack("3i", channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)


def _read_line(channel: socket.socket, limit: int, within: float) -> bytes:
    """One line, or what comes before the end. Raises ValueError beyond `limit` bytes, OSError when time is up."""
    received = bytearray()
    deadline = time.monotonic() + within
    while not received.endswith(b"\n"):
        channel.settimeout(max(0.001, deadline - time.monotonic()))
        part = channel.recv(65536)
        if not part:
            break
        received += part
        if len(received) > limit:
            raise ValueError("too long")
    channel.settimeout(within)
    return bytes(received)
