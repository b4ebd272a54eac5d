"""Bugs that the simulator has found, each as the shortest sequence that shows it."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest

from assumed.aws.files import AwsFiles
from assumed.model import Role

from .checks import FIND, Obstacle
from .disk import Fault
from .faults import keep_obstacle
from .month import home_of
from .people import Spec
from .world import HOUR, MINUTE, World


def spec(name: str, deliver: str = "keys", seconds: int = 3600) -> Spec:
    return Spec(name, f"arn:aws:iam::123456789012:role/{name}", "default", seconds, deliver)


@pytest.fixture
def world() -> Iterator[World]:
    """A machine with two roles, one delivered by process; nothing happens by itself."""
    with home_of() as home:
        world = World(home, [spec("k0"), spec("k1", "process")], hinting=1.0)
        yield world
        world.close()


def fault_of(world: World, op: str, number: int, seconds: float) -> None:
    """The disk refuses one operation in the state directory for this long."""
    fault = Fault(op, number, str(world.state))
    world.disk.faults.append(fault)
    keep_obstacle(world, Obstacle(op, FIND, writes=True), seconds, lambda: world.disk.faults.remove(fault))


def test_the_age_of_an_answer_that_arrives_after_sleep_counts_from_its_request(world: World) -> None:
    """It counted from receipt, so an hour's session from before a night's sleep passed as fresh."""
    world.start()
    assert world.daemon is not None
    while not world.daemon.flights:
        world.run(0.02)
    world.suspend(8 * HOUR)
    world.run(20 * MINUTE)


def test_naps_too_short_to_count_as_a_suspend_do_not_delay_renewals(world: World) -> None:
    """The scheduler's wait stops in each of them: half an hour of naps made a renewal minutes late."""
    world.start()
    for _ in range(24):
        world.run(MINUTE)
        world.suspend(9)
    world.run(20 * MINUTE)


def test_after_a_reboot_a_wrong_clock_at_receipt_does_not_make_a_session_younger(world: World) -> None:
    """The clock ran seven hours ahead at receipt, and was then set right: the age came out below zero."""
    world.specs = [spec("k0", seconds=43200)]
    world.configure(world.specs)
    world.step_clock(7 * HOUR)
    world.start()
    world.run(MINUTE)
    world.step_clock(-7 * HOUR)
    world.run(MINUTE)
    world.die()
    world.clock.reboot(11 * HOUR)
    keep_obstacle(world, Obstacle("power cut", world.start_time(), blind=True), 1.0, world.start)
    world.run(2 * HOUR)


def test_a_session_that_could_not_be_stored_is_stored_when_the_disk_works(world: World) -> None:
    """Readers by process got the previous session until the next renewal."""
    world.start()
    world.run(20 * MINUTE)
    fault_of(world, "create", errno.ENOSPC, 20 * MINUTE)
    world.run(20 * MINUTE + FIND)
    assert world.readers.in_store("k1") == grants_of(world, "k1")[-1]


def test_the_session_of_a_removed_role_is_removed_when_the_disk_works(world: World) -> None:
    """It was tried once, and readers by process could get it until the next edit."""
    world.start()
    world.run(MINUTE)
    fault_of(world, "unlink", errno.EIO, 5 * MINUTE)
    world.configure([spec("k0")])
    world.run(10 * MINUTE)
    assert world.readers.in_store("k1") is None


@pytest.fixture(params=range(8))
def signed_out(request: pytest.FixtureRequest) -> Iterator[World]:
    """A machine without a login for the source of k0; k1 has another source. Eight durations of an attempt."""
    with home_of() as home:
        specs = [replace(spec("k0"), source="work"), spec("k1")]
        world = World(home, specs, seed=request.param, refreshable={"profile:work"}, hinting=1.0)
        world.refusing.add("profile:work")
        yield world
        world.close()


def log_in(world: World) -> None:
    """Log in to the source of k0: it signs again."""
    world.refusing.discard("profile:work")
    world.logged_in("work")


def test_a_login_during_source_resolution_is_not_lost(signed_out: World) -> None:
    """The answer predated the login but arrived after its change had been handled: the role was held forever."""
    world = signed_out
    world.start()
    world.later(0.001, lambda: log_in(world))
    world.run(2 * MINUTE)
    assert grants_of(world, "k0")


def test_a_login_while_the_files_are_read_is_not_lost(signed_out: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content was compared with the file's later signature, so its last change was never read."""
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


def test_keys_pasted_during_a_write_are_not_lost(signed_out: World) -> None:
    """The write merged them and marked the file as known before the source was read from it."""
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
    keep_obstacle(world, Obstacle("source needs login", FIND, frozenset({"work"})), MINUTE, lambda: None)
    world.refresh(["k1"])
    world.run(3 * MINUTE)
    assert grants_of(world, "k0")


def grants_of(world: World, profile: str) -> list[str]:
    """The key ids that STS has issued to a role, oldest first."""
    return [grant.key_id for grant in world.sts.grants.values() if grant.profile == profile]
