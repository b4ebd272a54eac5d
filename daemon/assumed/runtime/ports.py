"""The outside as the keeper sees it: the real edges, or those of a simulated world."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from assumed.aws.source import SourceProfile
from assumed.aws.sources import Resolved
from assumed.aws.sts import Answer, Order
from assumed.errors import FileRefused
from assumed.hooks.commands import Errand
from assumed.model import Instant, Role, Session
from assumed.store import Stored


class Signer(Protocol):
    """The sources (aws.sources.Sources)."""

    def ready(self, root: Role) -> bool:
        """Whether the source can sign without being asked first."""
        ...

    def forget(self, name: str) -> None:
        """Resolve the source from scratch the next time."""
        ...

    def resolve(self, root: Role, profile: SourceProfile | None) -> bool:
        """Begin to resolve a source."""
        ...

    def is_current(self, message: Resolved) -> bool:
        """Whether the source has not been forgotten since that attempt began."""
        ...

    def client(self, root: Role, role: Role, parent: Session | None) -> Any:
        """An STS client that signs for `role`."""
        ...


class Planner(Protocol):
    """The timetable (runtime.scheduler.Timetable)."""

    def put(self, profile: str, due_in: float) -> None:
        """Run `profile` in so many seconds."""
        ...

    def drop(self, profile: str) -> None:
        """Forget its coming run."""
        ...

    def wake(self) -> None:
        """Look at the wall clock again."""
        ...


class Shelf(Protocol):
    """The session store (store.Store)."""

    def save(self, session: Session) -> None:
        """Write one session."""
        ...

    def load(self, profile: str) -> Session | None:
        """Read one session."""
        ...

    def stored(self, profile: str) -> Stored | None:
        """Read one session, with the configuration that it was checked against."""
        ...

    def forget(self, profile: str) -> None:
        """Remove one session."""
        ...

    def prune(self, keep: set[str]) -> None:
        """Remove all sessions but these."""
        ...

    def keep_config(self, text: str) -> None:
        """Remember a configuration that worked."""
        ...

    def keep_told(self, told: Mapping[str, Any]) -> None:
        """Remember what the commands of `[hooks]` have told."""
        ...

    def told(self) -> dict[str, Any] | None:
        """What was kept so; None where there is nothing that can be used."""
        ...


class Runner(Protocol):
    """Who runs the commands of `[hooks]` (hooks.commands.Errands)."""

    def offer(self, errands: Sequence[Errand]) -> None:
        """Run these, instead of what was offered before and has not begun."""
        ...

    def acknowledge(self, key: Hashable) -> None:
        """That it was run is known."""
        ...

    def close(self) -> None:
        """Begin nothing more; what is under way ends in a moment."""
        ...


@dataclass(slots=True)
class Ports:
    """Everything that the keeper reaches outside itself."""

    now: Callable[[], Instant]
    sources: Signer
    timetable: Planner
    store: Shelf
    ask: Callable[[Any, Order, Callable[[], Instant]], Answer]
    say: Callable[..., None]
    """say(level, event, **facts): the log."""
    ready: Callable[[str], None]
    """ready(status line): the first plan has been carried out."""
    reloading: Callable[[], object]
    """Somebody has asked for the configuration to be read again; `ready` follows when it has been."""
    alive: Callable[[str], None]
    """alive(status line): after every heartbeat."""
    reconfigured: Callable[[str, str], None]
    """reconfigured(log level, log form): the configuration has set them anew."""
    stand: Callable[[], tuple[bool, FileRefused | None]]
    """See that lock and socket are still ours: (whether they had to be taken again, why they could not be)."""
    watch: Callable[[], None]
    """Watch the directories of our files again: one of them may have come into being."""
    hooks: Runner | None = None
    """None where nobody is told: in one round of `assumed once`, whose exit status says it."""
    status: Callable[[str], None] | None = None
    """status(status line): it has changed. None where no service manager listens."""
