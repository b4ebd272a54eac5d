"""How AWS's query, JSON and S3 protocols are read and answered, as far as the front needs it. No I/O.

The shapes and words are those of AWS's own answers (STS API reference, "Common Error Types"; S3 API
reference, "Error responses"), for clients and people act on them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape

REQUEST_ID = "00000000-0000-4000-8000-000000000000"
_CREDENTIAL = re.compile(r"([^/,\s=]+)/[^,\s]*?/?([^/,\s]+)/aws4_request")
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Call:
    """What one HTTP request asks for and which access key signed it. Holds no secret and no signature."""

    service: str
    """Service of the signature's scope (`sts`, `iam`, `s3`, …); empty when the request is not signed."""
    operation: str
    access_key_id: str | None
    params: Mapping[str, str]
    """Parameters of a query-protocol call; empty for every other protocol."""

    @property
    def role_arn(self) -> str | None:
        return self.params.get("RoleArn")

    @property
    def session_name(self) -> str | None:
        return self.params.get("RoleSessionName")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer of the front's own."""

    status: int
    body: bytes
    content_type: str


def read_call(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Call:
    """What the request asks for. `headers` has lowercase names."""
    url = urlsplit(target)
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    key, service = _signer(headers.get("authorization", ""), query)
    params: Mapping[str, str] = {}
    if headers.get("content-type", "").startswith(_FORM):
        params = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    elif "Action" in query:
        params = query
    if "Action" in params:
        return Call(service, params["Action"], key, params)
    if "x-amz-target" in headers:
        return Call(service, headers["x-amz-target"].rpartition(".")[2], key, {})
    return Call(service, _s3_operation(method, url.path, query), key, {})


def _signer(authorization: str, query: Mapping[str, str]) -> tuple[str | None, str]:
    """Access key id and service of the signature: SigV4 in header or query, or S3's SigV2 (old presigned URLs)."""
    found = _CREDENTIAL.search(authorization.partition("Credential=")[2] or query.get("X-Amz-Credential", ""))
    if found:
        return found[1], found[2]
    old = query.get("AWSAccessKeyId") or authorization.removeprefix("AWS ").partition(":")[0]
    return (old, "s3") if old else (None, "")


def _s3_operation(method: str, path: str, query: Mapping[str, str]) -> str:
    """Operation of a path-style S3 request: how clients speak to an endpoint that is an IP address."""
    if query.get("list-type") == "2":
        return "ListObjectsV2"
    depth = sum(1 for part in path.split("/") if part)
    if depth == 0:
        return "ListBuckets" if method == "GET" else method
    verb = {"GET": "Get", "PUT": "Put", "HEAD": "Head", "DELETE": "Delete", "POST": "Post"}.get(method, method)
    if depth > 1:
        return f"{verb}Object"
    return {"Get": "ListObjects", "Put": "CreateBucket"}.get(verb, f"{verb}Bucket")


def refusal(call: Call, code: str, message: str) -> Answer:
    """The error as the client of this service expects it."""
    if call.service == "s3":
        text = (
            f"<Error><Code>{code}</Code><Message>{escape(message)}</Message><RequestId>{REQUEST_ID}</RequestId></Error>"
        )
        status = 400 if code in ("ExpiredToken", "EntityTooLarge") else 403
        return Answer(status, b'<?xml version="1.0" encoding="UTF-8"?>\n' + text.encode(), "application/xml")
    if not call.params:
        text = f'{{"__type": "{code}Exception", "message": "{message}"}}'
        return Answer(400, text.encode(), "application/x-amz-json-1.0")
    version = {"sts": "2011-06-15", "iam": "2010-05-08"}.get(call.service, "2011-06-15")
    namespace = f"https://{call.service or 'sts'}.amazonaws.com/doc/{version}/"
    text = (
        f'<ErrorResponse xmlns="{namespace}"><Error><Type>Sender</Type><Code>{code}</Code>'
        f"<Message>{escape(message)}</Message></Error><RequestId>{REQUEST_ID}</RequestId></ErrorResponse>"
    )
    return Answer(403, text.encode(), "text/xml")


def expired(call: Call) -> Answer:
    """`ExpiredToken` in the words of the service: S3 has its own."""
    if call.service == "s3":
        return refusal(call, "ExpiredToken", "The provided token has expired.")
    return refusal(call, "ExpiredToken", "The security token included in the request is expired")


def denied(call: Call, principal: str) -> Answer:
    """STS's `AccessDenied` for an AssumeRole*; the words are the same for every cause, as at AWS."""
    message = f"User: {principal} is not authorized to perform: sts:{call.operation} on resource: {call.role_arn}"
    return refusal(call, "AccessDenied", message)


def tag(body: bytes, name: str) -> str | None:
    """Text of the first `<name>` element, or None. Enough for STS's and IAM's flat answers."""
    found = re.search(rf"<{name}>([^<]*)</{name}>".encode(), body)
    return found[1].decode() if found else None


def with_tag(body: bytes, name: str, text: str) -> bytes:
    """`body` with the text of each `<name>` element replaced."""
    return re.sub(rf"(<{name}>)[^<]*(</{name}>)".encode(), lambda m: m[1] + escape(text).encode() + m[2], body)


def whole_seconds(posix: float) -> str:
    """The form in which STS writes an Expiration."""
    return datetime.fromtimestamp(int(posix), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def posix(expiration: str) -> float:
    """POSIX seconds of an Expiration in any ISO form (moto's has microseconds)."""
    return datetime.fromisoformat(expiration).timestamp()
