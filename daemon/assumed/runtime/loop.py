"""The keeper: one inbox, one main thread, one heartbeat. Level-triggered: a lost event costs one beat at most.

Threads (the scheduler's workers, the sources', the watcher's, the control socket's) and signal handlers only put
messages. The one thing that a worker decides is its claim, under the lock: the plan may have changed between the
moment it was made and the moment its job fired.
"""

from __future__ import annotations

import queue

from assumed import redact
from assumed.aws.sources import Resolved
from assumed.engine.clocks import compare, misled
from assumed.model import Instant

from . import words
from .delivery import RETRY
from .desk import Desk
from .files import Lookout
from .hook_dispatcher import Herald
from .inbox import Hint, Look, Message, NotRenewed, Ran, Refresh, Reload, Renewed, Stop, Wanted
from .renewals import Renewals

BEAT = 29.0
"""Seconds between heartbeats: promise 7 (every due role is tried within 30 s of a resume) rests on it; a second is left
for the try itself (with beats of 30 s the worst of many was 30.1)."""
NAP = 1.0
"""Seconds by which the scheduler's wait may be wrong before it looks again: naps and steps too short to count as a
jump (a laptop on the move, a paused VM) would add up."""
READY_WITHIN = 10.0
"""Seconds after which READY is said whatever the network does."""

TELL = 1.0
"""Seconds between two lines of status for the service manager: who looks at it must not see what held a beat ago."""


