"""The invariants, checked after every step.

One inequality states what a reader may expect (I4, I7 and promise 1 together). While nothing has hindered a role, and
for a recovery time after the last hindrance, the session that a reader finds has at least 40 % of its life left, minus
a heartbeat and a slow answer (so even 15-minute sessions keep the promised 35 %). From the moment something hinders
the role, that floor falls by a second per second, and no faster.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .people import Spec

FLOOR = 0.40
SLACK = 45.0
"""Seconds from the latest renewal point until readers have the session: a heartbeat, a slow answer, a waiting write."""
FIND = 45.0
"""Seconds within which an edit of another program is found and merged: a heartbeat, and two settling times."""


class Violation(AssertionError):
    """A broken promise."""


@dataclass(slots=True, eq=False)
class Obstacle:
    """Something that hinders roles: renewals need not succeed until `recovery` waking seconds after it ends."""

    kind: str
    recovery: float
    names: frozenset[str] | None = None
    """Profiles and sources, with everything they sign for; None means all."""
    blind: bool = False
    """Readers may find nothing, or something else, until the role has recovered."""
    writes: bool = False
    """It hinders writing, so foreign edits may take as long to be merged."""
    ended_t: float | None = None


@dataclass(slots=True)
class Kept:
    """The expectations for one role."""

    spec: Spec
    recover_at: float
    obstacles: int = 0
    blind: bool = True
    good_t: float = 0.0
    """When the floor was last at its full height."""


@dataclass(slots=True)
class Expectations:
    """The expected state of all roles."""

    kept: dict[str, Kept] = field(default_factory=dict)
    standing: list[Obstacle] = field(default_factory=list)
    recent: list[Obstacle] = field(default_factory=list)
    pairs: set[tuple[str, str]] = field(default_factory=set)
    gone: dict[str, float] = field(default_factory=dict)
    """Removed profile → waking time by which nothing of it may be left."""
    writes_blocked_until: float = 0.0

    def begin(self, obstacle: Obstacle, t: float, mono: float) -> None:
        """An obstacle begins."""
        self.note(obstacle, t)
        self.standing.append(obstacle)
        self._count(mono)

    def note(self, obstacle: Obstacle, t: float) -> None:
        """An event that hinders no role; what it coincides with is counted."""
        self.recent = [o for o in self.recent if o.ended_t is None or t - o.ended_t < 60]
        for other in [*self.standing, *self.recent]:
            if other.kind != obstacle.kind:
                a, b = sorted((other.kind, obstacle.kind))
                self.pairs.add((a, b))
        if obstacle not in self.recent:
            self.recent.append(obstacle)

    def forget(self, obstacle: Obstacle, t: float) -> None:
        """It has ended."""
        obstacle.ended_t = t

    def end(self, obstacle: Obstacle, t: float, mono: float) -> None:
        """It is over."""
        if obstacle not in self.standing:
            return
        obstacle.ended_t = t
        self.standing.remove(obstacle)
        for kept in self.kept.values():
            if self._concerns(obstacle, kept):
                # Children start to recover when their parent has recovered.
                more = obstacle.recovery + 25 if kept.spec.source in self.kept else 0.0
                kept.recover_at = max(kept.recover_at, mono + obstacle.recovery + more)
                kept.blind = kept.blind or obstacle.blind
        if obstacle.writes:
            self.writes_blocked_until = max(self.writes_blocked_until, mono + obstacle.recovery)
        self._count(mono)

    def want(self, specs: list[Spec], mono: float, within: float) -> None:
        """These roles are configured from now on; new or changed ones may take `within` seconds."""
        before = self.kept
        self.kept = {}
        for spec in specs:
            old = before.get(spec.profile)
            kept = old or Kept(spec, mono + within)
            if old is not None and old.spec != spec:
                another = (old.spec.arn, old.spec.source) != (spec.arn, spec.source)
                by = max(old.recover_at, mono + within)
                kept = Kept(spec, by, blind=old.blind or another, good_t=old.good_t)
            self.kept[spec.profile] = kept
            self.gone.pop(spec.profile, None)
        for kept in self.kept.values():
            parent = self.kept.get(kept.spec.source)
            if parent is not None and before.get(parent.spec.profile) is not parent:
                kept.recover_at, kept.blind = max(kept.recover_at, mono + within + 10), True
        for profile in before.keys() - self.kept.keys():
            self.gone[profile] = mono + within
        self._count(mono)

    def _count(self, mono: float) -> None:
        for kept in self.kept.values():
            kept.obstacles = sum(self._concerns(o, kept) for o in self.standing)
            if any(o.blind and self._concerns(o, kept) for o in self.standing):
                kept.blind = True
        if any(o.writes for o in self.standing):
            self.writes_blocked_until = max(self.writes_blocked_until, mono + FIND)

    def _concerns(self, obstacle: Obstacle, kept: Kept) -> bool:
        if obstacle.names is None or kept.spec.profile in obstacle.names or kept.spec.source in obstacle.names:
            return True
        parent = self.kept.get(kept.spec.source)
        return parent is not None and self._concerns(obstacle, parent)

    def obstructed(self, *kinds: str) -> bool:
        """Whether one of these is hindered, or was within the last minute."""
        return any(o.kind in kinds for o in self.standing)
