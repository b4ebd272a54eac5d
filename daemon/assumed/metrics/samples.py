"""How a metric is read from the facts: `{"status": …, "running": …}`. Pure.

`status` is the status document, `running` what only a running daemon knows (None without one). A label's values are
bounded: profiles and sources are the configuration's, kinds and states are closed sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import product
from typing import Any

Facts = dict[str, Any]
Role = dict[str, Any]
Samples = Iterable[tuple[tuple[str, ...], float]]
"""(label values, value)"""
Read = Callable[[str, Facts], Samples]
"""read(name of the metric, facts)"""

STATES = ("fresh", "pending", "failing", "expired", "needs_login")
RESULTS = ("success", "failure")
BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds. STS answers in a tenth of a second from nearby and in half a one from another continent; what takes longer
has been tried again or has met a timeout."""


def one(value: Callable[[Facts], float | None]) -> Read:
    """One sample without labels, where there is a value."""
    return lambda _, facts: [] if (found := value(facts)) is None else [((), float(found))]


def running(key: str) -> Read:
    """A number that the running daemon tells; what an older one does not tell is left out."""
    return one(lambda facts: (facts["running"] or {}).get(key))


def file(value: Callable[[dict[str, Any]], float | None]) -> Read:
    """Something about the credentials file."""
    return one(lambda facts: value(facts["status"]["credentials_file"]))


def is_up(facts: Facts) -> float:
    """Whether there is a daemon."""
    return float(facts["running"] is not None)


def is_rejected(facts: Facts) -> float | None:
    """Whether the daemon cannot use the configuration that lies on the disk."""
    daemon = facts["status"]["daemon"]
    return None if daemon is None else float(daemon["config_error"] is not None)


def clock_offset(facts: Facts) -> float | None:
    """STS's clock minus ours."""
    offset: float | None = (facts["status"]["daemon"] or {}).get("clock_offset_seconds")
    return offset


def build(_: str, facts: Facts) -> Samples:
    """Versions, as labels."""
    parts = (facts["running"] or {}).get("build")
    return [] if parts is None else [((parts["version"], parts["python"], parts["boto3"]), 1.0)]


def all_roles(facts: Facts) -> list[Role]:
    """Every configured role."""
    roles: list[Role] = facts["status"]["roles"]
    return roles


def kept_roles(facts: Facts) -> list[Role]:
    """The enabled ones: of a disabled role nothing is expected, and no rule should wonder at its values."""
    return [role for role in all_roles(facts) if role["enabled"]]


def profiles(facts: Facts) -> list[str]:
    """The profiles of every configured role."""
    return [role["profile"] for role in all_roles(facts)]


def sources(facts: Facts) -> list[str]:
    """What signs for the kept roles."""
    return list(dict.fromkeys(role["source"] for role in kept_roles(facts)))


def role(value: Callable[[Role], float | None]) -> Read:
    """One sample for each kept role, where there is a value."""
    return lambda _, facts: [((r["profile"],), float(v)) for r in kept_roles(facts) if (v := value(r)) is not None]


def enabled(_: str, facts: Facts) -> Samples:
    """Of every role."""
    return [((role["profile"],), float(role["enabled"])) for role in all_roles(facts)]


def information(_: str, facts: Facts) -> Samples:
    """What a profile stands for, as labels."""
    keys = ("profile", "role_arn", "source", "deliver")
    return [(tuple(role[key] for key in keys), 1.0) for role in all_roles(facts)]


def states(_: str, facts: Facts) -> Samples:
    """One-hot."""
    return [((r["profile"], state), float(r["state"] == state)) for r, state in product(kept_roles(facts), STATES)]


def is_contested(role: Role) -> float:
    """Whether another program keeps overwriting the profile."""
    return float((role["last_error"] or {}).get("code") == "ProfileContested")


def down(_: str, facts: Facts) -> Samples:
    """Of every source."""
    known = facts["running"]
    return [] if known is None else [((source,), float(source in known["down"])) for source in sources(facts)]


def counted(*domains: Callable[[Facts], Iterable[str]]) -> Read:
    """A counter of the tally, with a sample for every combination of its labels' values."""

    def read(name: str, facts: Facts) -> Samples:
        if facts["running"] is None:
            return []
        counts = {tuple(labels): n for labels, n in facts["running"]["counts"].get(name, [])}
        return [(labels, float(counts.get(labels, 0))) for labels in product(*(domain(facts) for domain in domains))]

    return read


def durations(_: str, facts: Facts) -> Samples:
    """Buckets, cumulated, and the sum, of each result."""
    for result, duration in ((facts["running"] or {}).get("durations") or {}).items():
        below = 0
        for bound, count in zip((*BUCKETS, "+Inf"), duration["counts"], strict=True):
            below += count
            yield (result, str(bound)), below
        yield (result, "sum"), duration["sum"]


def when(text: str | None) -> float | None:
    """A time of the status document in POSIX seconds."""
    return None if text is None else datetime.fromisoformat(text).timestamp()
