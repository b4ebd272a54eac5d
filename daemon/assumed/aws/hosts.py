"""Which hosts hold up those who call them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator

from botocore import exceptions as boto

SLOW = 3.0
"""Seconds after which a failing call has shown that its host holds up those who call it."""


class HostHeld(boto.HTTPClientError):
    """The host failed slowly the last time, and another call is finding out whether it answers again."""

    fmt = "{host} did not answer the previous call; one call at a time probes it"


class Hosts:
    """A host whose last call failed slowly is called once at a time, until it answers or fails fast.

    Hundreds of sources may share a host. Each of them would wait out its own deadline, and take a worker to do so.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()
        self._held: set[str] = set()
        self._answered: dict[str, float] = {}

    @contextlib.contextmanager
    def calling(self, host: str) -> Iterator[None]:
        """Around one call. Raises HostHeld."""
        with self._lock:
            if host in self._held and self._calls[host]:
                raise HostHeld(host=host)
            self._calls[host] += 1
        began = time.monotonic()
        try:
            yield
        except Exception:
            self._failed(host, began)
            raise
        else:
            with self._lock:
                self._held.discard(host)
                self._answered[host] = time.monotonic()
        finally:
            with self._lock:
                self._calls[host] -= 1

    def _failed(self, host: str, began: float) -> None:
        with self._lock:
            if time.monotonic() - began < SLOW:
                self._held.discard(host)
            elif self._answered.get(host, -1.0) <= began:  # else only this one call was unlucky
                self._held.add(host)
