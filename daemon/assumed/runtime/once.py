"""One round without a service: every due role renewed, everything written, then the end. For cron, CI, containers."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable

from assumed.engine.book import Book
from assumed.engine.decide import DOMAIN_WIDE
from assumed.model import Instant

from .assembly import Assembly

GIVE_UP = 90.0
"""Seconds for one round, on top of the longest source: a chain of three, and STS's time-outs fit in."""

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
    limit = GIVE_UP + max((role.helper_timeout_seconds for role in desk.book.roles.values()), default=0.0)
    failed = False
    keeper.tick()
    while waiting and desk.ports.now().since(began) < limit:
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
        progress(profile, f"no answer within {limit:.0f} s; it is asked again the next time")
    keeper.close()
    refusals = [r for r in desk.delivery.refused.values() if r.profile in desk.book.roles]
    for refusal in refusals:
        progress(refusal.profile, f"{refusal.reason}; {refusal.advice}")
    if desk.delivery.error is not None:
        progress("credentials file", str(desk.delivery.error))
    broken = desk.files.broken_sources()
    for path, error in broken.items():
        progress(str(path), str(error))
    return not (failed or waiting or refusals or desk.delivery.error or broken)


def _outcome(assembly: Assembly, profile: str, began: Instant) -> str:
    """What has become of a role; empty while it is still under way."""
    desk = assembly.keeper.desk
    state = desk.book.states[profile]
    if state.failure is not None:
        return f"{state.failure.message}; {state.failure.advice}"
    if state.in_flight:
        return ""
    if state.session is not None and state.session.received.boot >= began.boot:
        return RENEWED
    if state.withdrawing and desk.delivery.error is not None:
        return "its old session, of another role, could not be taken out of the credentials file"
    return _obstacle(desk.book, profile)


def _obstacle(book: Book, profile: str) -> str:
    """Why a role that has not been tried will not be, within this round; empty when it will."""
    role = book.roles[profile]
    domain = book.domains.get(role.domain())
    if domain is not None and domain.down() and domain.kind in DOMAIN_WIDE:
        return f"{role.domain()} is down ({domain.kind}); see the roles that were tried"
    if role.parent is None or role.parent not in book.roles:
        return ""
    failed = book.states[role.parent].failure is not None or _obstacle(book, role.parent)
    return f"its source {role.parent} could not be renewed" if failed else ""
