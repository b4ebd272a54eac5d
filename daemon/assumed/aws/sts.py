"""AssumeRole over a botocore client: one request, one Session or one classified RenewalFailed."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from botocore import exceptions as boto
from botocore.config import Config as ClientConfig
from botocore.parsers import ResponseParserError

from assumed.engine.state import Order
from assumed.errors import LONGEST_CODE, RenewalFailed
from assumed.files import read_limited
from assumed.model import FailureKind, Instant, Role, Session, contradiction, malformed
from assumed.redact import clean

from . import http
from .refusals import advice_for, kind_of, too_long
from .tls import bundle_of_client, trust_failure

CHAINED_MAX = 3600
TOKEN_LIMIT = 64 * 1024
"""Bytes; STS takes a web identity token of 20,000 characters."""

# Ours is the one retry loop: botocore's own would multiply it. Its default time-outs (60 s each) would let a
# silent server hold a worker for minutes.
CLIENT_CONFIG = ClientConfig(connect_timeout=5, read_timeout=8, retries={"total_max_attempts": 1})

UNREACHABLE = (boto.EndpointConnectionError, boto.ConnectTimeoutError, boto.ProxyConnectionError, boto.SSLError)
SOURCE_BROKEN = (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)

SHORTEST_ID = 16
"""Characters of an access key id, by the model of STS."""
KEYS = ("AccessKeyId", "SecretAccessKey", "SessionToken")

ISSUER = "see to its issuer (Kubernetes, the CI job), which has to write a token there"
NO_ANSWER = (ResponseParserError, LookupError, ValueError, TypeError, AttributeError, OverflowError, RuntimeError)
"""What botocore's parser is led to by text that is not STS's: `Invalid timestamp` is a ValueError, and so on."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A session, with what a person should know about how it was obtained."""

    session: Session
    offset: float | None
    """STS's clock minus ours, in seconds, to within a second and the time of the call. None where it did not say."""
    capped: bool
    """Whether STS refused the length asked for and granted 3600 s instead."""


class Pacer:
    """At most `calls` within any `seconds`, per source (promise 8: 100 a second; the rest is for a network that lags).

    Not one call every so often: a hundred roles are fresh twice as soon, and STS sees the same hundred.
    """

    def __init__(self, calls: int = 100, seconds: float = 1.1) -> None:
        self._calls = calls
        self._seconds = seconds
        self._taken: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def wait(self, source: str) -> None:
        """Sleep until this source may be called again: at most `seconds`, as long as `calls` exceeds the workers."""
        with self._lock:
            now = time.monotonic()
            taken = self._taken.setdefault(source, deque(maxlen=self._calls))
            at = max(now, taken[0] + self._seconds) if len(taken) == self._calls else now
            taken.append(at)
        if at > now:
            time.sleep(at - now)


def assume(client: Any, order: Order, now: Callable[[], Instant]) -> Answer:
    """Ask STS for a session. Raises RenewalFailed, classified by what to do next.

    A refusal for length alone is answered by one more try at 3600 s (role chaining's limit, and every role's
    default maximum).
    """
    seconds = order.role.duration_seconds
    try:
        return _ask(client, order, seconds, now)
    except boto.ClientError as error:
        code, message = code_and_message(error)
        if not (too_long(code, message) and seconds > CHAINED_MAX):
            raise _refusal(error, order.role, now, _region_of(client)) from None
    except boto.BotoCoreError as error:
        raise trust_failure(error, bundle_of_client(client)) or _no_answer(error, order.role) from None
    try:
        answer = _ask(client, order, CHAINED_MAX, now)
    except boto.ClientError as error:
        raise _refusal(error, order.role, now, _region_of(client)) from None
    except boto.BotoCoreError as error:
        raise trust_failure(error, bundle_of_client(client)) or _no_answer(error, order.role) from None
    return Answer(answer.session, answer.offset, capped=True)


def _ask(client: Any, order: Order, seconds: int, now: Callable[[], Instant]) -> Answer:
    role = order.role
    web_identity = role.web_identity_token_file is not None
    request = _web_identity_request(role, seconds) if web_identity else _request(role, seconds)
    call = client.assume_role_with_web_identity if web_identity else client.assume_role
    asked = now()
    try:
        response = call(**request)
    except NO_ANSWER:
        # Half an answer, or a portal's page with status 200: botocore's parser looks in it for what is not there.
        raise _useless("what answered is not STS, or its answer was cut off (a proxy, a sign-in page?)") from None
    return _answer(response, order, seconds, asked, now())


def _request(role: Role, seconds: int) -> dict[str, Any]:
    optional = {
        "ExternalId": role.external_id,
        "Policy": role.policy,
        "PolicyArns": [{"arn": arn} for arn in role.policy_arns],
        "Tags": [{"Key": key, "Value": value} for key, value in role.tags],
        "TransitiveTagKeys": list(role.transitive_tag_keys),
        "SourceIdentity": role.source_identity,
    }
    return {
        "RoleArn": role.role_arn,
        "RoleSessionName": role.role_session_name,
        "DurationSeconds": seconds,
        **{key: value for key, value in optional.items() if value},
    }


def _web_identity_request(role: Role, seconds: int) -> dict[str, Any]:
    # Read at every call: Kubernetes rotates the token under the same name.
    token = read_token(Path(role.web_identity_token_file or ""))
    request = {"RoleArn": role.role_arn, "RoleSessionName": role.role_session_name, "DurationSeconds": seconds}
    if role.policy:
        request["Policy"] = role.policy
    if role.policy_arns:
        request["PolicyArns"] = [{"arn": arn} for arn in role.policy_arns]
    return {**request, "WebIdentityToken": token}


