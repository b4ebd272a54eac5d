"""What the keeper's inbox takes. Threads and signal handlers only put; the main thread alone acts."""

from __future__ import annotations

from dataclasses import dataclass

from assumed.aws.sources import Resolved
from assumed.aws.sts import Answer, Order
from assumed.errors import RenewalFailed
from assumed.hooks.commands import Errand, Outcome


@dataclass(frozen=True, slots=True)
class Renewed:
    """STS gave a session."""

    order: Order
    answer: Answer


@dataclass(frozen=True, slots=True)
class NotRenewed:
    """STS or the source did not."""

    order: Order
    failure: RenewalFailed


@dataclass(frozen=True, slots=True)
class Look:
    """A role's job fired but could not begin: its plan is looked at again."""

    profile: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A reader did not find a session that is fit to be handed out."""

    profile: str


@dataclass(frozen=True, slots=True)
class Hint:
    """Something happened in a watched directory."""


@dataclass(frozen=True, slots=True)
class Refresh:
    """A person wants these profiles renewed now."""

    profiles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reload:
    """SIGHUP, or `reload` on the control socket: read the configuration now."""


@dataclass(frozen=True, slots=True)
class Stop:
    """SIGTERM or SIGINT."""

    signal: int


@dataclass(frozen=True, slots=True)
class Ran:
    """A command of `[hooks]` has ended."""

    errand: Errand
    outcome: Outcome


Message = Renewed | NotRenewed | Look | Wanted | Resolved | Hint | Refresh | Reload | Ran | Stop