class Keeper:
    """Keeps the roles of one configuration. `open` and `tick` may be driven by a loop of one's own: tests do."""

    def __init__(self, desk: Desk, beat: float = BEAT) -> None:
        """`beat`: seconds between heartbeats, where a service manager wants to hear of us more often."""
        self.desk = desk
        self._beat = beat
        self.lookout = Lookout(desk)
        self.renewals = Renewals(desk)
        self.herald = Herald(desk)
        self.started: Instant = desk.ports.now()
        self.is_ready = False
        self._unsettled: list[str] = []
        """Roles that READY still waits for."""
        self._sample = self.started
        self._woken = self.started
        """When the scheduler was last told to look at the clock."""
        self._beat_at = self.started.boot
        self.beaten = self.started
        """The last heartbeat whose work is done."""
        self._told, self._told_at, self._untold = "", float("-inf"), False

    def run(self) -> int:
        """The main loop. Returns the number of the signal that ended it."""
        self.open()
        self.tick()
        while True:
            try:
                message = self.desk.inbox.get(timeout=self.wait())
            except queue.Empty:
                self.tick()
                continue
            if isinstance(message, Stop):
                self.close()
                return message.signal
            self.handle(message)
            self.tick()

    def open(self) -> None:
        """Put right what the disk holds, before anything new is asked for."""
        now = self.desk.ports.now()
        self.lookout.open(now)
        self.herald.open(now)
        self._unsettled = list(self.desk.book.roles)
        self._write()

    def close(self) -> None:
        """Take no further work; publish what has already arrived."""
        desk = self.desk
        desk.stopping = True
        while not desk.inbox.empty():
            message = desk.inbox.get_nowait()
            if isinstance(message, Renewed | Ran):
                self.handle(message)
        if desk.delivery.due_at is not None:
            self._write(last=True)
        self.herald.close(desk.ports.now())

    def wait(self) -> float:
        """Seconds until time alone makes something due; at most one heartbeat."""
        times = [self._beat_at, self.desk.delivery.due_at, self.lookout.next_look(), self.herald.due_at]
        if not self.is_ready:
            times.append(self.started.boot + READY_WITHIN)
        if self._untold:
            times.append(self._told_at + TELL)
        return max(0.0, min(t for t in times if t is not None) - self.desk.ports.now().boot)

    def tick(self) -> None:
        """Everything that time or a message has made due: look, decide, write, plan."""
        self._drain()
        desk = self.desk
        now = desk.ports.now()
        self._mind_the_clock(now)
        beat = now.boot >= self._beat_at
        if beat:
            self.lookout.look_around(now)
        self.lookout.settle(now)
        if desk.delivery.due_at is not None and now.boot >= desk.delivery.due_at:
            self._write()
        self.renewals.plan(desk.ports.now())
        self._mind_readiness(now)
        self.herald.tick(desk.ports.now())
        if beat:
            # After the work, not before it: a watchdog that is fed by a timer proves nothing.
            self._beat_at = now.boot + self._beat
            self.beaten = now
            desk.ports.alive(self.summary())
        self._mind_status(desk.ports.now())

    def handle(self, message: Message) -> None:
        """Act on one message."""
        match message:
            case Renewed():
                self.renewals.renewed(message)
            case NotRenewed():
                self.renewals.not_renewed(message)
            case Resolved():
                self.renewals.resolved(message)
            case Refresh():
                # Keys that were pasted a moment ago have not come to rest for the watcher yet.
                self.lookout.look_at_sources_now(self.desk.ports.now())
                self.renewals.refresh(message)
            case Look():
                self.renewals.refused(message)
            case Wanted():
                self.renewals.wanted(message)
            case Hint():
                self.lookout.look_at_what_changed(self.desk.ports.now())
            case Reload():
                self._reload()
            case Ran():
                self.herald.ran(message, self.desk.ports.now())
            case Stop():
                self.desk.inbox.put(message)

    def _reload(self) -> None:
        """Read the configuration now. A manager that asked waits for `ready`, also where the file is bad."""
        ports = self.desk.ports
        ports.reloading()
        self.lookout.reload(ports.now(), at_once=True)
        if self.is_ready:  # else READY still comes, and would otherwise be said before the first plan is carried out
            ports.ready(self.summary())

    def _mind_status(self, now: Instant) -> None:
        """Tell a service manager that listens of a changed state of affairs."""
        tell = self.desk.ports.status
        if tell is None or not self.is_ready:
            return
        self._untold = now.boot < self._told_at + TELL
        if self._untold:
            return
        line, self._told_at = self.summary(), now.boot
        if line != self._told:
            self._told = line
            tell(line)

    def summary(self) -> str:
        """The state of affairs in one line."""
        desk = self.desk
        with desk.lock:
            line = words.summary(desk.book.states, desk.delivery.error, desk.watch.error, desk.ports.now())
        return redact.clean(line)  # a rejected configuration's problems quote what it says

    def _drain(self) -> None:
        """Handle what has come together: one write serves all of it."""
        inbox, hinted = self.desk.inbox, False
        for _ in range(inbox.qsize()):
            message = inbox.get_nowait()
            hinted = hinted or isinstance(message, Hint)
            if not isinstance(message, Hint):
                self.handle(message)
        if hinted:
            self.handle(Hint())

    def _mind_the_clock(self, now: Instant) -> None:
        desk = self.desk
        jump = compare(self._sample, now)
        self._sample = now
        if jump or misled(self._woken, now) > NAP:
            self._woken = now
            desk.ports.timetable.wake()
        if not jump:
            return
        desk.ports.say("info", "clock.jumped", **words.jumped(jump))
        with desk.lock:
            desk.book.forgive(desk.book.roles)
        desk.touch(desk.book.roles)
        self._beat_at = now.boot

    def _write(self, last: bool = False) -> None:
        desk = self.desk
        written = desk.delivery.write(desk.book.roles.values(), desk.book.states, lambda: desk.ports.now().boot, last)
        if not written:
            return
        # Where there is room for the file again there may be for its sessions; until they are stored, status would say
        # that nothing has been delivered.
        self.lookout.save_what_was_not()
        with desk.lock:
            leaving = [profile for profile, state in desk.book.states.items() if state.withdrawing]
        gone = [profile for profile in leaving if desk.forget(profile)]
        if gone != leaving:
            desk.delivery.due_at = desk.ports.now().boot + RETRY
        with desk.lock:
            desk.book.withdrawn(gone)
            desk.touch(gone)

    def _mind_readiness(self, now: Instant) -> None:
        if self.is_ready:
            return
        desk = self.desk
        waited = now.boot - self.started.boot >= READY_WITHIN
        with desk.lock:
            # One role after the other: a look at each of a thousand, a thousand times, would be felt.
            while self._unsettled and desk.book.is_settled(self._unsettled[-1], now):
                self._unsettled.pop()
        if waited or (not self._unsettled and (desk.delivery.due_at is None or desk.delivery.error is not None)):
            self.is_ready = True
            desk.ports.ready(self.summary())
