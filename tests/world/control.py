"""The control socket for any client: one line of JSON each way. Imports nothing of `assumed`."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from pathlib import Path
from typing import Any

LONGEST_PATH = 100
"""Bytes. If a socket's path is longer, it is in /tmp."""
WITHIN = 60.0
"""Seconds for an answer, also on a machine that is ten times slower."""


class NotRunning(Exception):
    """No daemon answers."""


def state_of(credentials: Path) -> Path:
    """The state directory of a credentials file: beside the real file, one per name."""
    real = Path(os.path.realpath(credentials))
    return real.parent / ("assumed" if real.name == "credentials" else f"assumed-{real.name}")


def socket_of(state: Path) -> Path:
    """Where the daemon of a state directory listens."""
    path = state / "control.sock"
    if len(os.fsencode(path)) < LONGEST_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(state)).hexdigest()[:12]
    return Path(f"/tmp/assumed-{os.getuid()}-{digest}/control.sock")


def ask(state: Path, request: dict[str, Any], within: float = WITHIN) -> dict[str, Any]:
    """The answer to one request. Raises NotRunning."""
    received = b""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(within)
            channel.connect(str(socket_of(state)))
            channel.sendall(json.dumps(request).encode() + b"\n")
            while not received.endswith(b"\n") and (part := channel.recv(65536)):
                received += part
        return dict(json.loads(received))
    except (OSError, ValueError) as error:
        raise NotRunning(f"no daemon answers for {state}: {error}") from None
