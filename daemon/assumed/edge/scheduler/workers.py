"""A bounded pool of daemon threads: the process may end while STS keeps one of them waiting.

concurrent.futures' own pool joins its threads when the interpreter exits, whatever `shutdown(wait=False)` says
(measured: a stop took as long as the read time-out, 8 s). Nothing is lost with a call that is cut off: what it would
have brought is asked for again after the restart.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


class Workers(Executor):
    """At most `count` threads, each started when there is work and none of them is idle."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._work: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have `fn` called. Raises RuntimeError after `shutdown`, and when no thread can be started for it."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the workers have been sent home")
            self._work.put((future, partial(fn, *args, **kwargs)))
            if not self._idle.acquire(blocking=False) and len(self._threads) < self._count:
                thread = threading.Thread(target=self._labour, name=f"worker {len(self._threads) + 1}", daemon=True)
                thread.start()  # may be refused (too many threads, no memory): then there is none to count on
                self._threads.append(thread)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no further work. `wait` for what has been taken; `cancel_futures`: for what is under way alone."""
        with self._lock:
            self._closed = True
            threads = list(self._threads)
        while cancel_futures and not self._work.empty():
            item = self._work.get_nowait()
            if item is not None:
                item[0].cancel()
        for _ in threads:
            self._work.put(None)
        if wait:
            for thread in threads:
                thread.join()

    def _labour(self) -> None:
        while (item := self._work.get()) is not None:
            future, call = item
            if future.set_running_or_notify_cancel():
                try:
                    result = call()
                except BaseException as error:  # noqa: BLE001 - it belongs to whoever asked
                    future.set_exception(error)
                else:
                    future.set_result(result)
            self._idle.release()
