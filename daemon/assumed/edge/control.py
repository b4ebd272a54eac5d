"""The control socket: one JSON object per line, one request per connection, for this user alone."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import struct
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from assumed.core.errors import NotRunning

MAX_REQUEST = 64 * 1024
MAX_ANSWER = 16 * 1024 * 1024
MAX_PATH = 100
"""Bytes: sun_path holds 108 on Linux and 104 on macOS, the final NUL included."""
TIMEOUT = 2.0

Request = dict[str, Any]
Answer = dict[str, Any]


def socket_path(state_dir: Path) -> Path:
    """Where the control socket of a state directory lies; a private fallback where the path would be too long."""
    path = state_dir / "control.sock"
    if len(os.fsencode(path)) < MAX_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:12]
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    return base / f"assumed-{os.getuid()}-{digest}" / "control.sock"


def ask(path: Path, request: Request, timeout: float = TIMEOUT) -> Answer:
    """Send one request and return the answer. Raises NotRunning when no daemon answers within `timeout` seconds."""
    if not _is_ours(path.parent):
        raise NotRunning(f"no assumed daemon answers on {path}; start it with: assumed run")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(timeout)
            channel.connect(str(path))
            channel.sendall(json.dumps(request).encode() + b"\n")
            answer = _read_line(channel, MAX_ANSWER)
        return dict(json.loads(answer))
    except (OSError, ValueError) as error:
        raise NotRunning(f"no assumed daemon answers on {path} ({error}); start it with: assumed run") from None


def _is_ours(directory: Path) -> bool:
    try:
        status = directory.stat(follow_symlinks=False)
    except OSError:
        return False
    return status.st_uid == os.getuid()


class ControlServer:
    """Answers requests in a thread of its own through `answer`, which must be thread-safe and quick."""

    def __init__(self, path: Path, answer: Callable[[Request], Answer]) -> None:
        """Bind the socket 0600. The instance lock is held, so a socket that lies there is a dead one's."""
        self._path = path
        self._answer = answer
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if not _is_ours(path.parent):
            raise NotRunning(f"{path.parent} belongs to another user; remove it")
        path.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            self._socket.bind(str(path))
        finally:
            os.umask(mask)
        self._socket.listen(64)
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, name="control", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and remove the socket."""
        self._stopping = True
        # shutdown wakes accept() on Linux, a connection of our own does so everywhere
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
                channel.settimeout(TIMEOUT)
                channel.connect(str(self._path))
        except OSError as error:
            self._socket.close()
            raise NotRunning(f"the control socket {self._path} was gone before the daemon: {error}") from None
        self._thread.join(TIMEOUT)
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        while True:
            try:
                channel, _ = self._socket.accept()
            except OSError:
                return
            with channel:
                if self._stopping:
                    return
                channel.settimeout(TIMEOUT)
                self._one(channel)

    def _one(self, channel: socket.socket) -> None:
        try:
            if peer_uid(channel) not in {os.getuid(), 0}:
                return
            request = json.loads(_read_line(channel, MAX_REQUEST))
            answer = self._answer(request) if isinstance(request, dict) else {"error": "a request is a JSON object"}
            channel.sendall(json.dumps(answer).encode() + b"\n")
        except ValueError:
            channel.sendall(b'{"error": "a request is one line of JSON"}\n')
        except OSError:
            return  # the client went away; there is nobody left to tell


def peer_uid(channel: socket.socket) -> int:
    """User id of the process at the other end. The mode of the socket is not enough: some systems ignore it."""
    if sys.platform == "darwin":
        # struct xucred: version, uid, ngroups, groups (sys/ucred.h); SOL_LOCAL is 0, LOCAL_PEERCRED 1
        _, uid = struct.unpack_from("=II", channel.getsockopt(0, 1, 76))
        return int(uid)
    _, uid, _ = struct.unpack("3i", channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)


def _read_line(channel: socket.socket, limit: int) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n"):
        part = channel.recv(65536)
        if not part:
            break
        received += part
        if len(received) > limit:
            raise ValueError("too long")
    return bytes(received)
