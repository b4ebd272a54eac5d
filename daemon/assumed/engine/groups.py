"""What fails as one: a source at one endpoint, and the workers that calls to one endpoint may take.

A dead source or an unreachable STS is probed by one role at a time instead of by all (promise 8); a role that fails for
reasons of its own never holds back its neighbours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from assumed.model import Failure, FailureKind, Instant

HELD = FailureKind.NEEDS_LOGIN
"""Not tried again by time alone: each try might open a browser, send a push to a phone, or lock an account. It ends
when a file that the source depends on changes, at a resume, or when a person asks (`assumed refresh`)."""

HELPER_TIMEOUT = "HelperTimeout"
"""Code of a `credential_process` that was stopped at its deadline: a prompt hangs it, and so do packets that were
dropped, which passes."""
ONCE_MORE = 600.0
"""Seconds after which a source that has worked unattended before is tried once more after that."""

DOMAIN_WIDE = frozenset({FailureKind.UNREACHABLE, FailureKind.SOURCE_DEAD, FailureKind.NEEDS_LOGIN, FailureKind.CLOCK})
"""Failures that are the source's or the network's, never one role's: one is enough to hold the others."""
SHARED = DOMAIN_WIDE | {FailureKind.TRANSIENT, FailureKind.THROTTLED}
"""Failures that may be the source's: two roles in a row make it so."""

WORKERS = 10
"""Renewals in flight at most."""
SHARE = 8
"""Of these for one endpoint where there are several: calls to one that does not answer leave some for the others."""


@dataclass(frozen=True, slots=True)
class Group:
    """Failures of one source at one endpoint since its last success."""

    kind: FailureKind
    at: Instant
    count: int
    failed: frozenset[str]

    def down(self) -> bool:
        """Whether the source itself is held to be down."""
        return self.kind in DOMAIN_WIDE or len(self.failed) > 1


def group_after(group: Group | None, profiles: Iterable[str], failure: Failure, started: Instant) -> Group | None:
    """The group after a failure of `profiles` in attempts that began at `started`.

    Attempts in flight together fail together: they count once, or ten workers would use up the backoff at once.
    """
    if failure.kind not in SHARED:
        return group
    if group is None:
        return Group(failure.kind, failure.at, 1, frozenset(profiles))
    together = started.boot < group.at.boot and started.boot_id == group.at.boot_id
    count = group.count if together else group.count + 1
    return Group(failure.kind, failure.at, count, group.failed.union(profiles))


def admitted(due: Collection[str], endpoints: Mapping[str, str], in_flight: Iterable[str]) -> list[str]:
    """Which of the due profiles may begin now, in their order. `endpoints`: profile → endpoint."""
    if not due:
        return []
    # A role that is gone may still be in flight: its endpoint is not known any more, its worker is taken all the same.
    busy = Counter(endpoints.get(profile, "") for profile in in_flight)
    share = SHARE if len(set(endpoints.values())) > 1 else WORKERS
    free = WORKERS - busy.total()
    found: list[str] = []
    for profile in due:
        if len(found) >= free:
            break
        if busy[endpoints[profile]] < share:
            busy[endpoints[profile]] += 1
            found.append(profile)
    return found
