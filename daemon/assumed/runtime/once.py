"""One round without a service: every due role renewed, everything written, then the end. For cron, CI, containers."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable

from assumed.engine.decide import due
from assumed.engine.groups import DOMAIN_WIDE
from assumed.engine.state import State
from assumed.model import Instant

from .build import Daemon
from .effects import Engine

GIVE_UP = 90.0
"""Seconds for one round, on top of the longest source: a chain of three, and STS's time-outs fit in."""

UNSETTLED = 10.0
"""Seconds that another program has to finish writing the credentials file: nobody tries again after the round."""

RENEWED = "renewed"
NOT_STORED = "its session could not be stored; readers by credential_process do not get it"

Progress = Callable[[str, str], None]
"""progress(profile, outcome): outcome is `renewed`, or a sentence that says why not."""


def one_round(daemon: Daemon, progress: Progress) -> bool:
    """Renew what is due; each role is tried once. Returns whether all of them have been."""
    loop, engine = daemon.loop, daemon.loop.engine
    daemon.scheduler.start()
    loop.open()
    began = engine.outside.now()
    waiting = set(due(engine.state, began))
    limit = GIVE_UP + max((role.helper_timeout_seconds for role in engine.state.roles.values()), default=0.0)
    failed = False
    loop.tick()
    while waiting and engine.outside.now().since(began) < limit:
        with contextlib.suppress(queue.Empty):  # when nothing comes, time alone may have made something due
            loop.handle(engine.inbox.get(timeout=min(0.5, loop.wait())))
        loop.tick()
        waiting &= engine.state.roles.keys()
        for profile in sorted(waiting):
            outcome = _outcome(engine, profile, began)
            if outcome:
                waiting.discard(profile)
                failed = failed or outcome != RENEWED
                progress(profile, outcome)
    for profile in sorted(waiting):
        progress(profile, f"no answer within {limit:.0f} s")
    loop.close(UNSETTLED)
    delivery = engine.delivery
    refusals = [r for r in delivery.refused.values() if r.profile in engine.state.roles]
    for refusal in refusals:
        progress(refusal.profile, f"{refusal.reason}; {refusal.advice}")
    for profile in sorted(engine.unsaved):
        progress(profile, NOT_STORED)
    not_written = delivery.error or delivery.unsettled
    if not_written is not None:
        progress("credentials file", str(not_written))
    broken = engine.files.broken_sources()
    for path, error in broken.items():
        progress(str(path), str(error))
    return not (failed or waiting or refusals or engine.unsaved or not_written or broken)


def _outcome(engine: Engine, profile: str, began: Instant) -> str:
    """What has become of a role; empty while it is still under way."""
    facts = engine.state.states[profile]
    if facts.failure is not None:
        return f"{facts.failure.message}; {facts.failure.advice}"
    if profile in engine.state.in_flight:
        return ""
    if facts.session is not None and facts.session.received.boot >= began.boot:
        return RENEWED
    if facts.withdrawing and engine.delivery.error is not None:
        return "its old session, of another role, could not be taken out of the credentials file"
    return _obstacle(engine.state, profile)


def _obstacle(state: State, profile: str) -> str:
    """Why a role that has not been tried will not be, within this round; empty when it will."""
    role = state.roles[profile]
    group = state.groups.get(role.domain())
    if group is not None and group.down() and group.kind in DOMAIN_WIDE:
        return f"{role.domain()} is down ({group.kind}); see the roles that were tried"
    if role.parent is None or role.parent not in state.roles:
        return ""
    failed = state.states[role.parent].failure is not None or _obstacle(state, role.parent)
    return f"its source {role.parent} could not be renewed" if failed else ""
