"""Which expiry consumers see, and what they get after it: `exec`, `serve`, `credential-process`."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urljoin

from process.kit import arn
from world.daemon import Home, python, role
from world.fake_sts import FakeSts
from world.waiting import eventually

SKEW = 5.0
"""Seconds. STS uses whole seconds, and a session's life counts from the receipt of the answer."""
URL, TOKEN = "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN"
TELL = f"import json, os, sys; print(json.dumps([os.environ[{URL!r}], os.environ[{TOKEN!r}]]), flush=True); input()"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where sessions are requested."""

    url: str
    token: str

    def ask(self, path: str = "") -> tuple[int, dict[str, Any]]:
        """Status and document; never a session that had expired before the request."""
        asked = time.time()
        request = urllib.request.Request(urljoin(self.url, path), headers={"Authorization": self.token})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                status, found = answer.status, dict(json.load(answer))
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(json.load(error))
        assert end_told(found) > asked - SKEW, "a session that has ended"
        return status, found


def end_told(document: dict[str, Any]) -> float:
    """POSIX seconds; infinite for a document without a session."""
    told = document.get("Expiration")
    return datetime.fromisoformat(told).timestamp() if told else float("inf")


@contextmanager
def endpoints(home: Home, sts: FakeSts, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run one `assumed` command."""
    with subprocess.Popen(
        [python(), "-m", "assumed", *arguments],
        env=home.environment(AWS_ENDPOINT_URL_STS=sts.url),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextmanager
def serving(home: Home, sts: FakeSts, *profiles: str) -> Iterator[list[Endpoint]]:
    """`assumed serve`, and the endpoint of each profile."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    token = home.path / "token"
    arguments = ["serve", *profiles, "--port", port, "--token-file", str(token), "--json"]
    with endpoints(home, sts, *arguments) as process:
        assert process.stdout is not None
        told = [json.loads(process.stdout.readline()) for _ in profiles]
        yield [Endpoint(one[URL], token.read_text()) for one in told]


@contextmanager
def executing(home: Home, sts: FakeSts, profile: str) -> Iterator[Endpoint]:
    """`assumed exec`, and the endpoint that its command sees."""
    with endpoints(home, sts, "exec", profile, "--", sys.executable, "-c", TELL) as process:
        assert process.stdout is not None
        yield Endpoint(*json.loads(process.stdout.readline()))


def test_no_consumer_gets_an_expired_session(aws_home: Home, sts: FakeSts) -> None:
    """STS is down past the expiry: 503, not ready, and no output of a credential_process."""
    sts.rule("*", session_seconds=3)
    aws_home.configure(role("a", arn("a")))
    with serving(aws_home, sts, "a") as (served,), executing(aws_home, sts, "a") as executed:
        both = served, executed
        assert [endpoint.ask()[0] for endpoint in both] == [200, 200]
        assert served.ask("/readyz")[0] == 200
        sts.outage(True)
        eventually(lambda: [endpoint.ask()[0] for endpoint in both] == [503, 503], 10)
        assert served.ask("/readyz")[0] == 503
        assert served.ask("/livez")[0] == 200, "a restart would mend nothing"
        done = aws_home.assumed("credential-process", "a", AWS_ENDPOINT_URL_STS=sts.url)
        assert (done.returncode, done.stdout) == (1, "")
        sts.outage(False)
        eventually(lambda: [endpoint.ask()[0] for endpoint in both] == [200, 200], 10)


def test_consumers_see_an_expiry_that_is_slightly_early(aws_home: Home, sts: FakeSts) -> None:
    """By 5 % of the session's life, at most a minute: some SDKs renew only after expiry."""
    seconds = {"short": 900, "long": 3600}
    for name, life in seconds.items():
        sts.rule(arn(name), session_seconds=life)
    aws_home.configure(*(role(name, arn(name)) for name in seconds))
    with serving(aws_home, sts, *seconds) as served:
        told = [endpoint.ask()[1] for endpoint in served]
    told += [json.loads(aws_home.assumed("credential-process", name).stdout) for name in seconds]
    early = [(sts.key(one["AccessKeyId"]).expiration or 0) - end_told(one) for one in told]
    assert early == [45, 60, 45, 60]


def test_commands_that_start_together_make_one_call(aws_home: Home, sts: FakeSts) -> None:
    """Without a daemon: the first one renews, the others use what it stored."""
    sts.rule("*", session_seconds=900, latency=1.0)
    aws_home.configure(role("a", arn("a")))
    with ThreadPoolExecutor(4) as pool:
        done = pool.map(lambda _: aws_home.assumed("exec", "a", "--", "true", AWS_ENDPOINT_URL_STS=sts.url), range(4))
        assert [one.returncode for one in done] == [0] * 4
    assert len(sts.calls) == 1
