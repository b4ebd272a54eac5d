"""Simulated months: what the daemon promises, whatever happens to the machine, its disk, its people and AWS.

`make test` lives through a few seeds; `make proof` through SEEDS (1000) from SEED (0) on. A seed that breaks a promise
names itself in the test's id and in the line that reproduces it.
"""

from __future__ import annotations

import os

import pytest

from .campaign import Campaign, how_to_reproduce, run_seed
from .month import DAY

FEW = 20
CHUNK = 50
FIRST, SEEDS = int(os.environ.get("SEED", "0")), int(os.environ.get("SEEDS", "1000"))


@pytest.mark.parametrize("seed", range(10_000, 10_000 + FEW))
def test_a_fortnight_of_accidents_breaks_no_promise(seed: int) -> None:
    """I1-I8, promises 4, 5, 7 and 10, looked at after every step."""
    broken = run_seed(seed, Campaign(), seconds=14 * DAY)
    assert not broken, f"{broken}\n{how_to_reproduce(seed)} --days 14"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, CHUNK))
def test_months_of_accidents_break_no_promise(first: int) -> None:
    """The same for whole months, a chunk of seeds a test."""
    campaign = Campaign()
    for seed in range(first, min(first + CHUNK, FIRST + SEEDS)):
        run_seed(seed, campaign)
    lines = [f"{how_to_reproduce(seed)}   # {broken}" for seed, broken in campaign.violations]
    assert not lines, "\n".join(lines)


def test_a_seed_lives_through_the_same_month_twice() -> None:
    """Nothing but the seed decides: else no failure could be reproduced."""
    first, second = Campaign(), Campaign()
    run_seed(10_001, first, seconds=10 * DAY)
    run_seed(10_001, second, seconds=10 * DAY)
    assert (first.renewals, first.role_years, first.pairs) == (second.renewals, second.role_years, second.pairs)
    assert (first.late, first.least_left) == (second.late, second.least_left)
