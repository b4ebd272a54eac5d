"""What the simulator has found, each as the shortest story in which it happened."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest

from assumed.aws.files import AwsFiles
from assumed.model import Role

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


@pytest.fixture(params=range(8))
def signed_out(request: pytest.FixtureRequest) -> Iterator[World]:
    """A machine where nobody is logged in to the source of k0; k1 has another one. Eight lengths of an attempt."""
    with home_of() as home:
        specs = [replace(spec("k0"), source="work"), spec("k1")]
        world = World(home, specs, seed=request.param, refreshable={"profile:work"}, hinting=1.0)
        world.refusing.add("profile:work")
        yield world
        world.close()


def log_in(world: World) -> None:
    """Somebody logs in to the source of k0: it signs again."""
    world.refusing.discard("profile:work")
    world.logged_in("work")


def test_a_login_made_while_the_source_was_being_asked_is_not_lost(signed_out: World) -> None:
    """The answer was of before the login and came after its change had been dealt with: the role was held for good."""
    world = signed_out
    world.start()
    world.later(0.001, lambda: log_in(world))
    world.run(2 * MINUTE)
    assert grants_of(world, "k0")


def test_a_login_made_while_the_files_were_being_read_is_not_lost(
    signed_out: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What had been read was compared with how the file looked afterwards: its last change was never read."""
    world, look = signed_out, AwsFiles.look

    def look_slowly(files: AwsFiles, roots: Iterable[Role]) -> set[str]:
        changed = look(files, roots)
        if world.refusing:
            log_in(world)
        return changed

    world.start()
    world.run(5.0)
    assert not grants_of(world, "k0")
    monkeypatch.setattr(AwsFiles, "look", look_slowly)
    (world.home / "aws-config").write_text("[profile another]\n")
    world.hint()
    world.run(2 * MINUTE)
    assert grants_of(world, "k0")


def test_keys_pasted_while_we_write_the_file_are_not_lost(signed_out: World) -> None:
    """The write merged them, and passed the file off as known before anybody had read the source from it."""
    world = signed_out

    def paste(op: str, where: str) -> None:
        if op == "write" and ".aws/" in where and "sessions" not in where:
            world.disk.before_op = None
            world.refusing.discard("profile:work")
            world.person.save_whole(world.person.read().replace("output = json", "output = text"))
            world.edited()

    world.start()
    world.run(5.0)
    assert not grants_of(world, "k0")
    world.disk.before_op = paste
    stands(world, Obstacle("source needs login", FIND, frozenset({"work"})), MINUTE, lambda: None)
    world.refresh(["k1"])
    world.run(3 * MINUTE)
    assert grants_of(world, "k0")


def grants_of(world: World, profile: str) -> list[str]:
    """The key ids that STS has given to a role, oldest first."""
    return [grant.key_id for grant in world.sts.grants.values() if grant.profile == profile]
