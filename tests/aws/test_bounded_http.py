"""Calls that end: what a black box cannot show. The wires are those of tests/outside/test_2_dripping.py."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import pytest
from urllib3.util import connection

from assumed.aws import http
from assumed.errors import RenewalFailed
from assumed.model import FailureKind
from aws.kit import Home, role
from world.dripping import Dripping
from world.fake_sts import FakeSts
from world.waiting import eventually

from .test_sources import STATIC


@pytest.fixture(autouse=True)
def _quick(aws: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.credentials.write_text(STATIC)
    monkeypatch.setattr(http, "DEADLINE", 0.5)


def failed(aws: Home, **facts: object) -> RenewalFailed:
    with pytest.raises(RenewalFailed) as raised:
        aws.assume(role(**facts))
    return raised.value


def test_a_connection_is_used_again(sts: FakeSts, aws: Home) -> None:
    """Bounded or not: a new one for each call would cost a TLS handshake."""
    for _ in range(3):
        aws.assume(role())

    assert sts._server.connections == 1


def test_a_host_that_failed_slowly_is_called_once_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it answers, or fails at once."""
    clock = [0.0]
    monkeypatch.setattr(http.time, "monotonic", lambda: clock[0])
    calling = http._probing

    def call(seconds: float, error: Exception | None = None) -> None:
        with calling("host-a"):
            clock[0] += seconds
            if error:
                raise error

    with calling("host-a"):
        call(0.1)  # a host that answers takes any number at a time
    with pytest.raises(OSError, match="slow"):
        call(10, OSError("slow"))
    with calling("host-a"), calling("host-b"), pytest.raises(http.CallFailed, match="previous call"):
        call(0)
    with calling("host-a"):
        call(0.1)


def test_one_slow_failure_among_answers_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was that call's own bad luck."""
    clock = [0.0]
    monkeypatch.setattr(http.time, "monotonic", lambda: clock[0])
    calling = http._probing
    with contextlib.suppress(OSError), calling("host-a"):
        clock[0] = 5
        with calling("host-a"):
            pass
        clock[0] = 10
        raise OSError("slow")

    with calling("host-a"), calling("host-a"):
        pass


def test_the_sources_own_calls_are_bounded(aws: Home) -> None:
    """botocore makes clients of its own for a source profile with a role."""
    with Dripping("body") as dripping:
        aws.config.write_text(
            f"[profile source]\nrole_arn = arn:aws:iam::123456789012:role/Above\nsource_profile = keys\n"
            f"endpoint_url = {dripping.url}\nregion = us-west-2\n"
        )
        aws.credentials.write_text(STATIC.replace("[source]", "[keys]"))

        failure = aws.resolve(role())

        assert failure is not None
        assert (failure.kind, failure.code) == (FailureKind.UNREACHABLE, "NoAnswerInTime")
        eventually(lambda: not dripping.open, within=30)


def test_a_request_does_not_wait_for_the_acknowledgement_of_its_headers(
    sts: FakeSts, aws: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nagle's algorithm and a delayed acknowledgement would cost each call 40 ms."""
    options: list[object] = []
    connect = connection.create_connection

    def noted(*arguments: Any, **named: Any) -> socket.socket:
        options.extend(named["socket_options"])
        return connect(*arguments, **named)

    monkeypatch.setattr(connection, "create_connection", noted)
    aws.assume(role())

    assert (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) in options
