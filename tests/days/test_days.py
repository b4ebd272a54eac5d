"""Thirty days of a laptop's life in seconds: outages, suspends, clock steps, with the real loop and scheduler."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from freezegun import freeze_time

from .world import World

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
NAMES = ("a", "b", "c", "child")
TOML = "\n".join(
    [
        'credentials_file = "credentials"',
        '[defaults]\nregion = "us-west-2"\nsource_profile = "default"',
        *(f'[[roles]]\nprofile = "{n}"\nrole_arn = "arn:aws:iam::123456789012:role/{n}"' for n in "abc"),
        '[[roles]]\nprofile = "child"\nsource_profile = "a"\nrole_arn = "arn:aws:iam::123456789012:role/child"',
    ]
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A machine with four managed roles, one of them chained, all fresh."""
    with freeze_time("2026-11-24", tick=False) as frozen:
        world = World(frozen, tmp_path, TOML)
        world.run(1)
        assert min(map(world.left, NAMES)) > 3500
        yield world


def least_left(world: World, seconds: float) -> float:
    """The shortest remaining life that any reader saw in any profile during this time."""
    seen = [world.left(name) for name in NAMES]

    def look() -> None:
        seen.extend(world.left(name) for name in NAMES)

    world.run(seconds, look)
    look()
    return min(seen)


def calls_since(world: World, boot: float) -> int:
    """The number of calls to STS since then."""
    return sum(1 for at, _, _ in world.calls if at >= boot)


def test_on_a_quiet_day_a_third_of_every_session_is_left_with_two_calls_an_hour(world: World) -> None:
    """Promises 1 and 8 in the steady state."""
    assert least_left(world, DAY) >= 0.35 * HOUR
    assert len(NAMES) * 24 / 0.6 - len(NAMES) <= len(world.calls) <= len(NAMES) * (24 / 0.5 + 1)
    assert {level for level, _ in world.events} == {"debug", "info"}


def test_an_outage_of_twenty_minutes_is_not_noticed(world: World) -> None:
    """Promise 6, starting at any of twelve moments of the sessions' lives; one role probes for all."""
    for _ in range(12):
        world.run(17 * MINUTE)
        began, world.down = world.boot, True
        assert least_left(world, 20 * MINUTE) > 0
        assert calls_since(world, began) <= 20 * MINUTE / 45 + 12
        world.down = False
        assert least_left(world, HOUR) > 0


@pytest.mark.parametrize("hours", [2, 10])
def test_the_end_of_a_long_outage_is_noticed_within_a_minute(world: World, hours: int) -> None:
    """However long it was, and however many calls failed."""
    world.down = True
    world.run(hours * HOUR)
    assert max(map(world.left, NAMES)) <= 0
    world.down = False
    world.run(MINUTE)
    assert min(map(world.left, NAMES)) > 3500


@pytest.mark.parametrize("asleep", [5 * MINUTE, 50 * MINUTE, 8 * HOUR, 30 * DAY])
def test_after_a_suspend_every_due_role_is_renewed_within_thirty_seconds(world: World, asleep: float) -> None:
    """Promise 7. APScheduler's own wait stops in a suspend, and its default would drop the late jobs."""
    for phase in range(5):
        world.run(phase * 11 * MINUTE)
        world.suspend(asleep)
        world.run(30)
        assert min(map(world.left, NAMES)) > 0.35 * HOUR


@pytest.mark.parametrize("step", [-24 * HOUR, -HOUR, -5 * MINUTE, 5 * MINUTE, HOUR, 24 * HOUR])
def test_a_step_of_the_wall_clock_never_stops_the_renewals(world: World, step: float) -> None:
    """Promise 7: a scheduler that waits for the wall clock would be dead for an hour after a step of −1 h."""
    for phase in range(3):
        world.run(phase * 13 * MINUTE)
        world.step(step)
        assert least_left(world, 2 * HOUR) >= 0.35 * HOUR - 30
        world.step(-step)


