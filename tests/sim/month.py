"""From a seed: a machine, its roles, and the events of a month."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from .clock import Clock
from .faults import FAULTS, span
from .people import Spec
from .world import DAY, HOUR, World

MONTH = 30 * DAY
RENEWALS = 32
"""About this many renewals per seed: machines with 15-minute sessions are awake for shorter."""
FAULTS_A_MONTH = 26


def roles_of(chance: random.Random) -> list[Spec]:
    """One to a few roles; some share a source, some are chained, some are delivered by process."""
    count = chance.choice([1, 2, 2, 3, 3, 4, 4, 5, 6, 14])
    seconds = chance.choice([43200, 43200, 28800, 14400, 3600, 3600, 900])
    sources = ["default", "work", "work"] if chance.random() < 0.7 else ["default"]
    specs: list[Spec] = []
    for i in range(count):
        source = chance.choice(sources)
        roots = [s.profile for s in specs if not s.source.startswith("k")]
        if roots and chance.random() < 0.2:
            source = chance.choice(roots)
        length = min(3600, seconds) if source.startswith("k") else seconds
        deliver = "process" if chance.random() < 0.15 else "keys"
        specs.append(Spec(f"k{i}", f"arn:aws:iam::123456789012:role/k{i}", source, length, deliver))
    return specs


def world_of(seed: int, home: Path) -> World:
    """The machine of a seed, before its month begins."""
    chance = random.Random(seed)
    clock = Clock(rate=1 + chance.choice([0, 0, 1e-5, -1e-5, 1e-4, -1e-4]))
    specs = roles_of(chance)
    refreshable = {f"profile:{s.source}" for s in specs if not s.source.startswith("k") and chance.random() < 0.5}
    world = World(home, specs, seed, clock, refreshable)
    world.person.kept |= {f"k{i}" for i in range(20)}
    world.sts.minds_skew = chance.random() < 0.5
    if chance.random() < 0.2:
        world.sts.longest[specs[0].profile] = 3600
    return world


def live(world: World, seconds: float = MONTH) -> None:
    """Let the month pass: waking hours with faults, sleep in between. Raises Violation."""
    chance = random.Random(world.seed + 1)
    hours = sum(HOUR / s.seconds for s in world.specs) / 0.55
    awake = min(1.0, RENEWALS / hours * HOUR / seconds)
    days = max(1, round(seconds / DAY))
    world.start()
    end = world.clock.t + seconds
    kinds, weights = list(FAULTS), list(FAULTS.values())
    while world.clock.t < end:
        left = end - world.clock.t
        awhile = min(left, span(chance, 0.3, 3.0) * awake * DAY / 1.3)
        for _ in range(round(FAULTS_A_MONTH * MONTH / seconds / days * chance.random() * 2)):
            happens = chance.choices(kinds, weights)[0]
            world.later(awhile * chance.random(), partial(happens, world))
        world.run(awhile)
        asleep = min(end - world.clock.t, awhile / awake * (1 - awake) * chance.uniform(0.5, 1.5))
        if asleep > 1:
            world.suspend(asleep)
    world.calm_down()


@contextmanager
def home_of() -> Iterator[Path]:
    """A directory in memory if possible: a simulated disk need not wait for a real one."""
    memory = Path("/dev/shm")
    base = tempfile.mkdtemp(prefix="assumed-sim-", dir=memory if memory.is_dir() else None)
    try:
        yield Path(base).resolve()
    finally:
        shutil.rmtree(base, ignore_errors=True)
