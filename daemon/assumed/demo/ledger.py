"""What the front knows: issued sessions and their expiry, trust policies, owners of keys.

It learns everything from the calls that pass through it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from . import protocol


@dataclass(frozen=True, slots=True)
class Issued:
    """An issued session, without its secrets. `expiration`: POSIX seconds, whole, exactly as sent to the client."""

    access_key_id: str
    expiration: float
    role_arn: str
    principal_arn: str


@dataclass
class Ledger:
    """Facts about the AWS behind the front. Safe to use from several threads."""

    issued: dict[str, Issued] = field(default_factory=dict)
    _owners: dict[str, str] = field(default_factory=dict)
    _needs_external_id: set[str] = field(default_factory=set)

    def has_expired(self, access_key_id: str | None) -> bool:
        session = self.issued.get(access_key_id or "")
        return session is not None and time.time() >= session.expiration

    def lacks_external_id(self, call: protocol.Call) -> bool:
        """Whether the trust policy requires an external ID and the call has none (moto accepts that)."""
        if call.operation != "AssumeRole" or call.params.get("ExternalId"):
            return False
        return (call.role_arn or "").rpartition("/")[2] in self._needs_external_id

    def principal(self, access_key_id: str | None) -> str:
        """ARN of the key's owner, or the key itself if its creation did not pass through the front."""
        session = self.issued.get(access_key_id or "")
        return session.principal_arn if session else self._owners.get(access_key_id or "", f"{access_key_id}")

    def issue(self, call: protocol.Call, body: bytes, clip_seconds: int | None) -> bytes:
        """Records the session in an AssumeRole* answer, and returns the answer with its real Expiration."""
        key, expiration = protocol.tag(body, "AccessKeyId"), protocol.tag(body, "Expiration")
        if key is None or expiration is None:
            return body
        end = int(datetime.fromisoformat(expiration).timestamp())  # moto's has microseconds, AWS's whole seconds
        if clip_seconds is not None:
            end = min(end, int(time.time() + clip_seconds))
        principal = protocol.tag(body.partition(b"<AssumedRoleUser>")[2], "Arn") or ""
        self.issued[key] = Issued(key, end, call.role_arn or "", principal)
        return protocol.with_tag(body, "Expiration", datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))

    def learn(self, call: protocol.Call, body: bytes) -> None:
        """Reads what a successful IAM call changed: trust policies, owners of new access keys."""
        if call.operation == "CreateAccessKey":
            owner = f"arn:aws:iam::123456789012:user/{protocol.tag(body, 'UserName')}"
            self._owners[protocol.tag(body, "AccessKeyId") or ""] = owner
        if call.operation in ("CreateRole", "UpdateAssumeRolePolicy"):
            trust = call.params.get("AssumeRolePolicyDocument") or call.params.get("PolicyDocument", "")
            requires = "sts:externalid" in trust.lower()
            (self._needs_external_id.add if requires else self._needs_external_id.discard)(call.params["RoleName"])
