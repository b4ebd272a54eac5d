"""Two samples of the clock's hands → what happened in between: a suspend, a step, or nothing.

How long the thread that reads them was away says nothing: a busy machine and a stopped process are late, too, and
nothing that has failed before has a better chance after that.
"""

from __future__ import annotations

from dataclasses import dataclass

from assumed.model import Instant

TOLERANCE = 2.0
"""Seconds by which the hands may drift apart between two samples (slewing by NTP is far below it)."""


@dataclass(frozen=True, slots=True)
class Jump:
    """What the clock did between two samples. `suspended` and `stepped` are seconds; 0 is nothing."""

    suspended: float
    stepped: float

    def __bool__(self) -> bool:
        return bool(self.suspended or self.stepped)


def compare(before: Instant, after: Instant) -> Jump:
    """Tell a suspend (the machine's own count of its sleep) and a step (the wall clock against the one since boot).

    A virtual machine that its host pauses notices no sleep: its wall clock is set right afterwards, a step. A false
    alarm costs one more look at the plan, so the tolerance is small.
    """
    slept, stepped = after.slept - before.slept, _stepped(before, after)
    return Jump(
        suspended=slept if slept > TOLERANCE else 0.0,
        stepped=stepped if abs(stepped) > TOLERANCE else 0.0,
    )


def misled(before: Instant, after: Instant) -> float:
    """Seconds by which a wait that was begun at `before`, for an instant of the wall clock, ends too late or too early.

    Waits count waking time, so both a sleep and a step falsify them; jumps too small for `compare` add up.
    """
    return abs(_stepped(before, after) + after.slept - before.slept)


def _stepped(before: Instant, after: Instant) -> float:
    return (after.wall - before.wall) - (after.boot - before.boot)
