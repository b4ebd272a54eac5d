"""What the front knows: the sessions that passed through it and when they end, trust policies, users.

It learns all of it by reading the calls that pass: nothing has to be told to it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from . import aws_words as words


@dataclass(frozen=True, slots=True)
class Issued:
    """One session that was handed out. No secret."""

    access_key_id: str
    expiration: float
    """POSIX seconds, whole: exactly what the client was told."""
    role_arn: str
    principal_arn: str


@dataclass
class Ledger:
    """Facts about the AWS behind the front. Safe to use from several threads."""

    clock: Callable[[], float] = time.time
    issued: dict[str, Issued] = field(default_factory=dict)
    _user_arns: dict[str, str] = field(default_factory=dict)
    _key_owners: dict[str, str] = field(default_factory=dict)
    _role_arns: dict[str, str] = field(default_factory=dict)
    _needs_external_id: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def has_expired(self, access_key_id: str | None) -> bool:
        session = self.issued.get(access_key_id or "")
        return session is not None and self.clock() >= session.expiration

    def lacks_external_id(self, call: words.Call) -> bool:
        """True when the role's trust policy asks for an external id and the call brings none (moto lets it pass)."""
        return (
            call.operation == "AssumeRole"
            and call.role_arn in self._needs_external_id
            and (not call.params.get("ExternalId"))
        )

    def principal(self, access_key_id: str | None) -> str:
        """ARN of who signs with this key, or the key itself where its owner never passed by."""
        session = self.issued.get(access_key_id or "")
        return session.principal_arn if session else self._key_owners.get(access_key_id or "", f"{access_key_id}")

    def issue(self, call: words.Call, body: bytes, clip_seconds: int | None) -> bytes:
        """Notes the session in an AssumeRole* answer, and returns the answer with its true Expiration."""
        key, told = words.tag(body, "AccessKeyId"), words.tag(body, "Expiration")
        if key is None or told is None:
            return body
        end = int(words.posix(told))
        if clip_seconds is not None:
            end = min(end, int(self.clock() + clip_seconds))
        who = words.tag(body.partition(b"<AssumedRoleUser>")[2], "Arn") or ""
        with self._lock:
            self.issued[key] = Issued(key, end, call.role_arn or "", who)
        return words.with_tag(body, "Expiration", words.whole_seconds(end))

    def learn(self, call: words.Call, body: bytes) -> None:
        """Reads what a successful IAM call changed: new roles, their trust policies, new access keys."""
        name = call.params.get("RoleName", "")
        if call.operation == "CreateRole":
            self._role_arns[name] = words.tag(body, "Arn") or ""
        if call.operation in ("CreateRole", "UpdateAssumeRolePolicy"):
            document = call.params.get("AssumeRolePolicyDocument") or call.params.get("PolicyDocument") or "{}"
            self._trust(self._role_arns.get(name, ""), document)
        if call.operation == "CreateUser":
            self._user_arns[call.params.get("UserName", "")] = words.tag(body, "Arn") or ""
        if call.operation == "CreateAccessKey":
            user = words.tag(body, "UserName") or ""
            self._key_owners[words.tag(body, "AccessKeyId") or ""] = self._user_arns.get(user, user)

    def _trust(self, role_arn: str, document: str) -> None:
        with self._lock:
            self._needs_external_id.discard(role_arn)
            if "sts:externalid" in _condition_keys(document):
                self._needs_external_id.add(role_arn)


def _condition_keys(document: str) -> set[str]:
    """Context keys, lowercase, that any statement of a policy document compares for equality."""
    policy: dict[str, Any] = json.loads(unquote(document) if document.startswith("%") else document)
    statements = policy.get("Statement", [])
    if isinstance(statements, dict):
        statements = [statements]
    return {
        key.lower()
        for statement in statements
        for operator, keys in statement.get("Condition", {}).items()
        if operator in ("StringEquals", "StringLike", "StringEqualsIgnoreCase")
        for key in keys
    }
