"""What the daemon talks about: roles, sessions, instants, failures, decisions.

Every value here is frozen: a credential set can never be read half old and half new
(botocore's `get_frozen_credentials` docstring shows the race).
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

Deliver = Literal["keys", "process"]
CredentialSource = Literal["Environment", "Ec2InstanceMetadata", "EcsContainer"]


@dataclass(frozen=True, slots=True)
class Role:
    """One `[[roles]]` entry with its defaults filled in. Keys named by AWS keep AWS's name and meaning."""

    profile: str
    role_arn: str
    source_profile: str | None = None
    credential_source: CredentialSource | None = None
    web_identity_token_file: str | None = None
    external_id: str | None = None
    role_session_name: str = "assumed"
    duration_seconds: int = 3600
    mfa_serial: str | None = None
    region: str | None = None
    policy: str | None = None
    policy_arns: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    transitive_tag_keys: tuple[str, ...] = ()
    source_identity: str | None = None
    helper_timeout_seconds: float = 30.0
    deliver: Deliver = "keys"
    enabled: bool = True
    parent: str | None = None
    """Profile of the kept role that signs for this one (role chaining); None when the source is outside."""

    def source(self) -> str:
        """Name of what signs AssumeRole: one failure domain, one client, one probe."""
        if self.web_identity_token_file is not None:
            return f"web-identity:{self.web_identity_token_file}"
        if self.credential_source is not None:
            return f"environment:{self.credential_source}"
        return f"profile:{self.source_profile}"

    def domain(self) -> str:
        """What fails as one: the source, at one regional endpoint; with an MFA code and without are two."""
        code = " with MFA" if self.mfa_serial else ""
        return f"{self.source()}@{self.region or 'default'}{code}"


def identity_of(role: Role, endpoint: str | None, parent_identity: str | None) -> str:
    """Fingerprint of whose credentials the role's are. When it changes, the old session must go first.

    `endpoint` is the explicitly configured STS endpoint (None for AWS's own), `parent_identity` the
    identity of the kept role that signs, so that a change climbs down a chain.
    """
    return _digest(
        role.role_arn,
        role.source(),
        endpoint,
        parent_identity,
        role.policy,
        role.policy_arns,
        role.tags,
        role.transitive_tag_keys,
        role.source_identity,
    )


def request_of(role: Role, identity: str) -> str:
    """Fingerprint of the whole request. When only this changes, the session is renewed but stays in use."""
    return _digest(
        identity,
        role.external_id,
        role.role_session_name,
        role.duration_seconds,
        role.mfa_serial,
        role.region,
    )


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Instant:
    """One reading of both hands of the clock.

    `wall` is POSIX time (it can be stepped); `boot` counts seconds since boot, sleep included, and never
    goes back; `boot_id` tells one boot from the next, for `boot` means nothing across a restart. `slept` is how many
    of those seconds the machine was asleep, up to a constant: it tells a suspend from a busy machine, and no more.
    """

    wall: float
    boot: float
    boot_id: str = ""
    slept: float = field(default=0.0, compare=False)

    def since(self, earlier: Instant) -> float:
        """Seconds since `earlier`; where the hands disagree, the longer time: the earlier expiry wins."""
        if self.boot_id != earlier.boot_id:
            return self.wall - earlier.wall
        return max(self.boot - earlier.boot, self.wall - earlier.wall)


NO_ROLE = r"arn:aws[\w-]*:(sts|iam)::\d{12}:(user/|federated-user/|root$)"
"""A principal of AWS's that no AssumeRole is answered with."""


def contradiction(principal_arn: str, role_arn: str) -> str:
    """In what an answer's principal is not of the role that was asked for; empty where nothing contradicts.

    Only what the answer's ARN names counts: other servers' (MinIO, Ceph) name no account, or no partition of AWS's.
    STS drops a role's path, and the case of a role's name does not matter to IAM.
    """
    if re.match(NO_ROLE, principal_arn):
        return "no role"
    is_now, asked = _parts(principal_arn), _parts(role_arn)
    return next((what for what, value in is_now.items() if value and asked[what] and value != asked[what]), "")


