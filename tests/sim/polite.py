"""Calls as STS sees them, and the plan's own due times: lateness, bursts and storms (I5, I6, promise 7)."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from assumed.engine.groups import WORKERS

LATE = 5.0
"""Seconds after its due time by which a role is tried while the machine is awake and a worker is free."""
LATE_AFTER_JUMP = 35.0
"""The same after a resume or a step of the clock: a heartbeat (promise 7), and the same five seconds."""
MEMORY = 4.0 * 3600
BURST, STEADY, PER_ROLE, PROBES = 100, 5, 14, 4


class Plan:
    """Profile → when it is or was due, by the daemon's own plan."""

    def __init__(self) -> None:
        self.due: dict[str, float] = {}

    def update(self, planned: Mapping[str, float], now: float) -> None:
        """`planned`: profile → seconds until it is due, only for those that wait for time or for a worker."""
        self.due = {
            profile: now + max(0.0, left) if left > 0 or profile not in self.due else min(self.due[profile], now)
            for profile, left in planned.items()
        }


@dataclass(slots=True)
class Begun:
    """One call that has begun."""

    t: float
    profile: str
    source: str
    in_time: bool
    """It was planned for now, and nothing delayed it."""


@dataclass(slots=True)
class Politeness:
    """Observes the calls. Each method returns what is wrong, or an empty string."""

    calls: deque[Begun] = field(default_factory=deque)
    reset_t: float = 0.0
    """When a backoff was last reset by an event that may reset it: a start, a resume, a step, an edit."""
    failing: dict[str, float] = field(default_factory=dict)
    """Source → its first call in the current failure."""
    jump_t: float = float("-inf")
    full_t: float = float("-inf")
    """When all workers were last busy: a role that waits for one is not late."""
    busy: int = 0
    worst: float = 0.0
    worst_after_jump: float = 0.0
    peak: int = 0

    def jumped(self, t: float) -> None:
        """A resume, or a step of the clock."""
        self.jump_t = self.reset_t = t

    def began(self, call: Begun, due: float | None, trouble_since: float | None) -> str:
        """A call begins that was due at `due`."""
        if due is not None and (late := self.late({call.profile: due}, call.t)):
            return late
        self.calls.append(call)
        while self.calls[0].t < call.t - 60:
            self.calls.popleft()
        self.busy += 1
        if self.busy > WORKERS:
            return f"I6: {self.busy} calls in flight"
        if due is not None:
            self._measure(call.t, due)
        return self._storm(call, trouble_since)

    def _measure(self, t: float, due: float) -> None:
        if due <= self.jump_t + LATE_AFTER_JUMP - LATE:
            if self.jump_t <= due or t - self.jump_t < 120:
                self.worst_after_jump = max(self.worst_after_jump, t - max(due, self.jump_t, self.full_t))
        else:
            self.worst = max(self.worst, t - max(due, self.full_t))

    def _storm(self, call: Begun, trouble_since: float | None) -> str:
        second = [c for c in self.calls if c.t > call.t - 1.0]
        self.peak = max(self.peak, len(second))
        if sum(c.source == call.source for c in second) > BURST:
            return f"I6: {len(second)} calls to {call.source} within a second"
        steady = [c for c in second if c.in_time]
        if len(steady) > STEADY and call.t - self.reset_t > 60:
            return f"I6: {len(steady)} renewals within a second, though nothing has happened: a herd"
        mine = sum(c.profile == call.profile for c in self.calls)
        if mine > PER_ROLE and call.t - self.reset_t > 60:
            return f"I6: {call.profile} was asked for {mine} times within a minute"
        if trouble_since is None:
            return ""
        if self.failing.get(call.source, -1.0) < max(trouble_since, self.reset_t):
            self.failing[call.source] = call.t
        if call.t - self.failing[call.source] > 120:
            probes = [c for c in self.calls if c.source == call.source]
            if len(probes) > PROBES:
                return f"I6: {call.source} is down and was probed {len(probes)} times within a minute"
        return ""

    def ended(self, t: float) -> None:
        """A call has ended."""
        if self.busy == WORKERS:
            self.full_t = t
        self.busy -= 1

    def late(self, due: dict[str, float], t: float) -> str:
        """The first due role that was not tried in time."""
        if self.busy == WORKERS:
            return ""
        for profile, at in due.items():
            limit = max(at + LATE, self.full_t + LATE)
            if at <= self.jump_t + LATE_AFTER_JUMP - LATE:
                limit = max(limit, self.jump_t + LATE_AFTER_JUMP)
            if t > limit:
                return f"promise 7: {profile} was due at {at:.3f}, {t - at:.3f} s ago, and has not been tried"
        return ""
