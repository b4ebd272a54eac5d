"""Simulated months: what the daemon promises, whatever happens to the machine, its disk, its users and AWS.

`make test` runs a few seeds, `make proof` SEEDS (1000) from SEED (0) on. A seed that breaks a promise appears in the
test's id and in the line that reproduces it.
"""

from __future__ import annotations

import os

import pytest

from world.scores import Record

from . import figures as experiments
from .campaign import Campaign, how_to_reproduce, run_seed
from .month import DAY

FEW = 4
CHUNK = 50
FIRST, SEEDS = int(os.environ.get("SEED", "0")), int(os.environ.get("SEEDS", "1000"))


@pytest.mark.parametrize("seed", range(10_000, 10_000 + FEW))
def test_a_fortnight_of_accidents_breaks_no_promise(seed: int) -> None:
    """I1-I8, promises 4, 5, 7 and 10, checked after every step."""
    broken = run_seed(seed, Campaign(), seconds=14 * DAY)
    assert not broken, f"{broken}\n{how_to_reproduce(seed)} --days 14"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, CHUNK))
def test_months_of_accidents_break_no_promise(first: int, record: Record) -> None:
    """The same for whole months, a chunk of seeds per test."""
    campaign = Campaign()
    for seed in range(first, min(first + CHUNK, FIRST + SEEDS)):
        run_seed(seed, campaign)
    for name, value in figures_of(campaign).items():
        record(f"sim.{name}", value)
    lines = [f"{how_to_reproduce(seed)}   # {broken}" for seed, broken in campaign.violations]
    assert not lines, "\n".join(lines)


def figures_of(campaign: Campaign) -> dict[str, float]:
    """What the scoreboard shows for a chunk."""
    return {
        "seeds": campaign.seeds,
        "role_years": campaign.role_years,
        "renewals": campaign.renewals,
        "violations": len(campaign.violations),
        "seconds": campaign.seconds,
        "slowest": campaign.slowest,
        "least_left": campaign.least_left,
        "late": campaign.late,
        "late_after_jump": campaign.late_after_jump,
        "longest_gap": campaign.longest_gap,
    } | {f"pair {one} + {other}": 1 for one, other in campaign.pairs}


@pytest.mark.slow
def test_every_role_survives_an_outage_of_twenty_minutes(record: Record) -> None:
    """Whenever it begins, with one-hour sessions."""
    survived = experiments.longest_outage()
    record("sim.outage_minutes", survived)
    assert survived >= 20


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["unreachable", "broken", "throttled"])
def test_an_outage_of_ten_minutes_costs_few_calls_per_role(trouble: str, record: Record) -> None:
    """Fifty roles whose renewals are due just then."""
    each = experiments.calls_in_outage(50, trouble) / 50
    record("sim.calls_per_outage", each)
    assert each <= 15


@pytest.mark.slow
@pytest.mark.parametrize("roles", [1, 50, 200])
def test_calls_never_come_in_bursts(roles: int, record: Record) -> None:
    """Within STS's limits at the start and after a night's sleep, and at most five a second otherwise."""
    peak = experiments.peaks(roles)
    record("sim.peak_steady", peak["steady"])
    record("sim.peak_start", max(peak["start"], peak["resume"]))
    assert peak["steady"] <= 5
    assert max(peak["start"], peak["resume"]) <= 100


def test_a_seed_always_gives_the_same_month() -> None:
    """Otherwise no failure could be reproduced."""
    first, second = Campaign(), Campaign()
    run_seed(10_001, first, seconds=10 * DAY)
    run_seed(10_001, second, seconds=10 * DAY)
    assert (first.renewals, first.role_years, first.pairs) == (second.renewals, second.role_years, second.pairs)
    assert (first.late, first.least_left) == (second.late, second.least_left)
