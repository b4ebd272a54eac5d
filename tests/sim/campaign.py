"""Many seeds in sequence."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from .month import MONTH, home_of, live, world_of

YEAR = 365.25 * 86400


@dataclass(slots=True)
class Campaign:
    """Their results."""

    seeds: int = 0
    violations: list[tuple[int, str]] = field(default_factory=list)
    pairs: set[tuple[str, str]] = field(default_factory=set)
    role_years: float = 0.0
    renewals: int = 0
    seconds: float = 0.0
    least_left: float = float("inf")
    late: float = 0.0
    late_after_jump: float = 0.0
    longest_gap: float = 0.0
    slowest: float = 0.0
    """Seconds of the slowest seed: the longest time to reproduce a failure."""


def run_seed(seed: int, into: Campaign, seconds: float = MONTH) -> str:
    """One seed's month. Returns the violation; empty if there is none."""
    began, broken = time.perf_counter(), ""
    with home_of() as home:
        world = world_of(seed, home)
        try:
            live(world, seconds)
        except Exception as error:  # noqa: BLE001 - a daemon that crashes has broken a promise like any other
            broken = f"{type(error).__name__}: {error}"
            into.violations.append((seed, broken))
        finally:
            world.close()
    world.count()
    into.seeds += 1
    into.pairs |= world.expected.pairs
    into.role_years += world.figures.role_seconds / YEAR
    into.renewals += world.figures.calls
    into.least_left = min(into.least_left, world.figures.least_left)
    into.longest_gap = max(into.longest_gap, world.figures.longest_gap)
    into.late = max(into.late, world.polite.worst)
    into.late_after_jump = max(into.late_after_jump, world.polite.worst_after_jump)
    took = time.perf_counter() - began
    into.seconds += took
    into.slowest = max(into.slowest, took)
    return broken


def run_seeds(seeds: Iterable[int], stop: Callable[[str], bool], seconds: float = MONTH) -> Campaign:
    """All of them, or until `stop` is true for one."""
    campaign = Campaign()
    for seed in seeds:
        if stop(run_seed(seed, campaign, seconds)):
            break
    return campaign


def how_to_reproduce(seed: int) -> str:
    """One line for a shell."""
    return f"python tests/sim/run.py --seed {seed}"
