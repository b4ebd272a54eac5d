"""The pool of workers: no group has it to itself."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest

from assumed.runtime.workers import Workers
from world.waiting import eventually


@pytest.mark.parametrize(("count", "most"), [(10, 8), (5, 4), (2, 2), (1, 1)])
def test_a_group_that_hangs_leaves_workers_to_the_others(count: int, most: int) -> None:
    pool, go, begun = Workers(count, lambda _, group: group), threading.Event(), []

    def hang(group: str) -> None:
        begun.append(group)
        go.wait(60)

    hanging = [pool.submit(hang, "a") for _ in range(3 * count)]
    eventually(lambda: len(begun) == most, within=30)
    if most < count:
        assert pool.submit(lambda group: group, "b").result(timeout=30) == "b"
    assert len(begun) == most

    go.set()
    for future in hanging:
        future.result(timeout=30)
    pool.shutdown(wait=True)


def test_groups_take_turns() -> None:
    """A thousand roles of one endpoint that are due at once do not come before the one of another."""
    pool, go, done = Workers(1, lambda _, group: group), threading.Event(), []
    first: Future[bool] = pool.submit(lambda _: go.wait(60), "a")
    eventually(first.running, within=30)
    futures = [pool.submit(done.append, group) for group in ("a", "a", "a", "b", "b", "c")]

    go.set()
    first.result(timeout=30)
    for future in futures:
        future.result(timeout=30)
    assert done == ["a", "b", "c", "a", "b", "a"]
    pool.shutdown(wait=True)


def test_what_is_cancelled_at_the_end_is_not_begun() -> None:
    pool, go = Workers(1), threading.Event()
    running = pool.submit(go.wait, 60)
    waiting = pool.submit(go.wait, 60)
    eventually(running.running, within=30)

    pool.shutdown(wait=False, cancel_futures=True)
    go.set()

    assert running.result(timeout=30)
    assert waiting.cancelled()
    with pytest.raises(RuntimeError):
        pool.submit(go.wait, 0)
