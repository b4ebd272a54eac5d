"""Waiting for something to become true, with a deadline, never for luck.

`make test` runs beside whatever else a machine does: nothing in it may fail on one that is ten times slower. So a
deadline is stretched, and a duration that is promised is asserted by `make proof` alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

from .scores import SCORES

T = TypeVar("T")

SLOWER = 10
"""Times that a machine may be slower than the one a deadline was written on."""
STRETCHED = 25.0
"""Seconds that a short deadline grows to at most: less than a heartbeat, which mends what has been missed. A longer one
holds as it is."""
PROOF = SCORES in os.environ
"""Whether `make proof` runs this."""


def patient(seconds: float) -> float:
    """The deadline, in seconds, that a machine ten times slower meets too. Only a failing test waits for it."""
    return max(seconds, min(SLOWER * seconds, STRETCHED))


def in_time(began: float, at_most: float) -> bool:
    """Whether no more than `at_most` seconds have passed since `began` (time.monotonic), which is promised.

    Only `make proof` looks, so a test that asks has the mark `proof` or `slow`; elsewhere True.
    """
    return not PROOF or time.monotonic() - began <= at_most


def eventually(predicate: Callable[[], T], within: float, every: float = 0.02, saying: str = "") -> T:
    """The first true value of `predicate`, asked every `every` seconds.

    Raises AssertionError when a machine on which it usually takes no longer than `within` seconds has had its time.
    """
    deadline = time.monotonic() + patient(within)
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"{saying or 'it'} did not happen within {patient(within)} s; last seen: {value!r}")
        time.sleep(every)
