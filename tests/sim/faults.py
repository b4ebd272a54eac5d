"""What may happen to a machine in a month. Each fault begins, ends by itself, and declares which roles it hinders."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable

from assumed.credentials.ownership import LONGEST

from .checks import FIND, Obstacle
from .disk import Fault
from .people import Spec, changed, toml
from .world import HOUR, MINUTE, World

# How long a role may take to recover, waking seconds: the longest delay of its kind of failure (engine.schedule) and
# 10 %, a time-out of STS, and a beat.
AFTER_OUTAGE = 45 * 1.1 + 8 + 8
AFTER_SOURCE = 60 * 1.1 + 10
AFTER_DENIAL = 600 * 1.1 + 10
AFTER_WRONG = 3600 * 1.1 + 10
AFTER_DISK = 5 + 8
AFTER_HANG = 30 + AFTER_SOURCE + 10

Happening = Callable[[World], None]


def span(chance: random.Random, shortest: float, longest: float) -> float:
    """A duration; every order of magnitude is equally likely."""
    return float(shortest * (longest / shortest) ** chance.random())


def keep_obstacle(world: World, obstacle: Obstacle, seconds: float, undo: Callable[[], None]) -> None:
    """Keep an obstacle for this long."""
    world.begin(obstacle)

    def end() -> None:
        undo()
        world.end(obstacle)

    world.later(seconds, end)


def some_role(world: World) -> str:
    """One of the configured roles."""
    return world.random.choice(world.specs).profile


# -- STS -------------------------------------------------------------------------------------------------------


def outage(world: World) -> None:
    """No request gets a usable answer."""
    if world.sts.trouble:
        return
    kind = world.random.choice(["unreachable", "unreachable", "hang", "broken", "throttled", "garbage"])
    world.sts.trouble = kind
    if kind != "garbage":
        world.trouble_since = world.clock.t

    def over() -> None:
        world.sts.trouble, world.trouble_since = "", None

    keep_obstacle(world, Obstacle(f"sts {kind}", AFTER_OUTAGE), span(world.random, 5, 6 * HOUR), over)


def denial(world: World) -> None:
    """STS denies one role."""
    profile = some_role(world)
    if profile in world.sts.denied:
        return
    world.sts.denied.add(profile)
    obstacle = Obstacle("denied", AFTER_DENIAL, frozenset({profile}))
    keep_obstacle(world, obstacle, span(world.random, 10, 5 * HOUR), lambda: world.sts.denied.discard(profile))


def wrong(world: World) -> None:
    """STS can never grant a role's request."""
    profile = some_role(world)
    if profile in world.sts.wrong:
        return
    world.sts.wrong.add(profile)
    obstacle = Obstacle("misconfigured", AFTER_WRONG, frozenset({profile}))
    keep_obstacle(world, obstacle, span(world.random, MINUTE, 2 * HOUR), lambda: world.sts.wrong.discard(profile))


def dead_source(world: World) -> None:
    """The keys of a source are not accepted until they are activated again."""
    source = world.random.choice(sorted({s.source for s in world.specs}))
    name = f"profile:{source}"
    if name in world.sts.dead:
        return
    world.sts.dead.add(name)
    obstacle = Obstacle("source dead", AFTER_SOURCE, frozenset({source}))
    keep_obstacle(world, obstacle, span(world.random, 10 * MINUTE, 48 * HOUR), lambda: world.sts.dead.discard(name))


def silent_source(world: World) -> None:
    """A source that must be resolved hangs, or needs a login."""
    if not world.refreshable:
        return
    name = world.random.choice(sorted(world.refreshable))
    where, kind = world.random.choice([(world.hanging, "source hangs"), (world.refusing, "source needs login")])
    if name in where:
        return
    where.add(name)
    source = name.removeprefix("profile:")

    def over() -> None:
        where.discard(name)
        if where is world.refusing:
            world.logged_in(source)

    keep_obstacle(world, Obstacle(kind, AFTER_HANG, frozenset({source})), span(world.random, 10, 2 * HOUR), over)


def slowness(world: World) -> None:
    """Answers take seconds. No role is hindered."""
    world.sts.slow = world.random.uniform(0.5, 5.0)
    world.later(span(world.random, MINUTE, 3 * HOUR), lambda: setattr(world.sts, "slow", 0.0))


def short_sessions(world: World) -> None:
    """STS grants less than requested."""
    world.sts.shorten = world.random.uniform(0.15, 0.9)
    world.later(span(world.random, MINUTE, 2 * HOUR), lambda: setattr(world.sts, "shorten", 1.0))


# -- the clock ---------------------------------------------------------------------------------------------------


def nap(world: World) -> None:
    """A short suspend."""
    world.suspend(span(world.random, 1, 3 * HOUR))


