"""Two samples of both hands: a suspend, a step, or nothing."""

from __future__ import annotations

import pytest

from assumed.core.clocks import Jump, compare
from assumed.core.model import Instant

BEFORE = Instant(wall=1000.0, boot=50.0)

CASES = {
    "a wait that ended on time is nothing": (30.0, 30.0, Jump(0, 0)),
    "one that ended early, too": (2.0, 2.0, Jump(0, 0)),
    "a busy machine that was 8 s late is nothing": (38.0, 38.0, Jump(0, 0)),
    "NTP's slewing is nothing": (30.4, 30.0, Jump(0, 0)),
    "eight hours of sleep in a wait of 30 s are a suspend": (28830.0, 28830.0, Jump(28800, 0)),
    "a wall clock set forward by an hour is a step": (3630.0, 30.0, Jump(0, 3600)),
    "set back by an hour, too": (-3570.0, 30.0, Jump(0, -3600)),
    "a sleep from which the clock wakes up wrong is both": (100.0, 7230.0, Jump(7200, -7130)),
}


@pytest.mark.parametrize("sentence", CASES)
def test_what_happened_during_a_wait_of_thirty_seconds(sentence: str) -> None:
    """Each line of the table: seconds on the wall, seconds since boot, what that means."""
    wall, boot, expected = CASES[sentence]
    after = Instant(wall=BEFORE.wall + wall, boot=BEFORE.boot + boot)
    assert compare(BEFORE, after, waited_for=30.0) == expected


def test_nothing_is_falsy_and_a_jump_is_not() -> None:
    """The keeper asks `if jump`."""
    assert not Jump(0, 0)
    assert Jump(0, -3600)
    assert Jump(60, 0)
