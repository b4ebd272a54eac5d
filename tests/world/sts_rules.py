"""The project's own STS without its network: keys, sessions, rules of behaviour, and the decision on one request."""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .sts_words import Refused, Signature, answer, check_signature, element, iso

ACCOUNT = "123456789012"
CHAIN_SECONDS = 3600
SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
Fault = Literal["hang", "reset", "half", "garbage"]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the server answers calls for one role or for all. A role's rule overrides single fields of `*`."""

    latency: float = 0.0
    """Seconds between a call and its answer."""
    error: str | None = None
    """Code of the refusal, of `ERRORS` or any other."""
    message: str | None = None
    """The message of that refusal, if not AWS's usual one."""
    status: int | None = None
    """HTTP status of that refusal, if not AWS's usual one."""
    fault: Fault | None = None
    """hang: no answer. reset: RST. half: the correct answer, truncated. garbage: a captive portal's 200 with HTML."""
    session_seconds: float | None = None
    """Life of issued sessions in seconds, whatever was requested."""
    clock_offset: float = 0.0
    """The server's clock minus ours: moves Date, Expiration and the check of signatures."""
    principal: str | None = None
    """The ARN in the answer, whatever role was requested; empty: no ARN in the answer."""
    expiration: str | None = None
    """The literal `Expiration` in the answer."""
    credentials: Mapping[str, str] | None = None
    """Literal elements of `Credentials` in the answer."""
    external_id: str | None = None
    """AssumeRole requires exactly this external ID."""
    mfa: bool = False
    """AssumeRole requires an MFA code, or a session made with one."""
    max_session_duration: int = 43200
    times: int | None = None
    """Only for this many calls; then the previous rule applies again."""


@dataclass(slots=True)
class Call:
    """One request that arrived."""

    time: float
    action: str
    role_arn: str | None
    access_key_id: str | None
    session_name: str | None
    duration: int | None
    external_id: str | None
    params: dict[str, str] = field(repr=False)
    in_flight: int
    """Calls in progress at that time, including this one."""
    outcome: str = ""
    """`ok`, the code of the refusal, or the fault; empty during its latency."""
    issued: str | None = None
    """Access key id of the session in the answer."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key pair this STS knows: a user's, or a session's until `expiration`."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    arn: str
    session_token: str | None = field(default=None, repr=False)
    expiration: float | None = None
    mfa: bool = False

    @property
    def is_role_session(self) -> bool:
        return ":assumed-role/" in self.arn


class Rules:
    """Behaviours by role ARN or `*`; may be changed from any thread at any time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lasting: dict[str, dict[str, Any]] = {}
        self._passing: dict[str, dict[str, Any]] = {}

    def set(self, target: str, **behaviour: Any) -> None:
        """Replaces the rule for `target` (nothing: removes it). Raises TypeError on an unknown field."""
        Behaviour(**behaviour)
        with self._lock:
            self._passing.pop(target, None)
            if "times" in behaviour:
                self._passing[target] = behaviour
            else:
                self._lasting[target] = behaviour

    def take(self, role_arn: str | None) -> Behaviour:
        """The behaviour for one call now; counts down rules with a limited number of calls."""
        found: dict[str, Any] = {}
        with self._lock:
            for target in dict.fromkeys(("*", role_arn or "*")):
                found |= self._lasting.get(target, {})
                passing = self._passing.get(target)
                if passing is not None:
                    found |= passing
                    self._count_down(target, passing)
        return Behaviour(**found)

    def _count_down(self, target: str, passing: dict[str, Any]) -> None:
        left = passing["times"] - 1
        if left > 0:
            self._passing[target] = {**passing, "times": left}
        else:
            del self._passing[target]