def _parts(arn: str) -> dict[str, str]:
    fields = arn.split(":", 5)
    _, partition, _, _, account, resource = fields if fields[0] == "arn" and len(fields) == 6 else [""] * 6
    kind, *path = resource.split("/")
    name = ""
    if kind == "assumed-role" and path:
        name = path[-2] if len(path) > 1 else path[0]  # the session's name, which comes last, holds no slash
    elif kind == "role" and path:
        name = path[-1]
    partition = partition if partition.startswith("aws") else ""
    return {"partition": partition, "account": account, "role name": name.lower()}


ACCESS_KEY_ID = re.compile(r"\w{1,128}", re.ASCII)
SECRET = re.compile(r"[!#-&(-~]{1,256}")
TOKEN = re.compile(r"[!#-&(-~]{1,20000}")


def malformed(access_key_id: str, secret_access_key: str, session_token: str) -> str:
    """The first of the three that cannot be what it should be, by AWS's name; empty where all can."""
    found = (
        ("AccessKeyId", ACCESS_KEY_ID, access_key_id),
        ("SecretAccessKey", SECRET, secret_access_key),
        ("SessionToken", TOKEN, session_token),
    )
    return next((name for name, form, value in found if not form.fullmatch(value)), "")


@dataclass(frozen=True, slots=True)
class Session:
    """What STS returned for a role, with what it was asked for. Its repr shows no secret."""

    profile: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)
    expiration: float
    """STS's own Expiration, POSIX seconds, and never later than was asked for."""
    issued_at: float
    """STS's own `Date` of the answer, POSIX seconds: the local clock may be wrong."""
    life: float
    """Seconds from `received` for which the session may be trusted: min(expires − issued, requested)."""
    received: Instant
    """When it was asked for: an answer may lie unread for as long as the lid is closed."""
    principal_arn: str
    identity: str
    request: str

    def is_of(self, role_arn: str) -> bool:
        """Whether this is a session of that role, as far as its principal tells (other servers give no such ARN)."""
        return contradiction(self.principal_arn, role_arn) == ""

    def left(self, now: Instant) -> float:
        """Seconds of life left at `now`; 0 or less means expired. Correct with a wrong local clock.

        After a reboot only the wall clock is left, and either of its two readings may have been wrong: it must not
        read earlier than at receipt, and what STS itself said of the end counts, too.
        """
        age = now.since(self.received)
        if age < 0:
            return 0.0
        if now.boot_id != self.received.boot_id:
            return min(self.life - age, self.expiration - now.wall)
        return self.life - age


class FailureKind(StrEnum):
    """Classes of failure, one per decision that it forces (`facts`: STS errors by what to do next)."""

    TRANSIENT = "transient"
    UNREACHABLE = "unreachable"
    THROTTLED = "throttled"
    CLOCK = "clock"
    DENIED = "denied"
    SOURCE_DEAD = "source_dead"
    NEEDS_LOGIN = "needs_login"
    MISCONFIGURED = "misconfigured"
    WRONG_PRINCIPAL = "wrong_principal"


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed renewal: what STS or the source said, and what a person can do about it."""

    kind: FailureKind
    code: str
    message: str
    advice: str
    at: Instant
    count: int = 1
    """Consecutive failures of this kind, this one included."""


@dataclass(frozen=True, slots=True)
class Decision:
    """When a role is next due and why. `due_in` is in seconds from the `now` it was asked for; ≤ 0 is due."""

    reason: str
    message: str
    due_in: float


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what it is about, what was seen, and what to do (empty when all is well)."""

    severity: Literal["error", "warning", "ok"]
    subject: str
    message: str
    advice: str = ""
