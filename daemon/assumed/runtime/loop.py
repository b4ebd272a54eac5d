"""The main loop: one inbox, one thread that owns the state, one heartbeat. A lost event costs one beat at most.

Every other thread (the scheduler's, the renewals', the sources', the watcher's, the control socket's) and the signal
handlers only put messages, and read the snapshot that is published after each turn.
"""

from __future__ import annotations

import math
import queue
import time

from assumed.aws.sources import Resolved
from assumed.clock import compare, misled
from assumed.engine import events as ev
from assumed.engine.decide import EARLY, Probes, decide, is_settled
from assumed.engine.groups import admitted
from assumed.engine.state import Order
from assumed.model import Instant, Role
from assumed.snapshot import Delivered, Planned, Snapshot

from . import notify
from .delivery import RETRY
from .effects import Engine
from .files import Files
from .inbox import Hint, Message, Reload, Stop, Wanted

BEAT = 29.0
"""Seconds between heartbeats: promise 7 (every due role is tried within 30 s of a resume) rests on it; a second is left
for the try itself (with beats of 30 s the worst of many was 30.1)."""
MISLED = 1.0
"""Seconds by which the scheduler's wait may be wrong before it looks again: suspends and steps too short to count as a
jump (a laptop on the move, a paused VM) would add up."""
READY_WITHIN = 10.0
"""Seconds after which READY is sent whatever the network does."""
STATUS_EVERY = 1.0
"""Seconds between two status lines for the service manager."""
OVERDUE = 30.0
"""Seconds for a renewal, awake: two calls to STS with a deadline of 10 s each, the pace of the source, and what the
system's resolver may take. A thread that takes longer is written off."""


