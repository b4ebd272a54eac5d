"""APScheduler as a timetable: one date job per role and a bounded pool of workers.

Three defaults of APScheduler silently lose work, so each is set by hand: a date job found more than 1 s late is
dropped for good (`misfire_grace_time`), one that comes due while its predecessor still runs is dropped, too
(`max_instances`), and an unnamed time zone costs an import and may be wrong.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.executors.pool import BasePoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler

from assumed.runtime.workers import Workers

WORKERS = 10

JOB_DEFAULTS = {"misfire_grace_time": None, "max_instances": 2, "coalesce": True}


class _Pool(BasePoolExecutor):  # type: ignore[misc]  # APScheduler has no types
    def __init__(self, workers: int, group_of: Callable[[str], str]) -> None:
        super().__init__(Workers(workers, lambda _, job, *__: group_of(job.id)))


class _Background(BackgroundScheduler):  # type: ignore[misc]
    _thread: threading.Thread

    def revive(self) -> bool:
        """Start the thread that keeps the time again if it has died, with the same jobs; True when it had."""
        if not self.running or self._thread.is_alive():
            return False
        # As BackgroundScheduler.start: nothing else of it ended with the thread.
        self._thread = threading.Thread(target=self._main_loop, name="APScheduler", daemon=True)
        self._event.set()
        self._thread.start()
        return True


def background(workers: int = WORKERS, group_of: Callable[[str], str] = lambda _: "") -> BaseScheduler:
    """The scheduler of the real daemon: a thread that keeps the time, and a bounded pool, which roles of a group (by
    their profiles) never have to themselves."""
    return _Background(timezone=UTC, executors={"default": _Pool(workers, group_of)}, job_defaults=JOB_DEFAULTS)


class Timetable:
    """At most one coming run per role. The keeper sees to it that one role has one renewal in flight."""

    def __init__(
        self,
        scheduler: BaseScheduler,
        run: Callable[[str], None],
        wall: Callable[[], float],
        revived: Callable[[], None] = lambda: None,
    ) -> None:
        """`revived` is told when the scheduler's thread had died and a new one has been started."""
        self._scheduler = scheduler
        self._run = run
        self._wall = wall
        self._revived = revived
        self._at: dict[str, float] = {}

    def start(self) -> None:
        """Begin to run jobs."""
        self._scheduler.start()

    def put(self, profile: str, due_in: float) -> None:
        """See to it that `profile` runs in `due_in` seconds (now, if that has passed); replaces an earlier plan.

        The keeper plans every role at every heartbeat: that is also when a dead thread of the scheduler's is noticed.
        """
        if isinstance(self._scheduler, _Background) and self._scheduler.revive():
            self._revived()
        at = self._wall() + max(0.0, due_in)
        if profile in self._at and abs(self._at[profile] - at) < 0.5 and self._scheduler.get_job(profile):
            return
        self._at[profile] = at
        self._scheduler.add_job(
            self._fire, "date", run_date=_instant(at), args=[profile], id=profile, replace_existing=True
        )

    def drop(self, profile: str) -> None:
        """Forget the coming run of `profile`, if it has one."""
        # Whatever `_at` says: a worker that begins late forgets there what was planned since.
        self._at.pop(profile, None)
        with contextlib.suppress(JobLookupError):  # it has none, or is running now: then its claim will be refused
            self._scheduler.remove_job(profile)

    def wake(self) -> None:
        """Look at the wall clock again: after a suspend or a step the scheduler's own wait is wrong."""
        self._scheduler.wakeup()

    def stop(self) -> None:
        """Take no further job. Running jobs see the keeper's stop flag; none is waited for here."""
        if self._scheduler.running:
            # First of all no job may be left: APScheduler's thread dies of a JobLookupError when it is stopped between
            # the start of a job and its removal. This waits until it is past that, and leaves it nothing to start.
            self._scheduler.remove_all_jobs()
            self._scheduler.shutdown(wait=False)

    def _fire(self, profile: str) -> None:
        self._at.pop(profile, None)
        self._run(profile)


def _instant(wall: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=wall)