def clock_step(world: World) -> None:
    """The wall clock is set wrong, and later right. STS may refuse signatures with a wrong time."""
    if world.clock.wall_error or world.expected.obstructed("clock"):
        return
    shortest, longest = world.random.choice([(1, 10 * MINUTE), (10 * MINUTE, 24 * HOUR)])
    by = world.random.choice([-1, 1]) * span(world.random, shortest, longest)
    world.step_clock(by)
    if world.sts.minds_skew and abs(by) > 800:
        world.begin(Obstacle("clock", AFTER_OUTAGE))
    world.later(span(world.random, 10, 72 * HOUR), world.set_clock_right)


# -- the disk ----------------------------------------------------------------------------------------------------

DISK = (
    ("create", (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO)),
    ("open", (errno.EACCES, errno.EIO, errno.EMFILE)),
    ("read", (errno.EIO,)),
    ("write", (errno.ENOSPC, errno.EIO)),
    ("fsync", (errno.EIO, errno.ENOSPC)),
    ("fsync_dir", (errno.EIO,)),
    ("rename", (errno.EBUSY, errno.EACCES, errno.EIO, errno.EROFS, errno.ENOSPC)),
    ("exchange", (errno.EINVAL, errno.ENOSYS, errno.EBUSY, errno.EIO)),
    ("unlink", (errno.EACCES, errno.EROFS, errno.EIO)),
)


def bad_disk(world: World) -> None:
    """An operation fails for a while in the home directory, the state directory or both."""
    op, numbers = world.random.choice(DISK)
    number = world.random.choice(numbers)
    fault = Fault(op, number, world.random.choice([str(world.credentials), str(world.state), str(world.home)]))
    world.disk.faults.append(fault)
    obstacle = Obstacle(f"{op} {errno.errorcode[number]}", AFTER_DISK + FIND, writes=True)
    keep_obstacle(world, obstacle, span(world.random, 1, 20 * MINUTE), lambda: world.disk.faults.remove(fault))


# -- the daemon's death ---------------------------------------------------------------------------------------------


def _down(world: World, kind: str, seconds: float) -> None:
    if world.expected.obstructed("killed", "stopped", "power cut"):
        return
    lost_edit = world.clock.mono <= world._edit_by or world.person.torn_since is not None
    # The session store is not flushed: what a power cut damages in it is requested again.
    recovery = world.start_time() + (FIND if lost_edit else 0)
    obstacle = Obstacle(kind, recovery, blind=kind == "power cut", writes=True)
    if lost_edit:
        # What was written into a file that had just been replaced is lost with the process that held it open.
        world.accept_what_is_there()
    world.expect_what_is_parked()
    keep_obstacle(world, obstacle, seconds, world.start)


def kill(world: World) -> None:
    """SIGKILL at any moment."""
    if world.daemon is not None:
        world.die()
        _down(world, "killed", span(world.random, 1, HOUR))


def kill_in_write(world: World) -> None:
    """SIGKILL between two operations of a write, a renewal or two from now; or a power cut."""
    if world.daemon is None:
        return
    if world.random.random() < 0.4:
        world.disk.kill_in = world.random.randint(1, 60)
    else:
        world.disk.kill_after = world.random.choice(
            ["create", "write", "fsync", "rename", "exchange", "exchange", "unlink"]
        )

    def killed() -> None:
        world.die()
        if world.random.random() < 0.4:
            _down(world, "killed", span(world.random, 1, HOUR))
        else:
            _lose_power(world)

    world.killed = killed  # type: ignore[method-assign]


def power_cut(world: World) -> None:
    """Everything stops; what was not flushed is lost."""
    if world.daemon is not None:
        world.die()
        _lose_power(world)


def _lose_power(world: World) -> None:
    world.disk.lose_power()
    world.readers.store_changed()
    world.clock.reboot(span(world.random, 30, 8 * HOUR))
    _down(world, "power cut", world.random.uniform(1, 20))


def stop(world: World) -> None:
    """SIGTERM, as in an upgrade."""
    if world.daemon is not None:
        daemon = world.daemon
        world.orderly(daemon.stop)
        world.die()
        _down(world, "stopped", span(world.random, 0.5, 10 * MINUTE))


# -- people and other programs ---------------------------------------------------------------------------------------


def edit(world: World) -> None:
    """A person or a tool changes something else in the credentials file, in one of several ways."""
    person = world.person
    if person.torn_since is not None:
        return
    text = person.edited(person.read())
    how = world.random.choice(["whole", "in place", "appending", "stale"])
    if how == "whole":
        person.save_whole(text)
        world.edited()
    elif how == "stale":
        world.later(span(world.random, 1, 20 * MINUTE), lambda: _save_stale(world, text))
    else:
        _save_slowly(world, text, how)


def _save_slowly(world: World, text: str, how: str) -> None:
    """Truncated now, complete in less than a second: the allowed time for a writer (the AWS CLI needs a
    millisecond)."""
    person = world.person
    save = person.save_in_place if how == "in place" else person.save_by_appending
    writing = save(text, world.clock.t, world.edited)
    world.writers.append(writing)
    world.hint()
    took = span(world.random, 0.001, 0.9)
    world.later(took / 2, lambda: writing.step(0.5))
    keep_obstacle(world, Obstacle("half written", FIND, blind=True), took, lambda: writing.step(1))


