"""AWS's query and S3 protocols, as far as the front needs them. No I/O.

Answers have the shape and the text of AWS's own (STS API reference, "Common Error Types"; S3 API reference, "Error
responses"), because clients and people act on them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape

REQUEST_ID = "00000000-0000-4000-8000-000000000000"
_CREDENTIAL = re.compile(r"([^/,\s=]+)/[^,\s]*?/?([^/,\s]+)/aws4_request")
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Call:
    """What one HTTP request asks for, and the access key that signed it. Holds no secret key and no signature.

    `service` is that of the signature's scope (`sts`, `iam`, `s3`, …), empty for an unsigned request. `operation` is
    the `Action`; for S3, `ListObjectsV2` or the HTTP method. `params` are those of the query protocol, or of the URL.
    """

    service: str
    operation: str
    access_key_id: str | None
    params: Mapping[str, str]

    @property
    def role_arn(self) -> str | None:
        return self.params.get("RoleArn")

    @property
    def issues(self) -> bool:
        """Whether it asks for a session."""
        return self.operation.startswith("AssumeRole")


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def read_call(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Call:
    """What the request asks for. `headers` has lowercase names."""
    query = params = dict(parse_qsl(urlsplit(target).query, keep_blank_values=True))
    if headers.get("content-type", "").startswith(_FORM):
        params = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    key, service = _signer(headers.get("authorization", ""), query)
    listing = "ListObjectsV2" if query.get("list-type") == "2" else method
    return Call(service, params.get("Action", listing), key, params)


def _signer(authorization: str, query: Mapping[str, str]) -> tuple[str | None, str]:
    """Access key id and service of the signature: SigV4 in header or query, or S3's SigV2 (old presigned URLs)."""
    found = _CREDENTIAL.search(authorization.partition("Credential=")[2] or query.get("X-Amz-Credential", ""))
    if found:
        return found[1], found[2]
    old = query.get("AWSAccessKeyId") or authorization.removeprefix("AWS ").partition(":")[0]
    return (old, "s3") if old else (None, "")


def refusal(call: Call, code: str, message: str) -> Reply:
    """The error in the XML of the service."""
    error = f"<Code>{code}</Code><Message>{escape(message)}</Message>"
    request = f"<RequestId>{REQUEST_ID}</RequestId>"
    status, text = 400, f"<Error>{error}{request}</Error>"
    if call.service != "s3":
        status, text = 403, f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error>{request}</ErrorResponse>"
    return Reply(status, [("Content-Type", "text/xml"), ("x-amzn-RequestId", REQUEST_ID)], text.encode())


def expired(call: Call) -> Reply:
    """`ExpiredToken`, with the message of the service."""
    s3, others = "The provided token has expired.", "The security token included in the request is expired"
    return refusal(call, "ExpiredToken", s3 if call.service == "s3" else others)


def denied(call: Call, principal: str) -> Reply:
    """STS's `AccessDenied` for an AssumeRole*; as at AWS, the message is the same for every cause."""
    message = f"User: {principal} is not authorized to perform: sts:{call.operation} on resource: {call.role_arn}"
    return refusal(call, "AccessDenied", message)


def tag(body: bytes, name: str) -> str | None:
    """Text of the first `<name>` element, or None. Enough for STS's and IAM's flat answers."""
    found = re.search(rf"<{name}>([^<]*)</{name}>".encode(), body)
    return found[1].decode() if found else None


def with_tag(body: bytes, name: str, text: str) -> bytes:
    """`body` with the text of each `<name>` element replaced."""
    return re.sub(rf"(<{name}>)[^<]*(</{name}>)".encode(), lambda m: m[1] + escape(text).encode() + m[2], body)
