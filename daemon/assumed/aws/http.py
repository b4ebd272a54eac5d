"""HTTP that ends: no call takes longer than DEADLINE or reads more than LIMIT, whatever the server or proxy sends.

A read time-out bounds one `recv`, not a call: a body or a header that drips, an endless `100 Continue`, a proxy that
drips its answer to CONNECT all outlast it, and botocore reads an endless body whole. So each call runs in a thread of
its own, through botocore's HTTP session (proxies, TLS, CA bundles and client certificates stay its business), over
connections that tell their call which socket is in use. At the deadline that socket is shut down. A thread that no
socket can end (name resolution) is abandoned, and its answer dropped.
"""

from __future__ import annotations

import os
import queue
import threading
from typing import Any
from urllib.parse import urlsplit

from botocore import exceptions as boto
from botocore import session as boto_session

from assumed.errors import RenewalFailed
from assumed.model import FailureKind

from .connections import LIMIT, Call, Pool, TlsPool
from .hosts import HostHeld, Hosts
from .urls import credential_fault, host_of, proxy_fault

DEADLINE = 10.0
"""Seconds for a call, from name resolution to the last byte. With the longest delay between two tries (49.5 s) it stays
below the 60 s in which the end of an outage is noticed."""
GRACE = 1.0
"""Seconds for a thread to end once its socket has been shut down."""
MOST_IDLE = 10
"""Threads kept for the next calls: to start one costs a tenth of a call."""
MOST_ABANDONED = 20
"""Threads that are still stuck in calls that are over: with more, no further call is begun."""


class NoAnswerInTime(boto.HTTPClientError):
    """The deadline passed before the answer was complete."""

    fmt = "{host} did not complete its answer within {seconds:.0f} s"


class AnswerTooLong(boto.HTTPClientError):
    """More than LIMIT bytes came."""

    fmt = "{host} sent more than {limit} bytes"


class TooManyStuck(boto.HTTPClientError):
    """MOST_ABANDONED threads are stuck."""

    fmt = "{count} earlier calls are stuck, probably in name resolution"


class UnusableAddress(boto.HTTPClientError):
    """A proxy or an endpoint that no call can use. `fault` and `advice` are sentences without a secret."""

    fmt = "{fault}"

    def __init__(self, *, fault: str, advice: str) -> None:
        self.advice = advice
        super().__init__(fault=fault)


def explained(error: Exception) -> RenewalFailed | None:
    """What a failure of this module means for a renewal; None for any other exception."""
    code = type(error).__name__
    if isinstance(error, UnusableAddress):
        return RenewalFailed(FailureKind.MISCONFIGURED, code, str(error), error.advice)
    if isinstance(error, AnswerTooLong):
        return RenewalFailed(
            FailureKind.TRANSIENT, code, str(error), "check what answers there: AWS's answers are short"
        )
    if isinstance(error, NoAnswerInTime | HostHeld | TooManyStuck):
        advice = "check the network, VPN, DNS or proxy"
        return RenewalFailed(FailureKind.UNREACHABLE, code, str(error), advice)
    return None


class Session(boto_session.Session):
    """A botocore session whose clients are bounded, also those that its credential providers make for themselves."""

    def create_client(self, *arguments: Any, **options: Any) -> Any:
        """As botocore's. Raises UnusableAddress for an endpoint URL that cannot be read."""
        try:
            client: Any = super().create_client(*arguments, **options)
            fault = credential_fault(client.meta.endpoint_url)
        except ValueError as error:
            _, invalid, url = str(error).partition("Invalid endpoint: ")
            if not invalid:
                raise
            fault = credential_fault(url) or ("is not a valid URL", "expected e.g. https://sts.example.com")
        if fault is not None:
            raise UnusableAddress(fault=f"the endpoint URL of {arguments[0]} {fault[0]}", advice=fault[1])
        # botocore has no public way to the HTTP session of a client.
        bounded = Bounded(client._endpoint.http_session)  # noqa: SLF001
        client.meta.events.register_first("before-send", lambda request, **_: bounded.send(request))
        return client


class Bounded:
    """One of botocore's HTTP sessions, each of whose calls ends. Thread-safe, as that is."""

    def __init__(self, session: Any) -> None:
        self._session = session
        session._pool_classes_by_scheme.update(http=Pool, https=TlsPool)  # noqa: SLF001 - nor to its connections

    def send(self, request: Any) -> Any:
        """The whole answer. Raises botocore's HTTPClientErrors, those of this module among them."""
        self._check_proxy(request.url)
        host = host_of(request.url)
        with _hosts.calling(host):
            return self._send_in_thread(request, host)

    def close(self) -> None:
        """As botocore's."""
        self._session.close()

    def _check_proxy(self, url: str) -> None:
        proxy = self._session._proxy_config.proxy_url_for(url)  # noqa: SLF001
        fault = proxy_fault(proxy) if proxy else None
        if fault is not None:
            raise UnusableAddress(fault=f"{_proxy_variable(url)} {fault[0]}", advice=fault[1])

    def _send_in_thread(self, request: Any, host: str) -> Any:
        call = Call(lambda: self._session.send(request))
        _threads.run(call)
        if not call.ended.acquire(timeout=DEADLINE):
            call.cut()
            if not call.ended.acquire(timeout=GRACE):
                _threads.abandon(call)
            raise NoAnswerInTime(host=host, seconds=DEADLINE)
        if call.left < 0:
            raise AnswerTooLong(host=host, limit=LIMIT)
        if call.error is not None:
            raise call.error
        return call.answer


def _proxy_variable(url: str) -> str:
    """Where the proxy for a URL is named: urllib takes the name in lower case first."""
    name = f"{urlsplit(url).scheme}_proxy"
    return next((one for one in (name, name.upper()) if os.environ.get(one)), "the system's proxy")


class _Threads:
    """Threads that make calls: a call takes one that is idle, or a new one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[queue.SimpleQueue[Call]] = []
        """Where each idle thread waits for its next call."""
        self._abandoned: set[Call] = set()

    def run(self, call: Call) -> None:
        """Have the call made. Raises TooManyStuck, and HTTPClientError when no thread can be started."""
        with self._lock:
            if len(self._abandoned) >= MOST_ABANDONED:
                raise TooManyStuck(count=len(self._abandoned))
            inbox = self._idle.pop() if self._idle else None
        if inbox is not None:
            inbox.put(call)
            return
        try:
            threading.Thread(target=self._work, args=[call], name="http", daemon=True).start()
        except RuntimeError as error:  # the user's processes have used up all threads
            raise boto.HTTPClientError(error=error) from None

    def abandon(self, call: Call) -> None:
        """Count the call as stuck until it ends."""
        with self._lock:
            if not call.done:
                self._abandoned.add(call)

    def _work(self, call: Call) -> None:
        inbox: queue.SimpleQueue[Call] = queue.SimpleQueue()
        while True:
            call.make()
            with self._lock:
                call.done = True
                self._abandoned.discard(call)
                keep = len(self._idle) < MOST_IDLE
                if keep:
                    self._idle.append(inbox)
            # Not sooner: the next call of the one who waits for this takes this thread.
            call.finish()
            if not keep:
                return
            del call  # with its answer, which is nobody's any more
            call = inbox.get()


_threads = _Threads()
_hosts = Hosts()
