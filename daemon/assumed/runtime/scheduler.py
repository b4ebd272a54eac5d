"""APScheduler says when: one date job per role that has a time of its own. The job puts a message; that is all.

Three defaults of APScheduler silently lose work, so each is set by hand: a date job found more than 1 s late is
dropped for good (`misfire_grace_time`), one that comes due while its predecessor still runs is dropped, too
(`max_instances`), and an unnamed time zone costs an import and may be wrong.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.executors.debug import DebugExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler

JOB_DEFAULTS = {"misfire_grace_time": None, "max_instances": 2, "coalesce": True}
UNMOVED = 0.5
"""Seconds by which a job may be off: `add_job` costs 0.3 ms."""


class Background(BackgroundScheduler):  # type: ignore[misc]  # APScheduler has no types
    """The scheduler of the real daemon: its thread runs the jobs, which take no time."""

    _thread: threading.Thread

    def __init__(self) -> None:
        super().__init__(timezone=UTC, executors={"default": DebugExecutor()}, job_defaults=JOB_DEFAULTS)

    def revive(self) -> bool:
        """Start the thread that keeps the time again if it has died, with the same jobs; True when it had."""
        if not self.running or self._thread.is_alive():
            return False
        # As BackgroundScheduler.start: nothing else of it ended with the thread.
        self._thread = threading.Thread(target=self._main_loop, name="APScheduler", daemon=True)
        self._event.set()
        self._thread.start()
        return True


class Scheduler:
    """At most one coming run per role."""

    def __init__(
        self,
        scheduler: BaseScheduler,
        run: Callable[[str], None],
        wall: Callable[[], float],
        revived: Callable[[], None] = lambda: None,
    ) -> None:
        """`run(profile)` is called in the scheduler's thread; `revived` when that had died and was started again."""
        self._scheduler = scheduler
        self._run = run
        self._wall = wall
        self._revived = revived
        self._at: dict[str, float] = {}
        """Profile → the wall time that its job has been given."""

    def start(self) -> None:
        """Begin to run jobs."""
        self._scheduler.start()

    def put(self, profile: str, due_in: float) -> None:
        """Run `profile` in `due_in` seconds; replaces an earlier plan.

        Every role is planned at every heartbeat: that is also when a dead thread of the scheduler is noticed.
        """
        if isinstance(self._scheduler, Background) and self._scheduler.revive():
            self._revived()
        at = self._wall() + max(0.0, due_in)
        if profile in self._at and abs(self._at[profile] - at) < UNMOVED and self._scheduler.get_job(profile):
            return
        self._at[profile] = at
        self._scheduler.add_job(
            self._run, "date", run_date=_instant(at), args=[profile], id=profile, replace_existing=True
        )

    def drop(self, profile: str) -> None:
        """Forget the coming run of `profile`, if it has one."""
        if self._at.pop(profile, None) is not None:
            with contextlib.suppress(JobLookupError):  # it has just run
                self._scheduler.remove_job(profile)

    def wake(self) -> None:
        """Look at the wall clock again: after a suspend or a step the scheduler's own wait is wrong."""
        self._scheduler.wakeup()

    def stop(self) -> None:
        """Run no further job."""
        if self._scheduler.running:
            # First of all no job may be left: APScheduler's thread dies of a JobLookupError when it is stopped between
            # the start of a job and its removal. This waits until it is past that, and leaves it nothing to start.
            self._scheduler.remove_all_jobs()
            self._scheduler.shutdown(wait=False)


def _instant(wall: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=wall)
