"""Sleep, pauses, clock steps, SIGSTOP and a dead scheduler in the running daemon with its real heartbeat.

Each case is a machine of its own, disturbed just after a heartbeat so that the next is as far away as possible. All
machines run at the same time, because they mostly wait.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from process.machine import Machine
from process.shim import compiled
from world.scores import Record
from world.waiting import eventually

PROMISED, SLACK = 30.0, 3.0
"""Promise 7, plus what a busy machine may add."""
LIFE = 70.0
"""Seconds of a session: due 35 to 42 s after it was issued, some seconds after the disturbance, and expired only after
the heartbeat that follows."""
LONG = 900.0
"""Of a session that is due long after the heartbeat, which alone can notice."""
ANSWER = 8.0
"""Seconds until credential-process answers: 4, plus the start of an interpreter on a busy machine."""
DAY, HOURS, MINUTES = 86400, 8 * 3600, 600

Disturb = Callable[[Machine], float]
"""Disturbs a machine; returns the earliest time from which every role must be tried."""


def asleep(seconds: int) -> Disturb:
    """The lid is closed for this long."""
    return lambda machine: machine.pass_over(seconds, boot=True)


def asleep_then_asked(seconds: int) -> Disturb:
    """After the lid opens, an SDK's credential_process runs first, long before the heartbeat."""

    def disturb(machine: Machine) -> float:
        woken = machine.pass_over(seconds, boot=True)
        left = machine.served_by_process("b")
        assert left is not None
        assert left > 0
        assert time.monotonic() - woken < ANSWER
        return woken

    return disturb


def paused(seconds: int) -> Disturb:
    """The host pauses the virtual machine and sets its clock right afterwards; it does not know that it slept."""
    return lambda machine: machine.pass_over(seconds, boot=False)


def stepped(seconds: int) -> Disturb:
    """The wall clock is set wrong, by less than STS tolerates."""

    def disturb(machine: Machine) -> float:
        machine.clocks.move(wall=seconds)
        return time.monotonic()

    return disturb


def wrong_for_a_while(seconds: int) -> Disturb:
    """Wrong by more than STS accepts: every signature is refused. Set right when each role has failed."""

    def disturb(machine: Machine) -> float:
        began = time.monotonic()
        machine.clocks.move(wall=seconds)
        refused = {"a", "b"}
        eventually(lambda: all(machine.calls(name, began) for name in refused), 40, saying="a refusal")
        machine.clocks.move(wall=-seconds)
        return time.monotonic()

    return disturb


def set_right(seconds: int) -> Disturb:
    """The clock was wrong from the start, so there never was a session."""

    def disturb(machine: Machine) -> float:
        machine.clocks.move(wall=seconds)
        return time.monotonic()

    return disturb


def stopped(machine: Machine) -> float:
    """SIGSTOP for longer than a session lives: only the clocks continue."""
    machine.daemon.signal(signal.SIGSTOP)
    time.sleep(machine.session_seconds + 2)
    machine.daemon.signal(signal.SIGCONT)
    return time.monotonic()


def scheduler_dies(machine: Machine) -> float:
    """APScheduler's thread ends with an error."""
    machine.daemon.signal(signal.SIGUSR1)
    eventually(lambda: machine.daemon.events("thread.crashed"), 5)
    return time.monotonic()


@dataclass(frozen=True, slots=True)
class Case:
    """`jump`: whether the log must report one. `blind`: an expired session may be in the file until the promised
    time."""

    disturb: Disturb
    jump: bool = True
    blind: bool = False
    wrong_at_start: int = 0
    life: float = LIFE
    calls: int = 2
    """Maximum calls per role from the disturbance until its renewal."""


CASES = {
    "asleep for two minutes": Case(asleep(120), blind=True, life=220),
    "asleep for eight hours": Case(asleep(HOURS), blind=True, life=LONG),
    "asleep for a month": Case(asleep(30 * DAY), blind=True, life=LONG),
    "asleep for eight hours, then asked": Case(asleep_then_asked(HOURS), blind=True, life=LONG),
    "paused by the host for eight hours": Case(paused(HOURS), blind=True, life=LONG),
    "paused by the host for a day": Case(paused(DAY), blind=True, life=LONG),
    "set ten minutes ahead": Case(stepped(MINUTES)),
    "set ten minutes back": Case(stepped(-MINUTES)),
    "wrong for a while, eight hours ahead": Case(wrong_for_a_while(HOURS), calls=12),
    "wrong for a while, eight hours behind": Case(wrong_for_a_while(-HOURS), calls=12),
    "a day ahead at the start, then set right": Case(set_right(-DAY), wrong_at_start=DAY),
    "a day behind at the start, then set right": Case(set_right(DAY), wrong_at_start=-DAY),
    "stopped by a signal for longer than a session": Case(stopped, jump=False, blind=True, life=12),
    "the scheduler's thread dies": Case(scheduler_dies, jump=False),
}


