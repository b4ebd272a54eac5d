"""What happens to the roles, and what follows from it: plain values, so that both can be written down and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assumed.errors import RenewalFailed
from assumed.model import Role, Session

from .state import Order

# -- events -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Configured:
    """The configuration or the endpoints of its sources are these now. `endpoints`: source → explicit endpoint."""

    roles: tuple[Role, ...]
    endpoints: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Restored:
    """The disk held these sessions."""

    sessions: tuple[Session, ...]


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """No reader finds the old sessions of these profiles any more: new ones may be asked for."""

    profiles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Due:
    """A role's job has fired."""

    profile: str


@dataclass(frozen=True, slots=True)
class Started:
    """There is a worker for this role, and its source can sign."""

    profile: str


@dataclass(frozen=True, slots=True)
class Renewed:
    """STS gave a session. `capped`: for 3600 s instead of the length that was asked for.

    `offset` is STS's clock minus ours in seconds; None where it did not say.
    """

    order: Order
    session: Session
    offset: float | None = None
    capped: bool = False


@dataclass(frozen=True, slots=True)
class NotRenewed:
    """STS or the source did not."""

    order: Order
    failure: RenewalFailed


@dataclass(frozen=True, slots=True)
class Dropped:
    """A renewal ended before STS was asked: the source changed in between."""

    order: Order


@dataclass(frozen=True, slots=True)
class Overdue:
    """A renewal has not ended in time. Its thread is written off, and its answer counts no more."""

    order: Order
    seconds: float


@dataclass(frozen=True, slots=True)
class SourceReady:
    """A source can sign."""

    source: str


@dataclass(frozen=True, slots=True)
class SourceFailed:
    """A source could not be resolved."""

    source: str
    failure: RenewalFailed


@dataclass(frozen=True, slots=True)
class SourcesChanged:
    """These sources say something else than before: what they failed with is forgotten."""

    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClockJumped:
    """A suspend or a step of the clock: no backoff counts any more."""


@dataclass(frozen=True, slots=True)
class Refresh:
    """A person wants these profiles renewed now, whatever the backoff says."""

    profiles: tuple[str, ...]


Event = (
    Configured
    | Restored
    | Withdrawn
    | Due
    | Started
    | Renewed
    | NotRenewed
    | Dropped
    | Overdue
    | SourceReady
    | SourceFailed
    | SourcesChanged
    | ClockJumped
    | Refresh
)

# -- effects ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask STS. `root` is the role at the top of the chain, `parent` the session that signs where a kept role does."""

    order: Order
    root: Role
    parent: Session | None


@dataclass(frozen=True, slots=True)
class Keep:
    """Store a session and have it written. `replaced`: the one that serves readers until then; None where there is
    none, or where a person waits for the new one."""

    session: Session
    replaced: Session | None


@dataclass(frozen=True, slots=True)
class Forget:
    """The stored session of a profile must go: it is not the role's any more."""

    profile: str


@dataclass(frozen=True, slots=True)
class ForgetSource:
    """STS does not accept what this source signs: read it anew."""

    source: str


@dataclass(frozen=True, slots=True)
class Log:
    """An event of the log."""

    level: str
    name: str
    facts: Mapping[str, Any]


Effect = Ask | Keep | Forget | ForgetSource | Log
