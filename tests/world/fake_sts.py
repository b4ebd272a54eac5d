"""The project's own STS: real HTTP, AWS's words, and every failure on demand.

In a test:

    with FakeSts() as sts:
        sts.rule("*", session_seconds=6)
        sts.rule(arn, error="AccessDenied", times=2)
        ...
        sts.wait_for_calls(3, arn, within=10)

By itself, for benches: `python tests/world/fake_sts.py --latency-ms 50` prints one line of JSON (url, access key)
when it listens, answers `GET /_calls` with counts, and ends on SIGTERM or Ctrl-C.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Self

if not __package__:  # run as a script: its own package is not on the path yet
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from world.sts_rules import ACCOUNT, Authority, Call, Key, Rules
from world.sts_server import StsServer
from world.waiting import patient

SOURCE_KEY = "AKIAFAKESOURCE00"
SOURCE_SECRET = "fake-secret-of-natan"


class FakeSts:
    """An STS in its own thread. `clock` returns POSIX seconds and may be a simulated one."""

    def __init__(self, port: int = 0, clock: Callable[[], float] | None = None) -> None:
        self._port = port
        self._heard = threading.Condition()
        self._authority = Authority(clock or (lambda: time.time()))
        self._rules = Rules()
        self._server = StsServer(self._authority, self._rules, self._hear)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake-sts", daemon=True)
        self.source = self.add_key(SOURCE_KEY, SOURCE_SECRET)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def calls(self) -> list[Call]:
        """Every call so far, oldest first, including those still waiting for their answer."""
        return list(self._server.calls)

    @property
    def peak_in_flight(self) -> int:
        return self._server.peak_in_flight

    @property
    def mfa_codes(self) -> set[str]:
        """One-time codes that are still valid; a test adds to it."""
        return self._authority.mfa_codes

    @property
    def web_tokens(self) -> set[str]:
        """Web identity tokens that are accepted; empty: any."""
        return self._authority.web_tokens

    def secrets(self) -> set[str]:
        """Every secret key and session token: what must appear in no log."""
        keys = list(self._authority.keys.values())
        return {key.secret_access_key for key in keys} | {key.session_token for key in keys if key.session_token}

    def key(self, access_key_id: str) -> Key:
        """The key pair behind an access key id. Raises KeyError."""
        return self._authority.keys[access_key_id]

    def add_key(self, access_key_id: str, secret: str, user: str = "natan") -> Key:
        """Adds a user's key pair, or changes its secret."""
        key = Key(access_key_id, secret, f"arn:aws:iam::{ACCOUNT}:user/{user}")
        self._authority.keys[access_key_id] = key
        return key

    def add_session(self, access_key_id: str, secret: str, session_token: str) -> Key:
        """Adds a session that another service issued."""
        arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/AWSReservedSSO_Developer_0123456789abcdef/natan"
        key = Key(access_key_id, secret, arn, session_token, self._authority.clock() + 3600)
        self._authority.keys[access_key_id] = key
        return key

    def revoke(self, access_key_id: str) -> None:
        """Deletes the key: InvalidClientTokenId from now on."""
        del self._authority.keys[access_key_id]

    def rule(self, role_arn: str = "*", **behaviour: Any) -> None:
        """How calls for `role_arn` (or `*`: all) are answered from now on: the fields of `Behaviour`. None:
        normally."""
        self._rules.set(role_arn, **behaviour)

    def calls_for(self, role_arn: str) -> list[Call]:
        return [call for call in self.calls if call.role_arn == role_arn]

    def wait_for_calls(
        self, n: int, arn: str | None = None, within: float = 10.0, outcome: str | None = None
    ) -> list[Call]:
        """The first `n` answered calls (of that role, with that outcome). Raises AssertionError after the deadline."""
        seconds = patient(within)
        deadline = time.monotonic() + seconds
        with self._heard:
            while True:
                found = [
                    call
                    for call in self.calls
                    if call.outcome and arn in (None, call.role_arn) and outcome in (None, call.outcome)
                ]
                if len(found) >= n:
                    return found[:n]
                left = deadline - time.monotonic()
                if left <= 0:
                    seen = [(call.action, call.role_arn, call.outcome) for call in self.calls][-20:]
                    raise AssertionError(f"{len(found)} of {n} calls within {seconds} s; the last of all calls: {seen}")
                self._heard.wait(left)

    def outage(self, on: bool) -> None:
        """True: connections are cut and refused. False: the same port answers again."""
        if on:
            self._run(self._server.close())
        else:
            self._run(self._server.open(self._server.port))

    def start(self) -> Self:
        self._thread.start()
        self._run(self._server.open(self._port))
        return self

    def stop(self) -> None:
        self._run(self._server.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _hear(self) -> None:
        with self._heard:
            self._heard.notify_all()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)


def main() -> None:
    import argparse
    import json
    import signal

    parser = argparse.ArgumentParser(description="The project's own STS on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--session-seconds", type=float, help="life of issued sessions, whatever is asked for")
    arguments = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with FakeSts(arguments.port) as sts:
        sts.rule("*", latency=arguments.latency_ms / 1000, session_seconds=arguments.session_seconds)
        facts = {"url": sts.url, "access_key_id": SOURCE_KEY, "secret_access_key": SOURCE_SECRET}
        print(json.dumps(facts), flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
