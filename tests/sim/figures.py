"""Figures that need their own experiment rather than a month of accidents."""

from __future__ import annotations

from .checks import Obstacle
from .faults import AFTER_OUTAGE, keep_obstacle
from .month import home_of
from .people import Spec
from .world import HOUR, MINUTE, World


def _world(home: object, roles: int, seconds: int = 3600) -> World:
    specs = [Spec(f"k{i}", f"arn:aws:iam::123456789012:role/k{i}", "default", seconds) for i in range(roles)]
    return World(home, specs)  # type: ignore[arg-type]


def _fail(world: World, trouble: str, seconds: float) -> None:
    world.sts.trouble = trouble
    keep_obstacle(world, Obstacle(trouble, AFTER_OUTAGE), seconds, lambda: setattr(world.sts, "trouble", ""))


def peaks(roles: int) -> dict[str, int]:
    """The most calls within a second: at the start, in four quiet hours, and after a night's sleep."""
    found: dict[str, int] = {}
    with home_of() as home:
        world = _world(home, roles)
        world.start()
        for phase, seconds in (("start", MINUTE), ("settling", 4 * HOUR), ("steady", 4 * HOUR)):
            world.polite.peak = 0
            world.run(seconds)
            found[phase] = world.polite.peak
        world.polite.peak = 0
        world.suspend(8 * HOUR)
        world.run(MINUTE)
        found["resume"] = world.polite.peak
    return found


def calls_in_outage(roles: int, trouble: str, seconds: float = 10 * MINUTE) -> int:
    """The number of calls in an outage that begins when the first renewals are due."""
    with home_of() as home:
        world = _world(home, roles)
        world.start()
        world.run(29 * MINUTE)
        before = world.sts.requests
        _fail(world, trouble, seconds)
        world.run(seconds)
        return world.sts.requests - before


def longest_outage(roles: int = 20, phases: int = 8) -> int:
    """Whole minutes of outage that every role survives, whenever it begins, with one-hour sessions."""
    survived = 60
    for phase in range(phases):
        with home_of() as home:
            world = _world(home, roles)
            world.start()
            world.run(2 * HOUR + phase * 4.3 * MINUTE)
            _fail(world, "unreachable", 59 * MINUTE)
            minutes = 0
            while minutes < survived and min(_left(world)) > AFTER_OUTAGE:
                minutes += 1
                world.run(MINUTE)
            survived = min(survived, minutes - 1)
    return survived


def _left(world: World) -> list[float]:
    keys = (world.readers.in_file(profile) for profile in world.expected.kept)
    return [world.sts.grants[key or ""].expires - world.clock.aws for key in keys]