def test_a_denied_role_affects_no_other_and_is_tried_at_most_every_ten_minutes(world: World) -> None:
    """Promises 4 and 8."""
    world.denied.add("b")
    world.run(2 * HOUR)
    began = world.boot
    assert world.left("b") <= 0
    least = []
    world.run(6 * HOUR, lambda: least.extend(world.left(name) for name in ("a", "c", "child")))
    assert min(least) >= 0.35 * HOUR
    assert sum(1 for at, name, _ in world.calls if name == "b" and at >= began) <= 6 * 6


@pytest.mark.parametrize("what", ["suspend", "step"])
def test_a_resume_or_a_step_resets_every_backoff(world: World, what: str) -> None:
    """Promise 8: after fixing a policy and opening the lid, the role need not wait for the rest of ten minutes."""
    world.denied.add("b")
    world.run(3 * HOUR)
    world.denied.clear()
    world.run(MINUTE)
    began = world.boot
    world.suspend(40) if what == "suspend" else world.step(-DAY)
    world.run(30)
    assert [name for at, name, _ in world.calls if at > began and name == "b"]
    assert world.left("b") > 3500


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_thirty_days_of_a_laptops_life(world: World, seed: int) -> None:
    """Ten days per seed, three seeds: readers that are awake are never without a session for long."""
    chance = random.Random(seed)
    end = world.boot + 10 * DAY
    while world.boot < end:
        assert least_left(world, chance.uniform(MINUTE, 5 * HOUR)) > 0
        match chance.choice(["suspend", "step", "outage", "long outage"]):
            case "suspend":
                world.suspend(chance.uniform(MINUTE, 14 * HOUR))
                world.run(30)
            case "step":
                world.step(chance.uniform(-DAY, DAY))
                world.run(30)
            case "outage":
                world.down = True
                assert least_left(world, chance.uniform(MINUTE, 20 * MINUTE)) > 0
                world.down = False
                world.run(MINUTE)
            case "long outage":
                world.down = True
                world.run(chance.uniform(HOUR, 6 * HOUR))
                world.down = False
                world.run(MINUTE)
        assert min(map(world.left, NAMES)) > 0
        assert ("error", "role.renewal_crashed") not in world.events


def test_renewals_are_on_time_by_the_scheduler_alone(tmp_path: Path) -> None:
    """With an hour between two heartbeats, the jobs still run when they are due."""
    with freeze_time("2026-11-24", tick=False) as frozen:
        world = World(frozen, tmp_path, TOML, beat=HOUR)
        world.run(1)
        assert least_left(world, DAY) > 0.35 * HOUR


def test_renewals_continue_by_the_heartbeat_alone(tmp_path: Path) -> None:
    """With the scheduler's thread dead, a role is late by one heartbeat at most."""
    with freeze_time("2026-11-24", tick=False) as frozen:
        world = World(frozen, tmp_path, TOML)
        world.run(1)
        world.is_scheduler_dead = True
        assert least_left(world, DAY) > 0.35 * HOUR


def test_a_call_that_never_ends_is_abandoned(world: World) -> None:
    """Name resolution may hang in the C library; the role is requested again."""
    world.hangs = True
    world.run(0.6 * HOUR)
    assert ("warning", "role.renewal_failed") in world.events
    world.hangs = False
    world.run(2 * MINUTE)
    assert min(map(world.left, NAMES)) > 0.9 * HOUR


def test_a_call_that_hangs_across_a_suspend_keeps_nobody_busy(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the lid was closed for is not the call's time, neither for its end nor for the loop's waits."""
    world.hangs = True
    while not world.loop.engine.state.in_flight:
        world.run(5)
    turns, turn = iter(range(99)), world.loop.tick
    monkeypatch.setattr(world.loop, "tick", lambda: turn() if next(turns, None) else pytest.fail("it does not wait"))
    next(turns)
    world.suspend(10 * MINUTE)
    world.run(20)
    assert ("warning", "role.renewal_failed") not in world.events
    world.run(MINUTE)
    assert ("warning", "role.renewal_failed") in world.events
