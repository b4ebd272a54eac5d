"""Waiting for something to become true, with a deadline, never for luck."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(predicate: Callable[[], T], within: float, every: float = 0.02, saying: str = "") -> T:
    """The first true value of `predicate`, asked every `every` seconds. Raises AssertionError after `within`."""
    deadline = time.monotonic() + within
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"{saying or 'it'} did not happen within {within} s; last seen: {value!r}")
        time.sleep(every)
