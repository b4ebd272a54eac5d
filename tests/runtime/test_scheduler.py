"""The scheduler: one coming run per role, never lost, never late for the wrong clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from apscheduler.schedulers.base import STATE_RUNNING, STATE_STOPPED

from assumed.runtime.scheduler import Background, Scheduler
from world.waiting import eventually


@dataclass
class Runs:
    """A real scheduler, and what it ran when."""

    wall_error: float = 0.0
    at: list[tuple[str, float]] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)
    held: set[str] = field(default_factory=set)
    revivals: int = 0

    def __post_init__(self) -> None:
        self.began = time.monotonic()
        self.table = Scheduler(Background(), self._run, lambda: time.time() + self.wall_error, self._note_revival)
        self.table.start()

    def _run(self, profile: str) -> None:
        self.at.append((profile, time.monotonic() - self.began))
        if profile in self.held:
            self.hold.wait(60)

    def _note_revival(self) -> None:
        self.revivals += 1

    @contextmanager
    def planning(self) -> Iterator[None]:
        """Nothing runs meanwhile, however long a slow machine takes between two plans."""
        self.table._scheduler.pause()
        yield
        self.table._scheduler.resume()

    def kill_scheduler(self) -> None:
        """Let the thread that keeps the time die; what it would have run meanwhile stays."""
        scheduler = self.table._scheduler
        thread = next(thread for thread in threading.enumerate() if thread.name == "APScheduler")

        scheduler.state = STATE_STOPPED  # which is what its loop looks at
        scheduler.wakeup()
        thread.join(60)
        assert not thread.is_alive()
        scheduler.state = STATE_RUNNING

    def names(self) -> list[str]:
        return [profile for profile, _ in self.at]

    def stop(self) -> None:
        self.hold.set()
        self.table.stop()


@pytest.fixture
def runs() -> Iterator[Runs]:
    before = set(threading.enumerate())
    made = Runs()
    yield made
    made.stop()
    eventually(lambda: set(threading.enumerate()) <= before, 5, saying="the end of every thread")


def test_a_role_runs_when_it_is_due(runs: Runs) -> None:
    runs.table.put("never", 3600)
    runs.table.put("later", 0.5)
    runs.table.put("now", 0)
    runs.table.put("overdue", -1000)

    eventually(lambda: len(runs.at) == 3, 5)

    when = dict(runs.at)
    assert set(when) == {"now", "overdue", "later"}
    assert when["later"] >= 0.45


def test_a_new_plan_replaces_the_old_one(runs: Runs) -> None:
    with runs.planning():
        runs.table.put("a", 0.2)
        runs.table.put("a", 3600)
        runs.table.put("b", 3600)
        runs.table.put("b", 0.1)
        runs.table.put("c", 0.4)

    eventually(lambda: "c" in runs.names(), 5)

    assert runs.names() == ["b", "c"]


def test_the_same_plan_made_again_runs_once(runs: Runs) -> None:
    with runs.planning():
        for _ in range(50):
            runs.table.put("a", 0.2)
        runs.table.put("end", 0.5)

    eventually(lambda: "end" in runs.names(), 5)

    assert runs.names() == ["a", "end"]


def test_what_was_dropped_does_not_run_unless_it_is_put_again(runs: Runs) -> None:
    with runs.planning():
        for name in ("gone", "back"):
            runs.table.put(name, 0.1)
            runs.table.drop(name)
        runs.table.drop("never there")
        runs.table.put("back", 0.1)
        runs.table.put("end", 0.3)

    eventually(lambda: "end" in runs.names(), 5)

    assert runs.names() == ["back", "end"]


def test_a_role_can_be_put_again_while_it_runs(runs: Runs) -> None:
    """A renewal whose answer makes the role due again at once must not be lost for running still."""
    runs.held = {"a"}
    runs.table.put("a", 0)
    eventually(lambda: runs.names() == ["a"], 5)
    runs.table.put("a", 0)

    eventually(lambda: runs.names() == ["a", "a"], 5)


def test_after_a_step_of_the_clock_the_new_plan_is_the_one_that_counts(runs: Runs) -> None:
    runs.table.put("a", 3600)
    runs.wall_error = -3600.0  # the wall clock has gone forward by an hour, and was read before it did
    runs.table.put("a", 3600.1)
    runs.table.wake()

    eventually(lambda: runs.names() == ["a"], 5)


def test_a_scheduler_that_died_is_noticed_by_the_next_plan_and_none_of_its_runs_is_lost(runs: Runs) -> None:
    """The keeper plans every role at every heartbeat; runs that came due in between are late by that, no more."""
    with runs.planning():
        runs.table.put("due meanwhile", 0.2)
        runs.table.put("due later", 0.8)
        runs.kill_scheduler()
    time.sleep(0.3)
    assert runs.names() == []

    runs.table.put("new", 60)

    eventually(lambda: runs.names() == ["due meanwhile", "due later"], 5)
    assert runs.at[1][1] >= 0.75
    assert runs.revivals == 1


def test_a_stopped_scheduler_is_not_revived() -> None:
    runs = Runs()
    runs.kill_scheduler()
    runs.table.stop()
    runs.table.put("a", 0)

    assert runs.revivals == 0
    assert "APScheduler" not in {thread.name for thread in threading.enumerate()}


def test_putting_and_dropping_from_many_threads_leaves_a_table_that_works(runs: Runs) -> None:
    """The claim decides whether a run is due; here no call may raise, and the last plan must be carried out."""
    odd: list[BaseException] = []
    end = time.monotonic() + 0.5

    def use(number: int) -> None:
        name = f"role-{number % 3}"
        while time.monotonic() < end:
            try:
                runs.table.put(name, 0.001 * number)
                runs.table.drop(name)
            except Exception as error:  # noqa: BLE001
                odd.append(error)

    threads = [threading.Thread(target=use, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(3):
        runs.table.put(f"role-{number}", 0)
    runs.table.put("end", 0.1)
    eventually(lambda: "end" in runs.names(), 5)

    assert odd == []
    assert {f"role-{number}" for number in range(3)} <= set(runs.names())


def test_a_stopped_table_runs_nothing_more_and_can_be_stopped_again() -> None:
    runs = Runs()
    runs.table.put("a", 1.0)
    runs.table.stop()
    runs.table.stop()
    time.sleep(1.1)

    assert runs.at == []