def edit_in_write(world: World) -> None:
    """Another program writes the file between two operations of our next write."""
    left, how = world.random.randint(1, 30), world.random.choice(["whole", "in place", "appending"])

    def step_in(op: str, where: str) -> None:
        nonlocal left
        person = world.person
        left -= 1
        if left > 0 or person.torn_since is not None:
            return
        # If names cannot be exchanged, a replacement between the last check and the rename cannot be detected.
        if how != "in place" and op == "rename" and where == str(world.credentials):
            return
        world.disk.before_op = None
        text = person.edited(person.read())
        if not text.strip():
            return  # an empty file replaced at the same moment cannot be told from a truncated one
        if how == "whole":
            person.save_whole(text)
            world.edited()
        else:
            _save_slowly(world, text, how)

    world.disk.before_op = step_in


def _save_stale(world: World, text: str) -> None:
    """An editor saves what it read minutes ago, with our sections of that time."""
    if world.person.torn_since is None:
        world.person.save_whole(text)
        world.edited()


def delete(world: World) -> None:
    """The credentials file is deleted, with its source; a person restores that."""
    if world.person.torn_since is None and world.random.random() < 0.3:
        world.person.delete()
        world.edited()


def tidy(world: World) -> None:
    """The session store is deleted; a minute later readers ask for its content."""
    for path in sorted((world.state / "sessions").glob("*.json")):
        path.unlink()
    world.readers.store_changed()
    keep_obstacle(world, Obstacle("tidied", FIND, blind=True), MINUTE, world.readers_ask)


def conflict(world: World) -> None:
    """Another credentials tool overwrites a managed profile, a few times or persistently."""
    profile, left = some_role(world), world.random.randint(1, 8)
    obstacle = Obstacle("rival", LONGEST + FIND + 10, frozenset({profile}), blind=True)
    world.begin(obstacle)

    def strike() -> None:
        nonlocal left
        if left and world.person.torn_since is None and any(s.profile == profile for s in world.specs):
            left -= 1
            world.person.overwrite_profile(profile)
            world.edited()
            world.later(world.random.uniform(2, 25), strike)
        else:
            world.end(obstacle)

    strike()


def reconfigure(world: World) -> None:
    """A person adds, removes or changes a role."""
    if world.config_busy():
        return
    specs, serial = list(world.specs), world.next_serial()
    at = world.random.randrange(len(specs))
    parents = {s.source for s in specs}
    match world.random.choice(["add", "remove", "change", "change"]):
        case "add":
            name = world.random.choice([n for n in sorted(world.person.kept) if n not in {s.profile for s in specs}])
            specs.insert(at, Spec(name, f"arn:aws:iam::123456789012:role/{name}", "default", specs[0].seconds))
        case "remove" if len(specs) > 1 and specs[at].profile not in parents:
            del specs[at]
        case "change":
            specs[at] = changed(specs[at], world.random, serial)
    _save_config(world, specs)


def _save_config(world: World, specs: list[Spec]) -> None:
    """In one step, or truncated first: half a TOML file is often valid."""
    world.config_saved_t = world.clock.t
    if world.random.random() < 0.5:
        world.configure(specs)
        return
    text = toml(specs)
    world.config_path.write_text(text[: world.random.randint(0, len(text))])
    world.hint()
    # Additions may take effect before the file is complete; nothing else may.
    obstacle = Obstacle("half a config", FIND, frozenset(s.profile for s in specs if s not in world.specs), blind=True)
    keep_obstacle(world, obstacle, span(world.random, 0.01, 4.0), lambda: world.configure(specs))


def bad_config(world: World) -> None:
    """A bad edit stays for a while; only the status may change (promise 10)."""
    if world.config_busy():
        return
    good, until = world.config_path.read_text(), span(world.random, 1, 3 * HOUR)
    world.config_saved_t = world.clock.t + until
    bad = ["", "[[roles]", good.replace("duration_seconds", "duration_second"), good.replace("arn:aws", "arn;aws", 1)]
    world.config_path.write_text(world.random.choice(bad))
    world.hint()
    obstacle = Obstacle("bad config", 0.0)
    world.expected.note(obstacle, world.clock.t)

    def mend() -> None:
        world.config_path.write_text(good)
        world.expected.forget(obstacle, world.clock.t)
        world.hint()

    world.later(until, mend)


def refresh(world: World) -> None:
    """A user runs `assumed refresh`."""
    if world.daemon is not None:
        world.polite.reset_t = world.clock.t
        world.refresh([some_role(world)])


FAULTS: dict[Happening, int] = {
    outage: 6,
    denial: 4,
    wrong: 1,
    dead_source: 5,
    silent_source: 3,
    slowness: 4,
    short_sessions: 2,
    nap: 5,
    clock_step: 5,
    bad_disk: 8,
    kill: 2,
    kill_in_write: 3,
    power_cut: 2,
    stop: 2,
    edit: 6,
    edit_in_write: 4,
    delete: 1,
    tidy: 1,
    conflict: 1,
    reconfigure: 4,
    bad_config: 2,
    refresh: 1,
}
