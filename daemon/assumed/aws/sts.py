"""AssumeRole over a botocore client: one request, one Session or one classified RenewalFailed."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from assumed.engine.state import Order
from assumed.errors import RenewalFailed
from assumed.model import FailureKind, Instant, Session, contradiction, malformed

from .refusals import AGAIN, of_sts, refusal_of, server_time, too_long
from .source_failures import token_in

CHAINED_MAX = 3600
SHORTEST_ID = 16
"""Characters of an access key id, by the model of STS."""
KEYS = ("AccessKeyId", "SecretAccessKey", "SessionToken")
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
        if seconds <= CHAINED_MAX or not too_long(*refusal_of(error)[:2]):
            raise _failure(error, client, order, now) from None
    except boto.BotoCoreError as error:
        raise _failure(error, client, order, now) from None
    try:
        answer = _ask(client, order, CHAINED_MAX, now)
    except (boto.ClientError, boto.BotoCoreError) as error:
        raise _failure(error, client, order, now) from None
    return replace(answer, capped=True)


def _failure(error: Exception, client: Any, order: Order, now: Callable[[], Instant]) -> RenewalFailed:
    region = getattr(getattr(client, "meta", None), "region_name", None)
    return of_sts(error, order.role, now().wall, region)


def _ask(client: Any, order: Order, seconds: int, now: Callable[[], Instant]) -> Answer:
    role = order.role
    optional: dict[str, Any] = {"Policy": role.policy, "PolicyArns": [{"arn": arn} for arn in role.policy_arns]}
    if role.web_identity_token_file is not None:
        call = client.assume_role_with_web_identity
        # Read at every call: Kubernetes rotates the token under the same name.
        optional["WebIdentityToken"] = token_in(Path(role.web_identity_token_file))
    else:
        call = client.assume_role
        optional |= {
            "ExternalId": role.external_id,
            "Tags": [{"Key": key, "Value": value} for key, value in role.tags],
            "TransitiveTagKeys": list(role.transitive_tag_keys),
            "SourceIdentity": role.source_identity,
        }
    request = {key: value for key, value in optional.items() if value}
    request |= {"RoleArn": role.role_arn, "RoleSessionName": role.role_session_name, "DurationSeconds": seconds}
    asked = now()
    try:
        response = call(**request)
    except NO_ANSWER:
        # Half an answer, or a portal's page with status 200: botocore's parser looks in it for what is not there.
        raise _useless("what answered is not STS, or its answer was cut off (a proxy, a sign-in page?)") from None
    return _answer(response, order, seconds, asked, now())


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
    server = server_time(response)
    issued_at = asked.wall if server is None else server
    # A local clock that is 30 min slow would add 30 min to the life if it were asked; STS's Date and the length
    # that we asked for are both upper bounds.
    life = min(expiration.timestamp() - issued_at, float(seconds))
    if life <= 0:
        raise _useless("STS answered with a session that has already expired")
    principal = str(user.get("Arn") or "")  # MinIO names nobody
    wrong = contradiction(principal, order.role.role_arn)
    if wrong:
        message = f"asked for {order.role.role_arn}, got a session of {principal[:200]}: another {wrong}; discarded"
        advice = "check what answers in place of STS: endpoint_url, AWS_ENDPOINT_URL_STS, a caching proxy, a mock"
        raise RenewalFailed(FailureKind.WRONG_PRINCIPAL, "WrongPrincipal", message, advice)
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
    return RenewalFailed(FailureKind.TRANSIENT, "BadAnswer", message, AGAIN)
