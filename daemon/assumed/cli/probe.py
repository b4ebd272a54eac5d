"""What `assumed probe` asks `assumed serve`, without click: the kubelet asks three times every few seconds,
and what they cost is taken from the container's share of the processor (15 ms each, and 47 with click)."""

from __future__ import annotations

import sys

PATIENCE = 1.0
"""Seconds to wait for each part of an answer."""
PORT = 9911
PATHS = {"liveness": "/livez", "readiness": "/readyz"}
"""As in `jobs.provider`, which imports half of the daemon (a test compares them)."""
OK, FAILING, NOT_RUNNING = 0, 1, 3


def quick(arguments: list[str]) -> int | None:
    """Answer `KIND --token-file PATH [--port N]`, in any order; None for what only click understands."""
    words = list(arguments)
    options = {"--port": str(PORT)}
    for name in ("--token-file", "--port"):
        if name in words[:-1]:
            position = words.index(name)
            options[name] = words[position + 1]
            del words[position : position + 2]
    port = int(options["--port"]) if options["--port"].isdecimal() else 0
    if len(words) != 1 or words[0] not in PATHS or "--token-file" not in options or not 0 < port < 65536:
        return None
    return ask(words[0], options["--token-file"], port)


def ask(kind: str, token_file: str, port: int) -> int:
    """Ask the `assumed serve` that wrote the token file. Returns the exit status; says what is wrong on stderr."""
    try:
        with open(token_file, encoding="utf-8") as file:  # noqa: PTH123 (pathlib costs 6 ms)
            status, body = _get(port, PATHS[kind], file.read())
    except (OSError, ValueError, IndexError) as error:
        sys.stderr.write(f"assumed: no `assumed serve` answers on port {port}: {error}\n")
        return NOT_RUNNING
    if status == 200:
        return OK
    import json

    try:
        reason = json.loads(body)["Message"]
    except (ValueError, LookupError, TypeError):
        reason = f"port {port} answers with status {status}, but is not `assumed serve`"
    sys.stderr.write(f"assumed: {reason}\n")
    return FAILING


def _get(port: int, path: str, token: str) -> tuple[int, str]:
    """Status and body of an answer of our own endpoint, which closes the connection after it."""
    from _socket import AF_INET, SOCK_STREAM, socket  # `import socket` costs 10 ms: selectors, enum

    channel = socket(AF_INET, SOCK_STREAM)
    try:
        channel.settimeout(PATIENCE)
        channel.connect(("127.0.0.1", port))
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: {token}\r\n\r\n"
        channel.sendall(request.encode())
        received = b""
        while piece := channel.recv(65536):
            received += piece
    finally:
        channel.close()
    head, _, body = received.decode().partition("\r\n\r\n")
    return int(head.split(" ", 2)[1]), body
