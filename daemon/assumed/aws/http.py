"""HTTP that ends: a call is given DEADLINE seconds and LIMIT bytes, whatever the server or a proxy sends.

A read time-out bounds one `recv`, not a call: a body or a header that drips, an endless `100 Continue` and a proxy that
drips its answer to CONNECT all outlast it, and botocore reads an endless body whole. So what botocore sends goes, by
its event `before-send`, through HTTP sessions of botocore's (proxies, TLS and CA bundles stay its business) whose
connections allow each read no more than what is left of the call. Name resolution ends by the system's resolver.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import io
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from botocore import awsrequest
from botocore import exceptions as boto
from botocore import session as boto_session
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from .urls import Fault, credential_fault, host_of, proxy_fault

DEADLINE = 10.0
"""Seconds for a call. With the longest delay between two tries (49.5 s) it stays below the 60 s in which the end of an
outage is noticed."""
CONNECT = 3.5
"""Seconds to connect to one address of a host: TCP has sent its second repetition by then."""
SILENCE = 8.0
"""Seconds between two bytes."""
LIMIT = 64 * 1024
"""Bytes of an answer, status line and headers included: STS's have 2 to 5 KB."""
SLOW = 3.0
"""Seconds after which a failing call has shown that its host holds up its callers."""


class CallFailed(boto.HTTPClientError):
    """A call that found no whole answer, or could not be made. `fault` and `advice` are sentences without a secret."""

    fmt = "{fault}"

    def __init__(self, code: str, fault: str, advice: str = "check the network, VPN, DNS or proxy") -> None:
        self.code = code
        self.advice = advice
        super().__init__(fault=fault)


class Session(boto_session.Session):
    """A botocore session whose clients are bounded, also those that its credential providers make for themselves."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        http_of = functools.lru_cache(maxsize=32)(self._http_of)
        send: Any = lambda request, **_: http_of(*urlsplit(request.url)[:2]).send(request)  # noqa: E731
        self.register("before-send", send)

    def create_client(self, *arguments: Any, **options: Any) -> Any:
        """As botocore's. Raises CallFailed for an endpoint URL that cannot be read."""
        where = f"the endpoint URL of {arguments[0]}"
        try:
            client: Any = super().create_client(*arguments, **options)
        except ValueError as error:
            _, invalid, url = str(error).partition("Invalid endpoint: ")
            if invalid:
                _check(credential_fault(url) or ("is not a valid URL", "expected e.g. https://sts.example.com"), where)
            raise
        _check(credential_fault(client.meta.endpoint_url), where)
        return client

    def _http_of(self, scheme: str, host: str) -> _Http:
        proxies = get_environ_proxies(f"{scheme}://{host}")
        name = f"{scheme}_proxy"  # urllib takes the name in lower case first
        where = next((one for one in (name, name.upper()) if os.environ.get(one)), "the system's proxy")
        _check(proxy_fault(proxies[scheme]) if proxies.get(scheme) else None, where)
        bundle = self.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE")
        return _http(bundle, tuple(proxies.items()))


def _check(fault: Fault | None, where: str) -> None:
    if fault is not None:
        raise CallFailed("UnusableAddress", f"{where} {fault[0]}", fault[1])


@functools.cache
def _http(bundle: str | None, proxies: tuple[tuple[str, str], ...]) -> _Http:
    # As botocore's clients: without it the body of a request waits 40 ms for the acknowledgement of its headers.
    undelayed = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    return _Http(verify=bundle or True, proxies=dict(proxies), timeout=(CONNECT, SILENCE), socket_options=undelayed)


_call = threading.local()
"""The call of this thread: its `deadline`, and how many bytes are `left` to come."""


class _Http(URLLib3Session):
    """One of botocore's HTTP sessions, each of whose calls ends. Thread-safe, as that is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._bundle = options["verify"] if options["verify"] is not True else None
        # There is no public way to its connections.
        vars(self)["_pool_classes_by_scheme"].update(http=_Pool, https=_TlsPool)

    def send(self, request: Any) -> Any:
        """The whole answer. Raises botocore's HTTPClientErrors, those of this module among them."""
        host = host_of(request.url)
        with _probing(host):
            _call.deadline, _call.left = time.monotonic() + DEADLINE, LIMIT
            try:
                return super().send(request)
            except boto.SSLError as error:
                vars(error)["bundle"] = self._bundle
                raise
            except boto.HTTPClientError as error:
                if _call.left < 0:
                    advice = "check what answers there: AWS's answers are short"
                    raise CallFailed("AnswerTooLong", f"{host} sent more than {LIMIT} bytes", advice) from None
                if time.monotonic() >= _call.deadline:
                    fault = f"{host} did not complete its answer within {DEADLINE:.0f} s"
                    raise CallFailed("NoAnswerInTime", fault) from None
                raise error  # noqa: TRY201


class _Reader(io.RawIOBase):
    """What comes over a connection, within the bounds of the call. A line without an end is cut off here, too."""

    def __init__(self, sock: Any, raw: Any) -> None:
        self._sock = sock
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        seconds = _call.deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("the deadline of the call has passed")
        self._sock.settimeout(min(seconds, SILENCE))
        count: int | None = self._raw.readinto(buffer)
        _call.left -= count or 0
        if _call.left < 0:
            raise ValueError("the answer is too long")
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp = io.BufferedReader(_Reader(sock, self.fp.detach()))


class _Connection(awsrequest.AWSHTTPConnection):
    response_class = _Response  # type: ignore[assignment] # botocore's stubs disagree with http.client


class _TlsConnection(awsrequest.AWSHTTPSConnection):
    response_class = _Response  # type: ignore[assignment]


class _Pool(awsrequest.AWSHTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(awsrequest.AWSHTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_held: dict[str, threading.Lock] = {}
"""Hosts whose last call failed slowly → held by the call that probes it."""
_answered: dict[str, float] = {}
"""Host → when it last answered."""


@contextlib.contextmanager
def _probing(host: str) -> Iterator[None]:
    """Around one call. A host that failed slowly is called once at a time, until it answers or fails fast: hundreds of
    sources may share it, and each would wait out its own deadline and take a worker to do so. Raises CallFailed."""
    probe = _held.get(host)
    if probe is not None and not probe.acquire(blocking=False):
        raise CallFailed("HostHeld", f"{host} did not answer the previous call; one call at a time probes it")
    began = time.monotonic()
    try:
        yield
    except Exception:
        if time.monotonic() - began < SLOW:
            _held.pop(host, None)
        elif _answered.get(host, -1.0) <= began:  # else only this one call was unlucky
            _held.setdefault(host, threading.Lock())
        raise
    else:
        _held.pop(host, None)
        _answered[host] = time.monotonic()
    finally:
        if probe is not None:
            probe.release()