class Loop:
    """Keeps the roles of one configuration. `open` and `tick` may be driven by a loop of one's own: tests do."""

    def __init__(self, engine: Engine, beat: float = BEAT) -> None:
        """`beat`: seconds between heartbeats, where a service manager wants to hear of us more often."""
        self.engine = engine
        self.files = Files(engine)
        self.started = self.beaten = engine.outside.now()
        self.is_ready = False
        self._beat = beat
        self._beat_at = self.started.boot
        self._due: dict[str, None] = {}
        """Profiles that are due and wait for a worker, the longest first."""
        self._planned: dict[str, Planned] = {}
        self._unsettled: list[str] = []
        """Roles that READY still waits for."""
        self._sample = self._woken = self.started
        """The clock at the last turn, and when the scheduler was last told to look at it."""
        self._status, self._status_at, self._status_waits = "", float("-inf"), False
        self.snapshot = self._snapshot()

    def run(self) -> int:
        """Until SIGTERM or SIGINT. Returns the number of the signal."""
        self.open()
        self.tick()
        while True:
            try:
                message = self.engine.inbox.get(timeout=self.wait())
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
        self.files.open(self.engine.outside.now())
        self._unsettled = list(self.engine.state.roles)
        self.publish()
        self._write()

    def close(self, patience: float = 0.0) -> None:
        """Begin nothing more; publish what has already arrived. `patience`: the seconds that another program has to
        finish writing the credentials file."""
        inbox = self.engine.inbox
        while not inbox.empty():
            message = inbox.get_nowait()
            if isinstance(message, ev.Renewed):
                self.handle(message)
        if self.engine.delivery.due_at is not None:
            self._write(last=True)
        until = self.engine.outside.now().boot + patience
        while (unsettled := self.engine.delivery.unsettled) is not None and self.engine.outside.now().boot < until:
            time.sleep(unsettled.retry_in)
            self._write(last=True)
        self.publish()

    def wait(self) -> float:
        """Seconds until time alone makes something due; at most one heartbeat."""
        times = [self._beat_at, self.engine.delivery.due_at, self.files.next_look()]
        if not self.is_ready:
            times.append(self.started.boot + READY_WITHIN)
        if self._status_waits:
            times.append(self._status_at + STATUS_EVERY)
        now = self.engine.outside.now()
        times += [_overdue_at(order, now) for order in self.engine.state.in_flight.values()]
        return max(0.0, min(t for t in times if t is not None) - now.boot)

    def tick(self) -> None:
        """Everything that time or a message has made due: look, decide, write, plan, publish."""
        self._drain()
        engine, outside = self.engine, self.engine.outside
        now = outside.now()
        self._check_the_clock(now)
        self._write_off(now)
        beat = now.boot >= self._beat_at
        if beat:
            self.files.look_around(now)
            engine.touched |= engine.state.roles.keys()
        self.files.settle(now)
        if engine.delivery.due_at is not None and now.boot >= engine.delivery.due_at:
            self._write()
        self._plan(outside.now())
        if beat:
            self._beat_at = now.boot + self._beat
            self.beaten = now
        self.publish()
        self._check_readiness(now)
        if beat:
            # After the work, not before it: a watchdog that is fed by a timer proves nothing.
            self._notify("WATCHDOG=1")
        self._update_status(outside.now())

    def handle(self, message: Message) -> None:
        """Act on one message."""
        engine, now = self.engine, self.engine.outside.now()
        match message:
            case Resolved():
                # A source that has changed since that attempt began has not failed: a login may have been made.
                if message.failure is None or not engine.outside.sources.is_current(message):
                    engine.apply(ev.SourceReady(message.source))
                else:
                    engine.apply(ev.SourceFailed(message.source, message.failure))
            case ev.Refresh():
                self._refresh(message, now)
            case Wanted(profile):
                engine.wanted.add(profile)
                engine.touched.add(profile)
            case Hint():
                self.files.look_at_what_changed(now)
            case Reload():
                self._reload(now)
            case Stop():
                engine.inbox.put(message)
            case _:
                if isinstance(message, ev.Renewed | ev.NotRenewed):
                    offset = message.offset if isinstance(message, ev.Renewed) else message.failure.offset
                    engine.note_offset(offset)
                engine.apply(message)

    def _drain(self) -> None:
        """Handle what has come together: one write serves all of it."""
        inbox, hinted = self.engine.inbox, False
        for _ in range(inbox.qsize()):
            message = inbox.get_nowait()
            hinted = hinted or isinstance(message, Hint)
            if not isinstance(message, Hint):
                self.handle(message)
        if hinted:
            self.handle(Hint())

    def _reload(self, now: Instant) -> None:
        """Read the configuration now. A manager that asked waits for READY, also where the file is bad."""
        self.engine.outside.manager(*notify.reloading())
        self.files.reload(now, at_once=True)
        if self.is_ready:  # else READY still comes, and would otherwise be sent before the first plan is carried out
            self._notify("READY=1")

    def _refresh(self, event: ev.Refresh, now: Instant) -> None:
        """A person wants renewals now, by what the files say now: keys that were pasted a moment ago have not come to
        rest for the watcher yet."""
        engine = self.engine
        self.files.look_at_sources_now()
        engine.apply(event)
        known = [profile for profile in event.profiles if profile in engine.state.roles]
        for profile in known:
            engine.delivery.conflicts.forget(profile)
        for source in sorted({engine.state.root(engine.state.roles[profile]).source() for profile in known}):
            described = engine.files.sources.get(source)
            if described is not None and described.runs_helper():
                # One that names no Expiration is asked once and never again; its keys may have ended.
                engine.outside.sources.forget(source)
        engine.delivery.want(now.boot)

    # -- the plan ------------------------------------------------------------------------------------------------------

    def _plan(self, now: Instant) -> None:
        """Plan every profile that was touched: a job for the time that it has, or a worker as soon as one is free."""
        engine, probes = self.engine, Probes()
        scheduler = engine.outside.scheduler
        can_sign: dict[str, bool] = {}
        touched, engine.touched = engine.state.with_descendants(engine.touched), set()
        for profile in sorted(touched):
            role = engine.state.roles.get(profile)
            if role is None:
                self._due.pop(profile, None)
                self._planned.pop(profile, None)
                continue
            decision = decide(engine.state, profile, now, probes)
            self._planned[profile] = Planned(decision, now)
            if EARLY < decision.due_in < math.inf:
                scheduler.put(profile, decision.due_in)
            else:
                scheduler.drop(profile)
            source = engine.state.root(role).source()
            if decision.due_in <= EARLY and source not in can_sign:
                can_sign[source] = self._can_sign(role)
            if decision.due_in <= EARLY and can_sign[source]:
                self._due[profile] = None
            else:
                self._due.pop(profile, None)
        self._begin(now)

    def _can_sign(self, role: Role) -> bool:
        """Whether the role's source can sign now. If not, it is resolved, and its roles are planned again then."""
        engine = self.engine
        root = engine.state.root(role)
        if engine.outside.sources.ready(root):
            return True
        engine.outside.sources.resolve(root, engine.files.sources.get(root.source()))
        return engine.outside.sources.ready(root)  # a profile that holds keys itself is resolved by now

    def _begin(self, now: Instant) -> None:
        """Begin the renewals for which there is a worker."""
        engine = self.engine
        for profile in admitted(self._due, engine.state.endpoints, engine.state.in_flight):
            del self._due[profile]
            if self._can_sign(engine.state.roles[profile]):
                engine.apply(ev.Started(profile))
                engine.touched.discard(profile)
                self._planned[profile] = Planned(decide(engine.state, profile, now), now)

    def _check_the_clock(self, now: Instant) -> None:
        engine = self.engine
        jump = compare(self._sample, now)
        self._sample = now
        if jump or misled(self._woken, now) > MISLED:
            self._woken = now
            engine.outside.scheduler.wake()
        if not jump:
            return
        facts = {"suspended_seconds": round(jump.suspended), "stepped_seconds": round(jump.stepped)}
        engine.outside.log("info", "clock.jumped", **facts)
        engine.apply(ev.ClockJumped())
        self._beat_at = now.boot

    def _write_off(self, now: Instant) -> None:
        """Count renewals as failed that should have ended by now."""
        for order in list(self.engine.state.in_flight.values()):
            if now.boot >= _overdue_at(order, now):
                self.engine.apply(ev.Overdue(order, OVERDUE))

    # -- what goes out -------------------------------------------------------------------------------------------------

    def _write(self, last: bool = False) -> None:
        engine, delivery = self.engine, self.engine.delivery
        states = engine.state.states
        if not delivery.write(engine.state.roles.values(), states, lambda: engine.outside.now().boot, last):
            return
        # Where there is room for the file again there may be for its sessions; until they are stored, status would say
        # that nothing has been delivered.
        self.files.save_what_was_not()
        leaving = [profile for profile, facts in states.items() if facts.withdrawing]
        gone = [profile for profile in leaving if engine.forget(profile)]
        if gone != leaving:
            delivery.due_at = engine.outside.now().boot + RETRY
        engine.apply(ev.Withdrawn(tuple(gone)))

    def publish(self) -> None:
        """Let everybody see how things stand now."""
        self.snapshot = self._snapshot()
        self.engine.outside.published()

    def _snapshot(self) -> Snapshot:
        engine, delivery = self.engine, self.engine.delivery
        lines = delivery.lines
        return Snapshot(
            config=engine.config.running,
            config_error=engine.config.error,
            state=engine.state,
            planned=dict(self._planned),
            delivered=Delivered(
                delivery.delivered,
                delivery.conflicts.displaced,
                delivery.refused,
                delivery.conflicts.overwritten_by,
                lines.notices if lines else {},
                delivery.error,
                delivery.written_at,
            ),
            started=self.started,
            beaten=self.beaten,
            clock_offset=engine.clock_offset,
            unsaved=frozenset(engine.unsaved),
            unreadable=engine.files.broken_sources(),
            sign_ins=self.files.sign_ins,
            watch_error=self.files.watch_error,
        )

    def _check_readiness(self, now: Instant) -> None:
        if self.is_ready:
            return
        delivery = self.engine.delivery
        waited = now.boot - self.started.boot >= READY_WITHIN
        # One role after the other: a look at each of a thousand, a thousand times, would be felt.
        while self._unsettled and is_settled(self.engine.state, self._unsettled[-1], now):
            self._unsettled.pop()
        if waited or (not self._unsettled and (delivery.due_at is None or delivery.error is not None)):
            self.is_ready = True
            self._notify("READY=1")

    def _notify(self, what: str) -> None:
        """Tell a service manager, with the state of affairs."""
        outside = self.engine.outside
        self._status = notify.status_line(self.snapshot, outside.now())
        outside.manager(what, f"STATUS={self._status}")

    def _update_status(self, now: Instant) -> None:
        """Tell a service manager that shows our status line of a new one."""
        if not self.engine.outside.is_watched or not self.is_ready:
            return
        self._status_waits = now.boot < self._status_at + STATUS_EVERY
        if self._status_waits:
            return
        line, self._status_at = notify.status_line(self.snapshot, now), now.boot
        if line != self._status:
            self._status = line
            self.engine.outside.manager(f"STATUS={line}")


def _overdue_at(order: Order, now: Instant) -> float:
    """When a renewal should have ended, by the boot clock: what the machine has slept since is not its fault."""
    return order.started.boot + (now.slept - order.started.slept) + OVERDUE
