"""What the keeper's parts share: the facts, the lock around them, the inbox, and whose plan needs a new look."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from assumed.aws.files import AwsFiles
from assumed.engine.book import Book
from assumed.errors import FileRefused
from assumed.model import Role, Session

from .delivery import Delivery
from .inbox import Message
from .ports import Ports
from .reload import ConfigWatch


@dataclass(slots=True)
class Desk:
    """One per keeper. The lock guards `book` alone; everything else belongs to the main thread."""

    watch: ConfigWatch
    files: AwsFiles
    delivery: Delivery
    book: Book
    ports: Ports
    inbox: queue.SimpleQueue[Message] = field(default_factory=queue.SimpleQueue)
    lock: threading.RLock = field(default_factory=threading.RLock)
    touched: set[str] = field(default_factory=set)
    """Profiles whose plan is to be made anew."""
    unheard: set[str] = field(default_factory=set)
    """Profiles that may have something to tell (Herald)."""
    unsaved: set[str] = field(default_factory=set)
    """Profiles whose session the disk did not take: tried again at each heartbeat."""
    wanted: set[str] = field(default_factory=set)
    """Profiles whose readers wait for their session to be stored as checked against the configuration as it is."""
    stopping: bool = False

    def touch(self, profiles: Iterable[str]) -> None:
        """Have these planned anew."""
        profiles = set(profiles)
        self.touched |= profiles
        self.unheard |= profiles

    def save(self, session: Session) -> None:
        """Store a session. Where that cannot be done it is in memory, and the credentials file may have room."""
        try:
            self.ports.store.save(session)
        except FileRefused as error:
            if session.profile not in self.unsaved:
                self.ports.say("error", "session.not_stored", profile=session.profile, message=str(error))
            self.unsaved.add(session.profile)
        else:
            self.unsaved.discard(session.profile)

    def roots(self) -> list[Role]:
        """The enabled roles whose source lies outside."""
        return [role for role in self.watch.running.enabled() if role.parent is None]

    def forget(self, profile: str) -> bool:
        """Remove a stored session. False when it could not be: `credential-process` may still hand it out."""
        try:
            self.ports.store.forget(profile)
        except FileRefused as error:
            self.ports.say("error", "session.not_removed", profile=profile, message=str(error))
            return False
        return True
