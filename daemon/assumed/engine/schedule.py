"""When a session is renewed, and what a failure does to the next try. Nothing else may compute a time.

The renewal point is a fraction of the session's life, not "N minutes before the end": a fixed window
turns short sessions into a hot loop (aws-sdk-net #4313), and 50–60 % leaves room for a 20-minute outage
of STS within a 1 h session. The spread is a hash, not a random number: sessions issued together drift
apart once and stay apart, and the same inputs give the same plan.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from assumed.model import Decision, Failure, FailureKind, Instant, Session

RENEW_FROM = 0.50
RENEW_WIDTH = 0.10


@dataclass(frozen=True, slots=True)
class Backoff:
    """First delay and longest delay, in seconds; each further failure doubles it."""

    first: float
    longest: float


# Why these numbers: an outage has to be noticed over within 60 s of its end, so 45 s + 10 % + a read time-out
# stays below it; IAM is eventually consistent, so a denial is asked again soon and then politely (5 s → 10 min);
# a request that STS can never grant is repeated once an hour at most (a role's MaxSessionDuration may be raised).
BACKOFF: dict[FailureKind, Backoff] = {
    FailureKind.TRANSIENT: Backoff(3, 45),
    FailureKind.UNREACHABLE: Backoff(3, 45),
    FailureKind.THROTTLED: Backoff(5, 45),
    FailureKind.CLOCK: Backoff(15, 45),
    FailureKind.DENIED: Backoff(5, 600),
    FailureKind.SOURCE_DEAD: Backoff(15, 60),
    FailureKind.NEEDS_LOGIN: Backoff(15, 60),
    FailureKind.MISCONFIGURED: Backoff(3600, 3600),
    FailureKind.WRONG_PRINCIPAL: Backoff(15, 600),
}

# Failures that may end at any moment: with sessions of seconds (a test server) the longest delay shrinks with them.
PASSING = frozenset({FailureKind.TRANSIENT, FailureKind.UNREACHABLE, FailureKind.THROTTLED, FailureKind.CLOCK})

LATE_SECONDS, LATE_SHARE = 900.0, 0.25
"""Below 15 minutes botocore starts to renew for itself, and below 10 it fails; the share is for sessions so short that
15 minutes would be most of them."""
IN_FLIGHT = "a renewal is in flight"
"""What a role waits for then, in words; `assumed status` shows it as a renewal now."""

JITTER = 0.10
SHORT_SESSION_SHARE = 0.05


def spread(*parts: str) -> float:
    """A number in [0, 1) fixed by `parts` (machine, profile, session): the same for the same session."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def renewal_age(life: float, spread: float) -> float:
    """Age, in seconds, at which a session that lives `life` seconds is renewed."""
    return life * (RENEW_FROM + RENEW_WIDTH * spread)


def is_late(left: float, life: float) -> bool:
    """Whether so little life is left that a failure concerns readers: 15 minutes or 25 %, whichever is less."""
    return left < min(LATE_SECONDS, life * LATE_SHARE)


def when_healthy(session: Session | None, request: str, spread: float, now: Instant) -> Decision:
    """When a role is due that has not failed since its last session."""
    if session is None:
        return Decision("no_session", "no session yet", 0.0)
    if session.request != request:
        return Decision("request_changed", "the role asks for something else now", 0.0)
    left = session.left(now)
    if left <= 0:
        return Decision("expired", "the session has expired", 0.0)
    due_in = left - (session.life - renewal_age(session.life, spread))
    return Decision("scheduled", "renewed at 50–60 % of the session's life", due_in)


def retry_delay(kind: FailureKind, count: int, spread: float, life: float | None = None) -> float:
    """Seconds between the `count`-th consecutive failure of a kind and the next try.

    `life` is the length of the role's last session, if it had one.
    """
    backoff = BACKOFF[kind]
    longest = backoff.longest
    if life is not None and kind in PASSING:
        longest = min(longest, max(1.0, life * SHORT_SESSION_SHARE))
    # 2 ** 20 already passes every longest delay; the bound keeps a year of failures from overflowing.
    delay = min(longest, backoff.first * 2.0 ** min(count - 1, 20))
    return delay * (1 + JITTER * spread)


def when_failing(failure: Failure, spread: float, now: Instant, life: float | None = None) -> Decision:
    """When a role that failed is tried again."""
    delay = retry_delay(failure.kind, failure.count, spread, life)
    return Decision("retry", f"after {failure.kind}", delay - max(0.0, now.since(failure.at)))
