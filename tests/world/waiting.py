"""Waiting for a condition with a deadline, never for luck.

`make test` runs beside other load: nothing in it may fail on a machine that is ten times slower. So deadlines are
stretched, and promised durations are asserted only by `make proof`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

from .scores import SCORES

T = TypeVar("T")

SLOWER = 10
"""How many times slower a machine may be than the one a deadline was written for."""
STRETCHED = 25.0
"""Seconds that a short deadline grows to at most: less than a heartbeat, which mends what has been missed. A longer one
holds as it is."""
PROOF = SCORES in os.environ
"""Whether `make proof` runs this."""


def patient(seconds: float) -> float:
    """The deadline, in seconds, that a machine ten times slower meets too. Only a failing test waits that long."""
    return max(seconds, min(SLOWER * seconds, STRETCHED))


def in_time(began: float, at_most: float) -> bool:
    """Whether at most `at_most` seconds have passed since `began` (time.monotonic), as promised.

    Only `make proof` checks, so such a test has the mark `proof` or `slow`; otherwise True.
    """
    return not PROOF or time.monotonic() - began <= at_most


def eventually(predicate: Callable[[], T], within: float, every: float = 0.02, saying: str = "") -> T:
    """The first true value of `predicate`, called every `every` seconds.

    Raises AssertionError after the deadline. `within` is how long it usually takes at most; slow machines get more.
    """
    deadline = time.monotonic() + patient(within)
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"{saying or 'it'} did not happen within {patient(within)} s; last seen: {value!r}")
        time.sleep(every)
