"""The credentials endpoint of `serve` and `exec`: an SDK's time-out is one or two seconds, with a request under way."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from .kit import daemon_of, interleaved, names, program, say, seconds_of, sts
from .rows import Row, Target


def rows(quick: bool) -> Iterator[Row]:
    """One request after the other, each on its own connection, as SDKs ask; and the way of `exec` to its command."""
    count, runs = (1_000 if quick else 10_000), (3 if quick else 15)
    with sts(latency_ms=0) as server, daemon_of(server, 1) as daemon, _Floor() as floor:
        say("endpoint")
        (profile,) = names(1)
        token_file = daemon.home.path / "token"
        command = [sys.executable, "-m", "assumed", "serve", profile, "--json", "--port", str(_free_port())]
        environment = daemon.home.environment(AWS_ENDPOINT_URL_STS=server.url)
        with subprocess.Popen(
            [*command, "--token-file", str(token_file)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as serving:
            assert serving.stdout is not None
            url = json.loads(serving.stdout.readline())["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
            ours = _p99(url, token_file.read_text(), count)
            serving.terminate()
        theirs = _p99(floor.url, "", count)
        figure = f"endpoint, p99 of {count:,} requests"
        target = Target(20.0, 5.0, of="ours")
        yield Row("endpoint", figure, "ms", ours, "a socket that answers bytes", theirs, target, 1)
        true = program("true") or "/bin/true"
        ours, bare = interleaved(
            runs,
            lambda: seconds_of([sys.executable, "-m", "assumed", "exec", profile, "--", true], environment) * 1000,
            lambda: seconds_of([sys.executable, "-I", "-c", "pass"], environment) * 1000,
        )
        yield Row("endpoint", "exec, from start to end of `true`", "ms", ours, "python -I -c pass", bare, None, runs)


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
    return sorted(took)[int(0.99 * count)]


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class _Floor:
    """What a connection, a thread switch and an answer of that size cost anyway."""

    ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 800\r\nConnection: close\r\n\r\n" + b"x" * 800

    def __enter__(self) -> _Floor:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                channel, _ = self._socket.accept()
            except OSError:
                return
            with channel:
                channel.recv(65536)
                channel.sendall(self.ANSWER)
