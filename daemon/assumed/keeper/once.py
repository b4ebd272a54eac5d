"""One round without a service: every due role renewed, everything written, then the end. For cron, CI, containers."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable

from assumed.core.model import Instant

from .assembly import Assembly

GIVE_UP = 120.0
"""Seconds for one round: the longest source (30 s), a chain of three, and STS's time-outs fit in."""

RENEWED = "renewed"

Progress = Callable[[str, str], None]
"""progress(profile, outcome): outcome is `renewed`, or a sentence that says why not."""


def one_round(assembly: Assembly, progress: Progress) -> bool:
    """Renew what is due; each role is tried once. Returns whether all of them have been."""
    keeper = assembly.keeper
    desk = keeper.desk
    assembly.timetable.start()
    keeper.open()
    began = desk.ports.now()
    waiting = set(desk.book.due(began))
    failed = False
    keeper.tick()
    while waiting and desk.ports.now().since(began) < GIVE_UP:
        with contextlib.suppress(queue.Empty):  # when nothing comes, time alone may have made something due
            keeper.handle(desk.inbox.get(timeout=min(0.5, keeper.wait())))
        keeper.tick()
        for profile in sorted(waiting):
            outcome = _outcome(assembly, profile, began)
            if outcome:
                waiting.discard(profile)
                failed = failed or outcome != RENEWED
                progress(profile, outcome)
    for profile in sorted(waiting):
        progress(profile, f"no answer within {GIVE_UP:.0f} s; it is asked again the next time")
    keeper.close()
    refusals = [r for r in desk.delivery.refused.values() if r.profile in desk.book.roles]
    for refusal in refusals:
        progress(refusal.profile, f"{refusal.reason}; {refusal.advice}")
    if desk.delivery.error is not None:
        progress("credentials file", str(desk.delivery.error))
    return not (failed or waiting or refusals or desk.delivery.error)


def _outcome(assembly: Assembly, profile: str, began: Instant) -> str:
    """What has become of a role; empty while it is still under way."""
    book = assembly.keeper.desk.book
    state = book.states[profile]
    if state.failure is not None:
        return f"{state.failure.message}; {state.failure.advice}"
    if state.session is not None and not state.in_flight and state.session.received.boot >= began.boot:
        return RENEWED
    parent = book.roles[profile].parent
    if parent is not None and book.states[parent].failure is not None:
        return f"its source {parent} could not be renewed"
    return ""