@dataclass
class Outcome:
    """The results of one machine."""

    late: float = 0.0
    expired: int = 0
    gap: float = 0.0
    renewals: int = 0
    faults: list[str] = field(default_factory=list)


def live_through(machine: Machine, case: Case) -> Outcome:
    """Disturb a healthy machine, and record when each role is renewed."""
    daemon, outcome = machine.daemon, Outcome()
    if case.wrong_at_start:
        eventually(lambda: all(machine.calls(name, 0.0) for name in ("a", "b")), 20, saying="a refusal")
    else:
        daemon.wait_until_fresh()
    machine.wait_for_beat()
    due = {} if case.wrong_at_start else {name: machine.due(name) for name in ("a", "b")}
    began = time.monotonic()
    since = case.disturb(machine)
    eventually(lambda: all(granted(machine, name, since) for name in ("a", "b")), PROMISED + 15, saying="a renewal")
    daemon.wait_until_fresh()
    for name in ("a", "b"):
        first = granted(machine, name, since)[0]
        outcome.late = max(outcome.late, first - max(since, due.get(name, since) if not case.blind else since))
        if len(machine.calls(name, began)) > case.calls:
            outcome.faults.append(f"a storm: {len(machine.calls(name, began))} calls for {name}")
    again = time.monotonic()
    daemon.ask("refresh", profiles=["a", "b"])
    eventually(lambda: all(granted(machine, name, again) for name in ("a", "b")), 15, saying="a renewal on demand")
    outcome.renewals = sum(len(granted(machine, name, began)) for name in ("a", "b"))
    end_of_blindness = since + PROMISED + SLACK if case.blind else 0.0
    outcome.expired = sum(at > end_of_blindness for at in machine.expired)
    beats = [at for at in machine.beats if at > since]
    outcome.gap = max((b - a for a, b in zip([since, *beats], [*beats, time.monotonic()], strict=True)), default=0.0)
    if bool(daemon.events("clock.jumped")) != case.jump:
        outcome.faults.append(f"jumps told of: {daemon.events('clock.jumped')}")
    # An SDK uses the machine's clock: if that is ahead by more than the session's life, it gets an error instead.
    left = machine.served_by_process("b")
    if (left is None and machine.is_right()) or (left is not None and left <= 0):
        outcome.faults.append(f"credential-process serves {left} s")
    return outcome


def granted(machine: Machine, profile: str, since: float) -> list[float]:
    """When sessions of a role were issued since then."""
    return [at for at, call in machine.calls(profile, since) if call.outcome == "ok"]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_after_any_time_jump_every_due_role_is_tried_within_a_heartbeat(
    tmp_path_factory: pytest.TempPathFactory, record: Record
) -> None:
    library = compiled(tmp_path_factory.mktemp("shim"))
    homes = {sentence: tmp_path_factory.mktemp("h") for sentence in CASES}

    def run(sentence: str) -> Outcome:
        case = CASES[sentence]
        with Machine(homes[sentence], library, case.life, case.wrong_at_start) as machine:
            return live_through(machine, case)

    with ThreadPoolExecutor(len(CASES)) as pool:
        outcomes = dict(zip(CASES, pool.map(run, CASES), strict=True))

    for sentence, outcome in outcomes.items():
        print(f"{sentence}: {outcome}")
    record("time.cases", len(outcomes))
    record("time.lateness", max(outcome.late for outcome in outcomes.values()))
    record("time.expired_served", sum(outcome.expired for outcome in outcomes.values()))
    record("time.scheduler_killed_renewals", outcomes["the scheduler's thread dies"].renewals)
    assert {sentence: outcome.faults for sentence, outcome in outcomes.items() if outcome.faults} == {}
    assert {sentence for sentence, outcome in outcomes.items() if outcome.late > PROMISED + SLACK} == set()
    assert {sentence for sentence, outcome in outcomes.items() if outcome.gap > PROMISED + SLACK} == set()
    assert {sentence: outcome.expired for sentence, outcome in outcomes.items() if outcome.expired} == {}
