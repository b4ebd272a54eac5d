"""Two samples of all hands: a suspend, a step, or nothing."""

from __future__ import annotations

import pytest

from assumed.clock import Jump, compare, misled
from assumed.model import Instant

BEFORE = Instant(wall=1000.0, boot=50.0, slept=7.0)

CASES = {
    "thirty seconds are nothing": (30.0, 30.0, 0.0, Jump(0, 0)),
    "a busy machine that was a minute late is nothing": (90.0, 90.0, 0.0, Jump(0, 0)),
    "a process that was stopped for a day, too": (86400.0, 86400.0, 0.0, Jump(0, 0)),
    "NTP's slewing is nothing": (30.4, 30.0, 0.0, Jump(0, 0)),
    "a nap of a second is nothing": (31.0, 31.0, 1.0, Jump(0, 0)),
    "eight hours of sleep are a suspend": (28830.0, 28830.0, 28800.0, Jump(28800, 0)),
    "a wall clock set forward by an hour is a step": (3630.0, 30.0, 0.0, Jump(0, 3600)),
    "set back by an hour, too": (-3570.0, 30.0, 0.0, Jump(0, -3600)),
    "a virtual machine that its host had paused sees a step": (28830.0, 30.0, 0.0, Jump(0, 28800)),
    "a sleep from which the clock wakes up wrong is both": (100.0, 7230.0, 7200.0, Jump(7200, -7130)),
}


@pytest.mark.parametrize("sentence", CASES)
def test_what_happened_between_two_samples(sentence: str) -> None:
    """Each line of the table: seconds on the wall, seconds since boot, seconds of those asleep, what that means."""
    wall, boot, slept, expected = CASES[sentence]
    after = Instant(BEFORE.wall + wall, BEFORE.boot + boot, slept=BEFORE.slept + slept)
    assert compare(BEFORE, after) == expected


MISLED = {
    "waking time falsifies no wait": (3600.0, 3600.0, 0.0, 0.0),
    "a sleep does, by its length": (3600.0, 3600.0, 1.5, 1.5),
    "so does a step, in either direction": (3598.5, 3600.0, 0.0, 1.5),
    "what makes up for each other does not": (3598.5, 3600.0, 1.5, 0.0),
}


@pytest.mark.parametrize("sentence", MISLED)
def test_by_how_much_a_wait_for_the_wall_clock_is_wrong(sentence: str) -> None:
    """The same columns, and seconds."""
    wall, boot, slept, expected = MISLED[sentence]
    after = Instant(BEFORE.wall + wall, BEFORE.boot + boot, slept=BEFORE.slept + slept)
    assert misled(BEFORE, after) == pytest.approx(expected)


def test_nothing_is_falsy_and_a_jump_is_not() -> None:
    """The keeper asks `if jump`."""
    assert not Jump(0, 0)
    assert Jump(0, -3600)
    assert Jump(60, 0)
