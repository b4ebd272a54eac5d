"""Three clocks of one machine, and AWS's, which is always right."""

from __future__ import annotations

from assumed.model import Instant

START = 1_800_000_000.0


class Clock:
    """`t` counts this machine's seconds since the world began, including sleep and power-off; events use it.

    `wall` can be stepped, `boot` continues in sleep and restarts at a boot, `mono` stops in sleep, as every wait of a
    process does. `rate` is how many true seconds one of this machine's lasts: its crystal is fast or slow, and NTP
    slews only the wall clock.
    """

    def __init__(self, rate: float = 1.0) -> None:
        self.t = 0.0
        self.rate = rate
        self.wall_error = 0.0
        self.boots = 1
        self._booted_at = 0.0
        self._idle = 0.0

    @property
    def aws(self) -> float:
        """POSIX seconds at AWS."""
        return START + self.t * self.rate

    @property
    def wall(self) -> float:
        """POSIX seconds by this machine's clock."""
        return START + self.t * self.rate + self.wall_error

    @property
    def mono(self) -> float:
        """Waking seconds."""
        return self.t - self._idle

    def now(self) -> Instant:
        """Both clocks, as the daemon reads them."""
        return Instant(self.wall, self.t - self._booted_at, f"boot-{self.boots}", slept=self._idle)

    def at(self, mono: float) -> float:
        """When `mono` will be reached if the machine does not sleep."""
        return mono + self._idle

    def sleep(self, seconds: float) -> None:
        """Nothing runs for this long."""
        self.t += seconds
        self._idle += seconds

    def reboot(self, seconds: float) -> None:
        """Switched off for this long, then on again."""
        self.sleep(seconds)
        self.boots += 1
        self._booted_at = self.t - 20.0


class PacerClock:
    """Replaces `time` in the STS module: a caller that would sleep learns for how long."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.slept = 0.0

    def monotonic(self) -> float:
        return self._clock.mono

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
