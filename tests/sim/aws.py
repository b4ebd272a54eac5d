"""AWS in the simulated world: STS behind a fake botocore client, and sources that have to be resolved.

The daemon's own `assume` uses this client, so real code classifies requests, answers and refusals.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

from botocore import exceptions as boto

from assumed.aws.sources import FRESH_FOR, Resolved
from assumed.engine.events import Ask
from assumed.errors import RenewalFailed
from assumed.model import FailureKind, Role, Session

from .clock import Clock

CANARY = "Canary"
"""The start of every secret of this world; it must not appear in any log record."""
SKEW_ALLOWED = 900.0
REFUSALS = {
    "denied": ("AccessDenied", "User is not authorized to perform: sts:AssumeRole", 403),
    "dead": ("InvalidClientTokenId", "The security token included in the request is invalid.", 403),
    "expired": ("ExpiredToken", "The security token included in the request is expired", 403),
    "skewed": ("SignatureDoesNotMatch", "Signature expired: 20270101T000000Z is now earlier than", 403),
    "throttled": ("Throttling", "Rate exceeded", 400),
    "broken": ("ServiceUnavailable", "Service is unable to handle request.", 503),
    "wrong": ("ValidationError", "1 validation error detected: the value is not valid", 400),
    "too long": ("ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this", 400),
}


@dataclass(frozen=True, slots=True)
class Grant:
    """A session issued by STS, as AWS knows it."""

    key_id: str
    profile: str
    role_arn: str
    identity: str
    life: float
    issued: float
    expires: float
    wall_error: float


@dataclass(slots=True)
class Sts:
    """The current behaviour of STS. Faults set the fields."""

    clock: Clock
    random: random.Random
    trouble: str = ""
    """For all calls: unreachable, hang, or one of REFUSALS; `garbage` is an unusable answer."""
    denied: set[str] = field(default_factory=set)
    wrong: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    """Sources whose keys STS does not know."""
    minds_skew: bool = False
    slow: float = 0.0
    shorten: float = 1.0
    longest: dict[str, int] = field(default_factory=dict)
    """Profile → MaxSessionDuration of its role, if that is short."""
    grants: dict[str, Grant] = field(default_factory=dict)
    requests: int = 0

    def receive(self, call: Ask) -> tuple[Fate, float]:
        """A request arrives: its outcome, and after how long the answer comes."""
        fate = self._judge(call)
        if fate == "hang":
            latency = 8.0
        elif fate == "unreachable":
            latency = self.random.choice([0.01, 5.0])
        else:
            latency = self.random.uniform(0.05, 0.4) + self.slow * self.random.random()
        return Fate(self, fate, call, self.clock.aws), latency

    def _judge(self, call: Ask) -> str:
        role = call.order.role
        if self.trouble:
            return self.trouble
        if self.minds_skew and abs(self.clock.wall - self.clock.aws) > SKEW_ALLOWED:
            return "skewed"
        if call.parent is not None and self.grants[call.parent.access_key_id].expires <= self.clock.aws:
            return "expired"
        if call.parent is None and role.source() in self.dead:
            return "dead"
        if role.profile in self.wrong:
            return "wrong"
        return "denied" if role.profile in self.denied else ""


@dataclass(slots=True)
class Fate:
    """The client of one call: a botocore-like object whose answer was decided when the request arrived."""

    sts: Sts
    fate: str
    call: Ask
    received: float
    asked: bool = False

    def assume_role(self, **request: Any) -> dict[str, Any]:
        """AssumeRole as botocore returns it or raises."""
        self.asked = True
        self.sts.requests += 1
        role, seconds = self.call.order.role, request["DurationSeconds"]
        if self.fate == "unreachable":
            raise boto.EndpointConnectionError(endpoint_url="https://sts.test")
        if self.fate == "hang":
            raise boto.ReadTimeoutError(endpoint_url="https://sts.test")
        if self.fate == "garbage":
            return {"ResponseMetadata": {"HTTPHeaders": {}}}
        if self.fate:
            raise self._refusal(self.fate)
        if seconds > (3600 if role.parent else self.sts.longest.get(role.profile, 43200)):
            refusal = self._refusal("too long")
            self.received = self.sts.clock.aws  # a second attempt comes now
            raise refusal
        return self._session(role, request["RoleArn"], seconds)

    def _session(self, role: Role, arn: str, seconds: int) -> dict[str, Any]:
        number = len(self.sts.grants)
        key_id, life = f"ASIASIM{number:09d}", seconds * self.sts.shorten
        expires = self.received + life
        order = self.call.order
        self.sts.grants[key_id] = Grant(
            key_id, role.profile, arn, order.identity, life, self.received, expires, self.sts.clock.wall_error
        )
        return {
            "Credentials": {
                "AccessKeyId": key_id,
                "SecretAccessKey": f"{CANARY}Secret{number}",
                "SessionToken": f"{CANARY}Token{number}",
                "Expiration": datetime.fromtimestamp(expires, UTC),
            },
            "AssumedRoleUser": {"Arn": f"arn:aws:sts::123456789012:assumed-role/{arn.rpartition('/')[2]}/sim"},
            "ResponseMetadata": {"HTTPHeaders": {"date": formatdate(self.received, usegmt=True)}},
        }

    def _refusal(self, which: str) -> boto.ClientError:
        code, message, status = REFUSALS[which]
        headers = {"date": formatdate(self.received, usegmt=True)}
        metadata = {"HTTPStatusCode": status, "HTTPHeaders": headers}
        detail: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}
        return boto.ClientError(detail, "AssumeRole")


@dataclass(slots=True)
class _Source:
    ready: bool = False
    resolved_at: float = 0.0
    busy: bool = False
    generation: int = 0


@dataclass(slots=True)
class SimSources:
    """Replaces aws.sources.Sources without its threads, with the same answers."""

    clock: Clock
    random: random.Random
    refreshable: set[str]
    """Sources whose keys botocore would refresh: resolved again every FRESH_FOR seconds of use."""
    hanging: set[str]
    refusing: set[str]
    later: Callable[[float, Callable[[], None]], None]
    post: Callable[[Resolved], None]
    flights: dict[str, Any]
    """Profile → its call in flight."""
    _sources: dict[str, _Source] = field(default_factory=dict)

    def ready(self, root: Role) -> bool:
        name = root.source()
        source = self._sources.get(name)
        if source is None or not source.ready:
            return False
        return name not in self.refreshable or self.clock.now().boot - source.resolved_at < FRESH_FOR

    def forget(self, name: str) -> None:
        source = self._sources.get(name)
        if source is not None:
            source.ready = False
            source.generation += 1

    def is_current(self, message: Resolved) -> bool:
        return self._sources[message.source].generation == message.generation

    def resolve(self, root: Role, profile: object) -> bool:
        name = root.source()
        source = self._sources.setdefault(name, _Source())
        if source.busy:
            return False
        source.busy = True
        generation = source.generation
        if name in self.hanging:
            self.later(30.0, lambda: self._end(name, generation, "SourceTimeout"))
        else:
            refused = "SSOTokenLoadError" if name in self.refusing else ""
            self.later(self.random.uniform(0.001, 2.0), lambda: self._end(name, generation, refused))
        return True

    def client(self, root: Role, role: Role, parent: Session | None) -> object:
        return self.flights[role.profile].fate

    def _end(self, name: str, generation: int, refused: str) -> None:
        source = self._sources[name]
        source.busy = False
        failure = None
        if refused:
            kind = FailureKind.SOURCE_DEAD if refused == "SourceTimeout" else FailureKind.NEEDS_LOGIN
            failure = RenewalFailed(kind, refused, f"{name} gave no credentials", "log in")
        elif source.generation == generation:
            source.ready, source.resolved_at = True, self.clock.now().boot
        self.post(Resolved(name, failure, generation))
