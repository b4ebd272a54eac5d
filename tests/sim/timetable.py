"""A stand-in for APScheduler 3.11 without threads, ten times as fast as the real one under a moved clock.

It keeps these properties: a date job is due by the wall clock; the wait until then uses the monotonic clock; a job
found later than `misfire_grace_time` is dropped for good. Jobs run where they are found and take no time.
`test_timetable.py` compares it with the real one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from apscheduler.jobstores.base import JobLookupError

from assumed.runtime import scheduler

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Job:
    """A date job."""

    id: str
    func: Callable[..., None]
    args: Sequence[Any]
    due: float


class SimScheduler:
    """The part of APScheduler's BaseScheduler that `runtime.scheduler` uses."""

    def __init__(self, wall: Callable[[], float], mono: Callable[[], float]) -> None:
        self._wall, self._mono = wall, mono
        self._grace: float | None = scheduler.JOB_DEFAULTS.get("misfire_grace_time", 1)
        self.jobs: dict[str, Job] = {}
        self.running = True
        self.due_at_mono: float | None = None
        self.woken = True

    def add_job(self, func: Any, _trigger: str, run_date: datetime, args: Any, id: str, replace_existing: bool) -> None:  # noqa: A002 - APScheduler's name
        """Add or replace a date job. APScheduler wakes its thread for each."""
        assert replace_existing
        self.jobs[id] = Job(id, func, args, (run_date - EPOCH).total_seconds())
        self.woken = True

    def get_job(self, job_id: str) -> Job | None:
        """The next run."""
        return self.jobs.get(job_id)

    def remove_job(self, job_id: str) -> None:
        """Cancel the next run. Raises JobLookupError."""
        if self.jobs.pop(job_id, None) is None:
            raise JobLookupError(job_id)

    def remove_all_jobs(self) -> None:
        """Cancel every run."""
        self.jobs.clear()

    def wakeup(self) -> None:
        """Check the wall clock again."""
        self.woken = True

    def shutdown(self, wait: bool = True) -> None:
        """Accept no further jobs."""
        self.running = False

    def run_due(self) -> None:
        """What APScheduler's thread does when it wakes: run what is due, then wait for the next."""
        self.woken = False
        wall = self._wall()
        for job in sorted((j for j in self.jobs.values() if j.due <= wall), key=lambda j: j.due):
            del self.jobs[job.id]
            if self._grace is None or wall - job.due <= self._grace:
                job.func(*job.args)
        following = min((job.due for job in self.jobs.values()), default=None)
        self.due_at_mono = None if following is None else self._mono() + max(1e-6, following - wall)
