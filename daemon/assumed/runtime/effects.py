"""The engine at work: its state, and what follows from each event carried out. The main loop's thread alone."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from assumed.aws.files import AwsFiles
from assumed.aws.sources import SOURCE_CHANGED, Sources
from assumed.aws.sts import Answer
from assumed.engine import events as ev
from assumed.engine.apply import apply
from assumed.engine.state import Order, State
from assumed.errors import FileRefused, RenewalFailed
from assumed.events import FAULT
from assumed.model import FailureKind, Instant, Role, Session
from assumed.store import Store

from .delivery import Delivery, patience
from .inbox import Message
from .reload import ConfigWatch
from .scheduler import Scheduler

MOST_STUCK, MOST_ALIKE = 50, 2
"""Threads of renewals that did not end in time, in all and of one source at one endpoint: with more, none is begun. One
token file on a server that is gone must not use up the threads of all."""
SKEW = 60.0
"""Seconds by which the local clock may be off before a person is told (STS refuses at 15 min)."""


@dataclass(slots=True)
class Outside:
    """What the loop reaches outside itself. The simulator puts a world of its own in its place."""

    now: Callable[[], Instant]
    sources: Sources
    scheduler: Scheduler
    store: Store
    renew: Callable[[ev.Ask], None]
    """Begin a renewal in a thread of its own; its end is an event."""
    log: Callable[..., None]
    """log(level, event, **facts)."""
    manager: Callable[..., object]
    """manager(*lines): what a service manager may know, by sd_notify(3)."""
    reconfigure: Callable[[str, str], None]
    """reconfigure(log level, log form)."""
    reclaim: Callable[[], tuple[bool, FileRefused | None]]
    """Check that lock and socket are still ours: (whether they had to be taken again, why they could not be)."""
    watch: Callable[[], str]
    """Watch the directories of our files again, one of which may be new. Returns what stands in the way."""
    published: Callable[[], None] = lambda: None
    """There is a new snapshot."""
    is_watched: bool = False
    """Whether a service manager shows our status line."""


@dataclass(slots=True)
class Engine:
    """Everything that the main loop owns. Other threads put messages into the inbox and read snapshots."""

    config: ConfigWatch
    files: AwsFiles
    delivery: Delivery
    outside: Outside
    state: State
    inbox: queue.SimpleQueue[Message] = field(default_factory=queue.SimpleQueue)
    touched: set[str] = field(default_factory=set)
    """Profiles whose plan is to be made anew."""
    unsaved: set[str] = field(default_factory=set)
    """Profiles whose session the disk did not take: tried again at each heartbeat."""
    wanted: set[str] = field(default_factory=set)
    """Profiles whose readers wait for their session to be stored as checked against the configuration as it is."""
    clock_offset: float | None = None
    _problems: dict[str, str] = field(default_factory=dict)
    """Event → the problem that it was last logged with, while that lasts."""

    def apply(self, event: ev.Event) -> None:
        """Take an event in, and do what follows from it."""
        applied = apply(event, self.state, self.outside.now())
        self.state = applied.state
        self.touched |= applied.touched
        for effect in applied.effects:
            self._carry_out(effect)

    def _carry_out(self, effect: ev.Effect) -> None:
        outside = self.outside
        match effect:
            case ev.Ask():
                outside.renew(effect)
            case ev.Keep(session, replaced):
                self.save(session)
                now = outside.now()
                self.delivery.want(now.boot, patience=patience(replaced, now))
            case ev.Forget(profile):
                self.forget(profile)
                outside.scheduler.drop(profile)
                self.delivery.want(outside.now().boot, at_once=True)
            case ev.ForgetSource(source):
                outside.sources.forget(source)
            case ev.Log(level, name, facts):
                outside.log(level, name, **facts)

    def report(self, name: str, problem: str, level: str = "error", **facts: Any) -> None:
        """Log a problem when it begins or changes; it is over when `problem` is empty."""
        if problem and problem != self._problems.get(name):
            self.outside.log(level, name, message=problem, **facts)
        self._problems[name] = problem

    def save(self, session: Session) -> None:
        """Store a session. Where that cannot be done it is in memory, and the credentials file may have room."""
        try:
            self.outside.store.save(session)
        except FileRefused as error:
            if session.profile not in self.unsaved:
                self.outside.log("error", "session.not_stored", profile=session.profile, message=str(error))
            self.unsaved.add(session.profile)
        else:
            self.unsaved.discard(session.profile)

    def forget(self, profile: str) -> bool:
        """Remove a stored session. False when it could not be: `credential-process` may still hand it out."""
        try:
            self.outside.store.forget(profile)
        except FileRefused as error:
            self.outside.log("error", "session.not_removed", profile=profile, message=str(error))
            return False
        return True

    def roots(self) -> list[Role]:
        """The enabled roles whose source lies outside."""
        return [role for role in self.config.running.enabled() if role.parent is None]

    def note_offset(self, offset: float | None) -> None:
        """STS has told its time."""
        if offset is None:
            return
        self.clock_offset = offset
        direction = "behind" if offset > 0 else "ahead of"
        message = f"this machine's clock is more than a minute {direction} AWS's; renewals follow AWS's clock"
        problem = message if abs(offset) > SKEW else ""
        self.report("clock.skewed", problem, "warning", offset_seconds=round(offset))


Ask = Callable[[Any, Order, Callable[[], Instant]], Answer]
"""STS, asked through a client."""


@dataclass(slots=True)
class Renewer:
    """Carries out renewals, each in a thread of its own: the process may end while STS keeps one of them waiting, and
    joining it (as concurrent.futures' pool does at exit) would take as long as the read time-out."""

    sources: Sources
    ask: Ask
    now: Callable[[], Instant]
    put: Callable[[Message], None]
    log: Callable[..., None]
    is_current: Callable[[Order], bool]
    """Whether what is asked for is still wanted: time has passed since it was ordered."""
    is_awaited: Callable[[Order], bool]
    """Whether its end still counts: it has not been written off."""
    _running: set[Order] = field(default_factory=set)
    """Those whose thread has not come to its end."""

    def begin(self, ask: ev.Ask) -> None:
        """Start the thread. Where none can be had, that is how the renewal has failed."""
        order = ask.order
        stuck = [one for one in self._running.copy() if not self.is_awaited(one)]
        alike = [one for one in stuck if one.role.domain() == order.role.domain()]
        try:
            if len(stuck) >= MOST_STUCK or len(alike) >= MOST_ALIKE:
                raise RuntimeError(f"{len(alike) or len(stuck)} earlier calls are stuck, probably in name resolution")  # noqa: TRY301
            self._running.add(order)
            threading.Thread(target=self._run, args=[ask], name=f"renew {order.role.profile}", daemon=True).start()
        except RuntimeError as error:  # also: the user's processes have used up all threads, or memory
            self._running.discard(order)
            failure = RenewalFailed(FailureKind.TRANSIENT, "NoThread", str(error), "check the network, VPN or DNS")
            self.put(ev.NotRenewed(order, failure))

    def _run(self, ask: ev.Ask) -> None:
        result = self.result(ask)
        self._running.discard(ask.order)  # first: who acts on the result must not find its thread stuck
        self.put(result)

    def result(self, ask: ev.Ask) -> Message:
        """Ask STS. Never raises: a lost answer would lose the role."""
        order = ask.order
        try:
            if not self.is_current(order):
                return ev.Dropped(order)
            answer = self.ask(self.sources.client(ask.root, order.role, ask.parent), order, self.now)
        except RenewalFailed as failure:
            return ev.Dropped(order) if failure.code == SOURCE_CHANGED else ev.NotRenewed(order, failure)
        except Exception as error:  # noqa: BLE001 - whatever it is, the role is tried again and a person can read it
            self.log("error", "role.renewal_crashed", profile=order.role.profile, message=FAULT, exc_info=error)
            failed = RenewalFailed(FailureKind.TRANSIENT, type(error).__name__, "a fault in assumed", "see its log")
            return ev.NotRenewed(order, failed)
        return ev.Renewed(order, answer.session, answer.offset, answer.capped)