class Authority:
    """Who may sign, what was issued, and what STS answers to one request."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.keys: dict[str, Key] = {}
        self.web_tokens: set[str] = set()
        """Accepted web identity tokens; empty: any."""
        self.mfa_codes: set[str] = set()
        """One-time codes not yet used."""

    def decide(self, headers: Mapping[str, str], body: bytes, call: Call, how: Behaviour) -> bytes:
        """The body of a 200. Raises Refused. Records in `call` what was issued."""
        now = self.clock() + how.clock_offset
        caller = None if call.action == "AssumeRoleWithWebIdentity" else self._caller(headers, body, now)
        try:
            return self._act(call, caller, how, now)
        except Refused as refused:
            words = refused.message.replace("{caller}", caller.arn if caller else "anonymous")
            words = words.replace("{action}", call.action).replace("{role_arn}", str(call.role_arn))
            raise Refused(refused.code, words, refused.status) from None

    def _act(self, call: Call, caller: Key | None, how: Behaviour, now: float) -> bytes:
        if how.error is not None:
            raise Refused(how.error, how.message, how.status)
        match call.action:
            case "GetCallerIdentity" if caller:
                who = element("Arn", caller.arn) + element("UserId", "AIDA0") + element("Account", ACCOUNT)
                return answer(call.action, who)
            case "AssumeRole" | "AssumeRoleWithWebIdentity":
                return self._assume(call, caller, how, now)
            case "GetSessionToken" if caller:
                return self._session_token(call, caller, how, now)
        raise Refused("InvalidAction", f"Could not find operation {call.action} for version 2011-06-15")

    def _caller(self, headers: Mapping[str, str], body: bytes, now: float) -> Key:
        signature = Signature.read(headers.get("authorization", ""))
        key = self.keys.get(signature.access_key_id)
        if key is None or headers.get("x-amz-security-token") != key.session_token:
            raise Refused("InvalidClientTokenId")
        check_signature(signature, key.secret_access_key, headers, body, now)
        if key.expiration is not None and now >= key.expiration:
            raise Refused("ExpiredToken")
        return key

    def _assume(self, call: Call, caller: Key | None, how: Behaviour, now: float) -> bytes:
        _validate(call, how, chained=caller is not None and caller.is_role_session)
        if how.external_id is not None and call.external_id != how.external_id:
            raise Refused("AccessDenied")
        if caller is None and self.web_tokens and call.params.get("WebIdentityToken") not in self.web_tokens:
            raise Refused("InvalidIdentityToken")
        coded = self._with_code(call)
        if how.mfa and not coded and not (caller and caller.mfa):
            raise Refused("AccessDenied")
        account = (str(call.role_arn).split(":") + [""] * 5)[4] or ACCOUNT
        partition = str(call.role_arn).split(":")[1] if str(call.role_arn).startswith("arn:") else "aws"
        name = str(call.role_arn).rpartition("/")[2]
        arn = f"arn:{partition}:sts::{account}:assumed-role/{name}/{call.session_name}"
        content, call.issued = self._issue(arn, how.session_seconds or call.duration or 3600, now, coded)
        given = {**(how.credentials or {}), **({"Expiration": how.expiration} if how.expiration is not None else {})}
        for name, value in given.items():
            content = re.sub(f"<{name}>.*</{name}>", lambda _, of=(name, value): element(*of), content)
        if how.principal == "":
            return answer(call.action, content)
        who = element("Arn", how.principal or arn) + element("AssumedRoleId", f"AROA0:{call.session_name}")
        return answer(call.action, f"{content}<AssumedRoleUser>{who}</AssumedRoleUser>")

    def _session_token(self, call: Call, caller: Key, how: Behaviour, now: float) -> bytes:
        if caller.session_token is not None:
            raise Refused("AccessDenied", "Cannot call GetSessionToken with session credentials")
        coded = self._with_code(call)
        seconds = how.session_seconds or call.duration or 43200
        content, call.issued = self._issue(caller.arn, seconds, now, coded)
        return answer(call.action, content)

    def _with_code(self, call: Call) -> bool:
        """True when the call brought a good MFA code. A code works once (AWS's own rule)."""
        code = call.params.get("TokenCode")
        if code is None:
            return False
        if code not in self.mfa_codes:
            raise Refused("AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code. ")
        self.mfa_codes.discard(code)
        return True

    def _issue(self, arn: str, seconds: float, now: float, mfa: bool) -> tuple[str, str]:
        # STS writes whole seconds, and checks the expiry that the client received
        expiration = float(int(now + seconds))
        key = Key(
            "ASIA" + secrets.token_hex(8).upper(),
            "fake-" + secrets.token_hex(18),
            arn,
            "fake-token-" + secrets.token_urlsafe(260),
            expiration,
            mfa,
        )
        self.keys[key.access_key_id] = key
        content = (
            element("AccessKeyId", key.access_key_id)
            + element("SecretAccessKey", key.secret_access_key)
            + element("SessionToken", key.session_token)
            + element("Expiration", iso(expiration))
        )
        return f"<Credentials>{content}</Credentials>", key.access_key_id


def _validate(call: Call, how: Behaviour, *, chained: bool) -> None:
    """STS's own limits, with its own messages. moto checks none of them."""
    if not SESSION_NAME.fullmatch(call.session_name or ""):
        raise Refused("ValidationError", _constraint(call.session_name, "roleSessionName", r"pattern: [\w+=,.@-]*"))
    if call.duration is not None and not 900 <= call.duration <= 43200:
        raise Refused("ValidationError", _constraint(call.duration, "durationSeconds", "range: 900 to 43200"))
    if call.duration is not None and chained and call.duration > CHAIN_SECONDS:
        limit = "the 1 hour session limit for roles assumed by role chaining."
        raise Refused("ValidationError", f"The requested DurationSeconds exceeds {limit}")
    if call.duration is not None and call.duration > how.max_session_duration:
        limit = "the MaxSessionDuration set for this role."
        raise Refused("ValidationError", f"The requested DurationSeconds exceeds {limit}")
    policy = call.params.get("Policy")
    if policy is None:
        return
    if len(policy) > 2048:
        raise Refused("ValidationError", _constraint("…", "policy", "length less than or equal to 2048"))
    try:
        json.loads(policy)
    except ValueError:
        raise Refused("MalformedPolicyDocument") from None


def _constraint(value: object, name: str, rule: str) -> str:
    problem = f"Value '{value}' at '{name}' failed to satisfy constraint: Member must satisfy {rule}"
    return f"1 validation error detected: {problem}"
