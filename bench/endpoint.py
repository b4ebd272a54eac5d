"""The credentials endpoint of `serve` and `exec`: an SDK's time-out is one or two seconds, with a request under way."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from .kit import Bench, Sts, daemon_of, names, percentile, say, sts
from .rows import Row, Target

BESIDE = "a socket that answers bytes"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 800\r\nConnection: close\r\n\r\n" + b"x" * 800


def endpoint(bench: Bench) -> Iterator[Row]:
    """One request after the other, each on its own connection, as SDKs ask."""
    count = 1_000 if bench.quick else 10_000
    say(f"endpoint, {count} requests")
    with sts(latency_ms=0) as server, _floor() as url:
        taken = bench.take(
            1, lambda python: {"p99": _served(server, python, count)}, {BESIDE: lambda: _p99(url, "", count)}
        )
    yield taken.row(f"endpoint, p99 of {count:,} requests", "ms", "p99", BESIDE, target=Target(20.0, 5.0, of="ours"))


def _served(server: Sts, python: str, count: int) -> float:
    (profile,) = names(1)
    with daemon_of(server, 1, python) as daemon:
        token = daemon.home.path / "token"
        argv = [python, "-m", "assumed", "serve", profile, "--json"]
        argv += ["--port", str(_free_port()), "--token-file", str(token)]
        environment = daemon.home.environment(AWS_ENDPOINT_URL_STS=server.url)
        void = subprocess.DEVNULL
        with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=void, text=True) as serving:
            assert serving.stdout is not None
            try:
                url = json.loads(serving.stdout.readline())["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
                return _p99(url, token.read_text(), count)
            finally:
                serving.terminate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _p99(url: str, token: str, count: int) -> float:
    """Milliseconds that 99 of 100 requests stay below, from connection to the last byte."""
    parts = urlsplit(url)
    took = []
    for _ in range(count):
        began = time.perf_counter()
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
        connection.request("GET", parts.path, headers={"Authorization": token})
        answer = connection.getresponse()
        assert answer.status == 200
        answer.read()
        connection.close()
        took.append((time.perf_counter() - began) * 1000)
    return percentile(took, 0.99)


@contextmanager
def _floor() -> Iterator[str]:
    """What a connection, a thread switch and an answer of that size cost anyway."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_serve, args=[server])
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(server: socket.socket) -> None:
    while True:
        try:
            channel, _ = server.accept()
        except OSError:
            return
        with channel:
            channel.recv(65536)
            channel.sendall(ANSWER)
