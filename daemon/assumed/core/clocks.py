"""Two samples of the clock's two hands → what happened in between: a suspend, a step, or nothing."""

from __future__ import annotations

from dataclasses import dataclass

from .model import Instant

STEP_TOLERANCE = 2.0
"""Seconds by which the hands may drift apart between two samples (slewing by NTP is far below it)."""
SUSPEND_TOLERANCE = 10.0
"""Seconds by which a wait may overrun before it counts as a suspend: a busy machine is late, too."""


@dataclass(frozen=True, slots=True)
class Jump:
    """What the clock did between two samples. `suspended` and `stepped` are seconds; 0 is nothing."""

    suspended: float
    stepped: float

    def __bool__(self) -> bool:
        return bool(self.suspended or self.stepped)


def compare(before: Instant, after: Instant, waited_for: float) -> Jump:
    """Compare samples around a wait that was meant to last at most `waited_for` seconds.

    A false alarm costs one more look at the plan, so both tolerances are small.
    """
    boot = after.boot - before.boot
    overrun = boot - waited_for
    step = (after.wall - before.wall) - boot
    return Jump(
        suspended=overrun if overrun > SUSPEND_TOLERANCE else 0.0,
        stepped=step if abs(step) > STEP_TOLERANCE else 0.0,
    )