def read_token(path: Path) -> str:
    """A web identity token. Raises RenewalFailed."""
    try:
        token = read_limited(path, TOKEN_LIMIT).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise RenewalFailed(FailureKind.SOURCE_DEAD, "TokenFile", f"cannot read {path}: {reason}", ISSUER) from None
    if not token:
        raise RenewalFailed(FailureKind.SOURCE_DEAD, "TokenFile", f"{path} is empty", ISSUER)
    return token


def _answer(response: Mapping[str, Any], order: Order, seconds: int, asked: Instant, answered: Instant) -> Answer:
    """Verify what came before anybody is given it: whole, not expired, its life by STS's own clock.

    That life is counted from the question, not from the answer: the lid may have been closed between the two, and
    the answer of an hour ago be read only now.
    """
    keys, user = response.get("Credentials") or {}, response.get("AssumedRoleUser") or {}
    expiration = keys.get("Expiration")
    # An element that comes twice, or with elements in it, is no text for botocore, either.
    if not all(isinstance(keys.get(name), str) and keys[name] for name in KEYS):
        raise _useless("STS answered without a whole set of credentials")
    wrong = malformed(*(keys[name] for name in KEYS))
    if len(keys[KEYS[0]]) < SHORTEST_ID:
        wrong = KEYS[0]
    if wrong:
        raise _useless(f"STS answered with a malformed {wrong}")
    if not isinstance(expiration, datetime):
        raise _useless("STS answered without an expiration")
    server = _server_time(response)
    issued_at = asked.wall if server is None else server
    # A local clock that is 30 min slow would add 30 min to the life if it were asked; STS's Date and the length
    # that we asked for are both upper bounds.
    life = min(expiration.timestamp() - issued_at, float(seconds))
    if life <= 0:
        raise _useless("STS answered with a session that has already expired")
    principal = str(user.get("Arn") or "")  # MinIO names nobody
    wrong = contradiction(principal, order.role.role_arn)
    if wrong:
        raise _another_principal(principal, wrong, order.role)
    session = Session(
        profile=order.role.profile,
        access_key_id=keys["AccessKeyId"],
        secret_access_key=keys["SecretAccessKey"],
        session_token=keys["SessionToken"],
        expiration=min(expiration.timestamp(), issued_at + seconds),
        issued_at=issued_at,
        life=life,
        received=asked,
        principal_arn=principal,
        identity=order.identity,
        request=order.request,
    )
    return Answer(session, None if server is None else _offset(server, asked.wall, answered.wall), capped=False)


def _offset(server: float, asked: float, answered: float) -> float:
    """STS's clock minus ours: 0 where its `Date` lies between question and answer, however long that took."""
    return server - asked if server < asked else max(0.0, server - answered)


def _useless(message: str) -> RenewalFailed:
    return RenewalFailed(FailureKind.TRANSIENT, "BadAnswer", message, "it is tried again by itself")


def _another_principal(principal: str, wrong: str, role: Role) -> RenewalFailed:
    return RenewalFailed(
        FailureKind.WRONG_PRINCIPAL,
        "WrongPrincipal",
        f"asked for {role.role_arn}, got a session of {principal[:200]}: another {wrong}; it was discarded",
        "check what answers in place of STS: endpoint_url, AWS_ENDPOINT_URL_STS, a caching proxy, a mock",
    )


def _server_time(response: Mapping[str, Any]) -> float | None:
    """STS's `Date` as POSIX seconds; None where the answer has none that can be read."""
    header = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        return parsedate_to_datetime(header).timestamp() if header else None
    except (ValueError, OverflowError):
        return None


def code_and_message(error: boto.ClientError) -> tuple[str, str]:
    """A refusal's code and words."""
    detail = error.response.get("Error", {})
    code, message = str(detail.get("Code", "Unknown")), str(detail.get("Message", ""))
    return clean(code, LONGEST_CODE), clean(message) or "no message"


def _region_of(client: Any) -> str | None:
    return getattr(getattr(client, "meta", None), "region_name", None)


def _refusal(error: boto.ClientError, role: Role, now: Callable[[], Instant], region: str | None) -> RenewalFailed:
    code, message = code_and_message(error)
    metadata = error.response.get("ResponseMetadata", {})
    kind = kind_of(code, message, metadata.get("HTTPStatusCode"))
    server = _server_time(error.response)
    offset = None if server is None else server - now().wall
    return RenewalFailed(kind, code, message, advice_for(kind, code, role, offset, region), offset=offset)


def _no_answer(error: boto.BotoCoreError, role: Role) -> RenewalFailed:
    """No refusal but no answer either: the network, a time-out, or a request that botocore itself rejects."""
    code = type(error).__name__
    if (explained := http.explained(error)) is not None:
        return explained
    if isinstance(error, boto.NoRegionError):
        return no_region(role.source())
    if isinstance(error, boto.ParamValidationError):
        kind = FailureKind.MISCONFIGURED
    elif isinstance(error, SOURCE_BROKEN):
        kind = FailureKind.SOURCE_DEAD
    elif isinstance(error, UNREACHABLE):
        kind = FailureKind.UNREACHABLE
    else:
        kind = FailureKind.TRANSIENT
    advice = advice_for(kind, code, role, None)
    if kind is FailureKind.UNREACHABLE:
        advice = "check the network, VPN or proxy; it is tried again by itself"
    return RenewalFailed(kind, code, str(error), advice)


def no_region(source: str) -> RenewalFailed:
    """Neither the role nor its source names a region, and AWS signs for one."""
    advice = 'set region in the configuration, e.g. region = "us-east-1"'
    return RenewalFailed(FailureKind.MISCONFIGURED, "NoRegion", f"no region for {source}", advice)
