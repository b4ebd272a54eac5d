"""Threads of renewals: each in its own, and those that never end."""

from __future__ import annotations

import queue
import threading
from typing import Any

from assumed.engine.events import Ask, NotRenewed
from assumed.engine.state import Order
from assumed.errors import RenewalFailed
from assumed.model import FailureKind, Instant, Role
from assumed.runtime.effects import MOST_ALIKE, Renewer
from world.waiting import patient


class Threads:
    """A renewer whose calls to STS hang for the sources in `hung`, and fail at once for all others."""

    def __init__(self, *hung: str) -> None:
        self.inbox = queue.SimpleQueue[Any]()
        self.over = threading.Event()
        self.awaited: set[Order] = set()
        self._hung = hung
        sources: Any = self
        log: Any = None
        now, is_awaited = lambda: Instant(0, 0), self.awaited.__contains__
        self._renewer = Renewer(sources, self._ask, now, self.inbox.put, log, lambda order: True, is_awaited)

    def client(self, *_: object) -> object:
        return None

    def begin(self, source: str, number: int) -> Order:
        role = Role(f"{source}-{number}", "arn:aws:iam::123456789012:role/r", source_profile=source)
        order = Order(role, "identity", "request", Instant(number, number))
        self.awaited.add(order)
        self._renewer.begin(Ask(order, role, None))
        return order

    def code(self) -> tuple[str, str]:
        """Which profile has ended, and by what."""
        message = self.inbox.get(timeout=patient(5))
        assert isinstance(message, NotRenewed)
        return message.order.role.source_profile or "", message.failure.code

    def _ask(self, client: object, order: Order, now: object) -> Any:
        if order.role.source_profile in self._hung:
            self.over.wait()
        raise RenewalFailed(FailureKind.DENIED, "Answered", "m", "a")


def test_calls_of_one_source_that_never_end_leave_threads_to_all_others() -> None:
    """A token file on a server that is gone: each try leaves a thread behind, for as long as the daemon runs."""
    it = Threads("hung")
    try:
        written_off = [it.begin("hung", number) for number in range(MOST_ALIKE)]
        it.awaited.difference_update(written_off)
        for number in range(99):
            it.begin("hung", 100 + number)
            assert it.code() == ("hung", "NoThread")
        it.begin("well", 1)
        assert it.code() == ("well", "Answered")
    finally:
        it.over.set()
    ended = [it.code() for _ in written_off]
    assert ended == [("hung", "Answered")] * MOST_ALIKE
    it.begin("hung", 999)
    assert it.code() == ("hung", "Answered"), "none is stuck any more"


def test_calls_under_way_are_not_taken_for_stuck_ones() -> None:
    it = Threads("slow")
    try:
        for number in range(10):
            it.begin("slow", number)
        assert it.inbox.empty()
    finally:
        it.over.set()
    assert {it.code() for _ in range(10)} == {("slow", "Answered")}
