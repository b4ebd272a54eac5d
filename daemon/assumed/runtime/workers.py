"""A bounded pool of daemon threads: the process may end while STS keeps one of them waiting.

concurrent.futures' own pool joins its threads when the interpreter exits, whatever `shutdown(wait=False)` says
(measured: a stop took as long as the read time-out, 8 s). Nothing is lost with a call that is cut off: what it would
have brought is asked for again after the restart.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

FOR_OTHERS = 0.2
"""Share of the threads that no group may take: what fails as one must leave some for the others."""

Work = tuple[Future[Any], Callable[[], Any]]


class Workers(Executor):
    """At most `count` threads, each started when there is work and none of them is idle.

    Groups take turns, and none has more than four fifths of the threads: calls to a host that does not answer must not
    hold up those to another.
    """

    def __init__(self, count: int, group_of: Callable[..., str] = lambda *_: "") -> None:
        """`group_of` takes what `submit` does."""
        self._count = count
        self._group_of = group_of
        self._most = max(1, count - int(count * FOR_OTHERS))
        self._waiting: dict[str, deque[Work]] = {}
        """Group → its work; the group whose turn is next comes first."""
        self._busy: Counter[str] = Counter()
        self._idle = 0
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()
        self._closed = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have `fn` called. Raises RuntimeError after `shutdown`, and when no thread can be started for it."""
        future: Future[T] = Future()
        group = self._group_of(fn, *args, **kwargs)
        with self._changed:
            if self._closed:
                raise RuntimeError("the worker pool has shut down")
            self._waiting.setdefault(group, deque()).append((future, partial(fn, *args, **kwargs)))
            if self._idle < sum(map(len, self._waiting.values())) and len(self._threads) < self._count:
                thread = threading.Thread(target=self._labour, name=f"worker {len(self._threads) + 1}", daemon=True)
                thread.start()  # may be refused (too many threads, no memory): then there is none to count on
                self._threads.append(thread)
            self._changed.notify()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no further work. `wait` for what has been taken; `cancel_futures`: for what is under way alone."""
        with self._changed:
            self._closed = True
            if cancel_futures:
                for future, _ in (work for queue in self._waiting.values() for work in queue):
                    future.cancel()
                self._waiting.clear()
            self._changed.notify_all()
        if wait:
            for thread in list(self._threads):
                thread.join()

    def _labour(self) -> None:
        group = None
        while (taken := self._next(group)) is not None:
            group, (future, call) = taken
            if future.set_running_or_notify_cancel():
                try:
                    result = call()
                except BaseException as error:  # noqa: BLE001 - it belongs to whoever asked
                    future.set_exception(error)
                else:
                    future.set_result(result)

    def _next(self, done: str | None) -> tuple[str, Work] | None:
        """The next work, once there is some that this thread may do; None when there will be none. `done`: the group of
        the work that has just ended."""
        with self._changed:
            if done is not None:
                self._busy[done] -= 1
                # A group that had all that it may have can go on; after `shutdown` the others may have nothing to do.
                self._changed.notify(self._count if self._closed else 1)
            while True:
                for group, queue in self._waiting.items():
                    if self._busy[group] < self._most:
                        self._busy[group] += 1
                        del self._waiting[group]
                        work = queue.popleft()
                        if queue:
                            self._waiting[group] = queue
                        return group, work
                if self._closed and not self._waiting:
                    return None
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
