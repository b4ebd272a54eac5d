"""Renewals from plan to result: who is due, the worker's part, and what an answer changes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from assumed.aws.sources import SOURCE_CHANGED, Resolved
from assumed.aws.sts import Order
from assumed.engine.book import CLAIM_TOLERANCE
from assumed.errors import RenewalFailed
from assumed.model import FailureKind, Instant, Role, Session

from . import words
from .delivery import patience
from .desk import Desk
from .inbox import Look, NotRenewed, Refresh, Renewed, Wanted

SKEW = 60.0
"""Seconds by which the local clock may be off before a person is told (STS refuses at 15 min)."""


@dataclass(frozen=True, slots=True)
class Call:
    """One renewal in flight: what is asked for, the role at the top of its chain, and the session that signs it."""

    order: Order
    root: Role
    parent: Session | None


class Renewals:
    """`run` belongs to the scheduler's workers, everything else to the main thread."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.clock_offset: float | None = None
        """STS's clock minus ours in seconds, by its last answer (a refusal is one, too); None before the first."""
        self._skew_said = False

    # -- the worker's part ------------------------------------------------------------------------------------

    def run(self, profile: str) -> None:
        """The job of one role: claim it, ask STS, report. Never raises: a lost job would lose the role."""
        call = self.begin(profile)
        if call is not None:
            self.finish(call)

    def begin(self, profile: str) -> Call | None:
        """Claim a role. None when there is nothing to ask for now (any more): its plan is then looked at again."""
        desk = self._desk
        if desk.stopping:
            return None
        call = self._claim(profile)
        if call is None:
            desk.inbox.put(Look(profile))
        return call

    def finish(self, call: Call) -> None:
        """Ask STS and report. Apart from `begin`, so that a simulated world can let time pass in between."""
        desk, order = self._desk, call.order
        try:
            client = desk.ports.sources.client(call.root, order.role, call.parent)
            answer = desk.ports.ask(client, order, desk.ports.now)
        except RenewalFailed as failure:
            desk.inbox.put(NotRenewed(order, failure))
        except Exception as error:  # noqa: BLE001 - whatever it is, the role is tried again and a person can read it
            desk.ports.say("error", "role.renewal_crashed", profile=order.role.profile, exc_info=error)
            failed = RenewalFailed(FailureKind.TRANSIENT, type(error).__name__, "a fault in assumed", "see its log")
            desk.inbox.put(NotRenewed(order, failed))
        else:
            desk.inbox.put(Renewed(order, answer))

    def endpoint(self, profile: str) -> str:
        """Where a role is asked for: its calls fail as one with those of every role that is asked for there."""
        desk = self._desk
        with desk.lock:
            role = desk.book.roles.get(profile)
            if role is None:
                return ""
            root = desk.book.root(role)
        return desk.files.endpoints([root])[root.source()] or role.region or ""

    def _claim(self, profile: str) -> Call | None:
        desk = self._desk
        with desk.lock:
            role = desk.book.roles.get(profile)
            if role is None:
                return None
            root = desk.book.root(role)
            now = desk.ports.now()
            if not desk.ports.sources.ready(root) or not desk.book.claim(profile, now):
                return None
            parent = desk.book.states[role.parent].session if role.parent else None
            order = Order(role, desk.book.identities[profile], desk.book.requests[profile], now)
            return Call(order, root, parent)

    # -- the plan ---------------------------------------------------------------------------------------------

    def plan(self, now: Instant) -> None:
        """Carry out the plan of every profile that was touched: put its job, drop it, or have its source resolved."""
        desk = self._desk
        touched, desk.touched = desk.touched, set()
        for profile in sorted(touched):
            with desk.lock:
                role = desk.book.roles.get(profile)
                if role is None:
                    continue
                due_in = desk.book.decide(profile, now).due_in
                root = desk.book.root(role)
            if due_in == math.inf or (due_in <= CLAIM_TOLERANCE and not self._can_sign(root)):
                desk.ports.timetable.drop(profile)
            else:
                desk.ports.timetable.put(profile, due_in)

    def _can_sign(self, root: Role) -> bool:
        ports = self._desk.ports
        if ports.sources.ready(root):
            return True
        ports.sources.resolve(root, self._desk.files.sources.get(root.source()))
        return False

    # -- results ----------------------------------------------------------------------------------------------

    def renewed(self, message: Renewed) -> None:
        """A session has come: record it, store it, have it written."""
        desk, answer, role = self._desk, message.answer, message.order.role
        with desk.lock:
            if self._is_stale(message.order):
                return
            down = desk.book.is_down(role.profile)
            old = desk.book.states[role.profile].session
            desk.touch(desk.book.succeeded(answer.session))
        desk.save(answer.session)
        now = desk.ports.now()
        desk.delivery.want(now.boot, patience=patience(old, now))
        desk.ports.say(
            "info",
            "role.renewed",
            profile=role.profile,
            lives_seconds=round(answer.session.life),
            took_seconds=round(now.since(message.order.started), 3),
            key=f"…{answer.session.access_key_id[-4:]}",
        )
        if down:
            desk.ports.say("info", "source.recovered", source=role.source())
        if answer.capped:
            desk.ports.say("warning", "role.length_capped", profile=role.profile, message=words.CAPPED)
        self._mind_skew(answer.offset)

    def _mind_skew(self, offset: float | None) -> None:
        if offset is None:
            return
        self.clock_offset = offset
        if abs(offset) > SKEW and not self._skew_said:
            self._desk.ports.say("warning", "clock.skewed", message=words.skewed(offset))
        self._skew_said = abs(offset) > SKEW

    def not_renewed(self, message: NotRenewed) -> None:
        """A renewal has failed: record it; the session in use stays."""
        desk, role, failure = self._desk, message.order.role, message.failure
        self._mind_skew(failure.offset)
        now = desk.ports.now()
        with desk.lock:
            if self._is_stale(message.order):
                return
            if failure.code == SOURCE_CHANGED:
                desk.book.released(role.profile)  # nothing has failed: it is signed by what the source says now
                desk.touch([role.profile])
                return
            was_down = desk.book.is_down(role.profile)
            desk.touch(desk.book.failed(role.profile, failure, message.order.started, now))
            is_down = desk.book.is_down(role.profile)
            if failure.kind is FailureKind.SOURCE_DEAD:
                self._mistrust_source(role)
            state = desk.book.states[role.profile]
            retry_in = desk.book.decide(role.profile, now).due_in
        level = words.level_of(state, now)
        facts = words.failure_facts(role, state, failure, now, retry_in)
        took = round(now.since(message.order.started), 3)
        desk.ports.say(level, "role.renewal_failed", **facts, took_seconds=took)
        if is_down and not was_down:
            desk.ports.say("warning", "source.down", source=role.source(), message=words.DOWN)

    def refused(self, message: Look) -> None:
        """A job found that its role is not due (any more). In a domain that is down, time alone may have made
        another role the probe: nobody would plan that one, and all would wait for it until the next heartbeat."""
        desk = self._desk
        with desk.lock:
            role = desk.book.roles.get(message.profile)
            if role is None:
                return
            desk.touch([role.profile])
            if desk.book.is_down(role.profile) and (probe := desk.book.probe(role.profile, desk.ports.now())):
                desk.touch([probe])

    def resolved(self, message: Resolved) -> None:
        """A source can sign now, or could not be resolved. What an attempt says that began before the source changed is
        looked at here, after the change: it would hold the source for a login that has already been made."""
        desk = self._desk
        failure = message.failure if desk.ports.sources.is_current(message) else None
        with desk.lock:
            desk.touch(desk.book.signed_by(message.source))
            if failure is not None:
                desk.touch(desk.book.source_failed(message.source, failure, desk.ports.now()))
        if failure is not None:
            facts = {"code": failure.code, "message": failure.message, "advice": failure.advice}
            desk.ports.say("warning", "source.not_resolved", source=message.source, **facts)

    def refresh(self, message: Refresh) -> None:
        """A person wants renewals now, whatever the backoff or a conflict with another program says."""
        desk = self._desk
        with desk.lock:
            known = [profile for profile in message.profiles if profile in desk.book.roles]
            for profile in known:
                desk.book.force(profile)
                desk.delivery.forget_conflict(profile)
            sources = {desk.book.root(desk.book.roles[profile]).source() for profile in known}
        for source in sorted(sources):
            described = desk.files.sources.get(source)
            if described is not None and described.runs_helper():
                # One that names no Expiration is asked once and never again; its keys may have ended.
                desk.ports.sources.forget(source)
        desk.touch(known)
        desk.delivery.want(desk.ports.now().boot)

    def wanted(self, message: Wanted) -> None:
        """A reader waits for a session: see that the store has it, and that it is renewed if it is due."""
        self._desk.wanted.add(message.profile)
        self._desk.touch([message.profile])

    def _is_stale(self, order: Order) -> bool:
        """The role has become another one while STS was being asked: the answer concerns nobody."""
        desk, profile = self._desk, order.role.profile
        if desk.book.is_current(profile, order.identity):
            return False
        desk.book.released(profile)
        desk.touch([profile])
        return True

    def _mistrust_source(self, role: Role) -> None:
        """STS does not accept the keys that signed: read them anew, or renew the kept role that they belong to."""
        desk = self._desk
        if role.parent is None:
            desk.ports.sources.forget(role.source())
        elif desk.book.mistrust(role.parent, desk.ports.now()):
            desk.touch([role.parent])
