"""The scheduler stand-in behaves like APScheduler wherever work can be lost; tests/days uses the real one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.base import BaseScheduler
from freezegun import freeze_time
from freezegun.api import FrozenDateTimeFactory

from assumed.runtime import scheduler as edge

from .timetable import SimScheduler

START = 1_800_000_000.0


class Real(BaseScheduler):  # type: ignore[misc]
    """APScheduler without its thread."""

    def wakeup(self) -> None:
        self.woken = True

    def shutdown(self, wait: bool = True) -> None:
        super().shutdown(wait)


class Two:
    """The same jobs in both, checked at the same times."""

    def __init__(
        self, frozen: FrozenDateTimeFactory, defaults: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(edge, "JOB_DEFAULTS", defaults)
        self.frozen, self.wall = frozen, START
        self.ran: dict[str, list[str]] = {"real": [], "sim": []}
        self._move()
        self.real = Real(timezone=UTC, executors={"default": DebugExecutor()}, job_defaults=defaults)
        self.real.start()
        self.sim = SimScheduler(lambda: self.wall, lambda: self.wall)

    def add(self, name: str, seconds: float) -> None:
        due = datetime.fromtimestamp(self.wall, UTC) + timedelta(seconds=seconds)
        run: Callable[[str], None] = self.ran["real"].append
        self.real.add_job(run, "date", run_date=due, args=[name], id=name, replace_existing=True)
        self.sim.add_job(self.ran["sim"].append, "date", run_date=due, args=[name], id=name, replace_existing=True)

    def look_after(self, seconds: float) -> tuple[float | None, float | None]:
        """Move the clock and run what is due; returns how long each then waits."""
        self.wall += seconds
        self._move()
        real = self.real._process_jobs()
        self.sim.run_due()
        due = self.sim.due_at_mono
        return real, None if due is None else due - self.wall

    def _move(self) -> None:
        self.frozen.move_to(datetime.fromtimestamp(self.wall, UTC).replace(tzinfo=None))


@pytest.mark.parametrize("late", [0.0, 0.5, 1.5, 60.0, 8 * 3600.0])
@pytest.mark.parametrize(
    "defaults", [edge.JOB_DEFAULTS, {}, {"misfire_grace_time": 30}], ids=["ours", "theirs", "30 s"]
)
def test_a_late_job_is_run_or_dropped_by_both_alike(
    defaults: dict[str, Any], late: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """APScheduler's defaults drop a job that is more than a second late; ours run it however late."""
    with freeze_time("2027-01-15", tick=False) as frozen:
        two = Two(frozen, defaults, monkeypatch)
        two.add("a", 10.0)
        two.add("b", 10_000_000.0)
        two.look_after(10.0 + late)
        assert two.ran["sim"] == two.ran["real"]
        grace = defaults.get("misfire_grace_time", 1)
        assert ("a" in two.ran["sim"]) == (grace is None or late <= grace)
        assert two.sim.get_job("a") is None
        assert two.real.get_job("a") is None


def test_both_wait_for_the_next_job_by_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a step back of an hour both wait an hour longer: the loop wakes them."""
    with freeze_time("2027-01-15", tick=False) as frozen:
        two = Two(frozen, edge.JOB_DEFAULTS, monkeypatch)
        two.add("a", 100.0)
        two.add("b", 200.0)
        for seconds in (1.0, -3600.0, 3650.0, 20.0, 100.0):
            real, sim = two.look_after(seconds)
            assert (real is None) == (sim is None)
            assert real is None or real == pytest.approx(sim, abs=1e-3)
            assert two.ran["sim"] == two.ran["real"]


def test_adding_a_job_again_moves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Same id, new time: one run."""
    with freeze_time("2027-01-15", tick=False) as frozen:
        two = Two(frozen, edge.JOB_DEFAULTS, monkeypatch)
        two.add("a", 10.0)
        two.add("a", 50.0)
        two.look_after(20.0)
        assert two.ran == {"real": [], "sim": []}
        two.look_after(40.0)
        assert two.ran == {"real": ["a"], "sim": ["a"]}
