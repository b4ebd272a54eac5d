"""What the simulator has found, each as the shortest story in which it happened."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from .checks import FIND, Obstacle
from .disk import Fault
from .faults import stands
from .month import home_of
from .people import Spec
from .world import HOUR, MINUTE, World


def spec(name: str, deliver: str = "keys", seconds: int = 3600) -> Spec:
    return Spec(name, f"arn:aws:iam::123456789012:role/{name}", "default", seconds, deliver)


@pytest.fixture
def world() -> Iterator[World]:
    """A machine with two roles, one of them delivered by process; nothing happens by itself."""
    with home_of() as home:
        world = World(home, [spec("k0"), spec("k1", "process")], hinting=1.0)
        yield world
        world.close()


def fault_of(world: World, op: str, number: int, seconds: float) -> None:
    """The disk refuses one operation in the state directory for so long."""
    fault = Fault(op, number, str(world.state))
    world.disk.faults.append(fault)
    stands(world, Obstacle(op, FIND, writes=True), seconds, lambda: world.disk.faults.remove(fault))


def test_an_answer_that_was_under_way_when_the_lid_was_closed_is_as_old_as_its_question(world: World) -> None:
    """It was counted from its receipt: a session of an hour, got before a night's sleep, passed as fresh after it."""
    world.start()
    assert world.daemon is not None
    while not world.daemon.flights:
        world.run(0.02)
    world.suspend(8 * HOUR)
    world.run(20 * MINUTE)


def test_naps_too_short_to_count_as_a_suspend_do_not_add_up(world: World) -> None:
    """The scheduler's wait stands still in each of them: half an hour of naps made a renewal minutes late."""
    world.start()
    for _ in range(24):
        world.run(MINUTE)
        world.suspend(9)
    world.run(20 * MINUTE)


def test_after_a_reboot_a_session_is_not_younger_for_a_clock_that_was_wrong_when_it_came(world: World) -> None:
    """The clock ran seven hours ahead at receipt, and was then set right: the age came out below zero hours."""
    world.specs = [spec("k0", seconds=43200)]
    world.configure(world.specs)
    world.step_clock(7 * HOUR)
    world.start()
    world.run(MINUTE)
    world.step_clock(-7 * HOUR)
    world.run(MINUTE)
    world.die()
    world.clock.reboot(11 * HOUR)
    stands(world, Obstacle("power cut", world.start_time(), blind=True), 1.0, world.start)
    world.run(2 * HOUR)


def test_a_session_that_the_disk_did_not_take_is_stored_when_it_does(world: World) -> None:
    """Readers by process had the session before, until the next renewal."""
    world.start()
    world.run(20 * MINUTE)
    fault_of(world, "create", errno.ENOSPC, 20 * MINUTE)
    world.run(20 * MINUTE + FIND)
    assert world.readers.in_store("k1") == grants_of(world, "k1")[-1]


def test_the_session_of_a_role_that_is_gone_is_removed_when_the_disk_allows_it(world: World) -> None:
    """It was tried once, and readers by process could have it until the next edit."""
    world.start()
    world.run(MINUTE)
    fault_of(world, "unlink", errno.EIO, 5 * MINUTE)
    world.configure([spec("k0")])
    world.run(10 * MINUTE)
    assert world.readers.in_store("k1") is None


def grants_of(world: World, profile: str) -> list[str]:
    """The key ids that STS has given to a role, oldest first."""
    return [grant.key_id for grant in world.sts.grants.values() if grant.profile == profile]
