"""Answers and refusals of the project's own STS in AWS's XML and with AWS's messages, and SigV4 as STS checks it."""

from __future__ import annotations

import functools
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.sax.saxutils import escape

NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
REQUEST_ID = "11111111-2222-4333-8444-555555555555"
SKEW_SECONDS = 15 * 60

# code → (HTTP status, words). Sources: STS API reference, "Common Error Types", and threads quoting AWS's answers.
ERRORS: dict[str, tuple[int, str]] = {
    "AccessDenied": (403, "User: {caller} is not authorized to perform: sts:{action} on resource: {role_arn}"),
    "ExpiredToken": (403, "The security token included in the request is expired"),
    "ExpiredTokenException": (400, "Token expired: current date/time must be before the expiration date/time"),
    "IDPCommunicationError": (400, "The identity provider could not be reached"),
    "IDPRejectedClaim": (403, "The identity provider rejected the claim"),
    "IncompleteSignature": (403, "Authorization header requires 'Credential' parameter."),
    "InternalFailure": (500, "An internal error occurred"),
    "InvalidClientTokenId": (403, "The security token included in the request is invalid."),
    "InvalidIdentityToken": (400, "No OpenIDConnect provider found in your account"),
    "MalformedPolicyDocument": (400, "Syntax errors in policy."),
    "OptInRequired": (403, "The AWS Access Key Id needs a subscription for the service"),
    "PackedPolicyTooLarge": (400, "Packed policy consumes 112% of allotted space, please use smaller policy."),
    "RegionDisabledException": (
        403,
        (
            "STS is not activated in this region for account:123456789012. "
            "Your account administrator can activate STS in this region using the IAM Console."
        ),
    ),
    "RequestExpired": (400, "Request has expired."),
    "ServiceUnavailable": (503, "Service is unable to handle request."),
    "SignatureDoesNotMatch": (
        403,
        (
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method. Consult the service documentation for details."
        ),
    ),
    "Throttling": (400, "Rate exceeded"),
    "ThrottlingException": (400, "Rate exceeded"),
    "ValidationError": (400, "1 validation error detected"),
}


class Refused(Exception):
    """STS refuses. `message` None: AWS's usual text for the code."""

    def __init__(self, code: str, message: str | None = None, status: int | None = None) -> None:
        usual_status, usual_words = ERRORS.get(code, (400, code))
        self.code = code
        self.message = message if message is not None else usual_words
        self.status = status or usual_status
        super().__init__(f"{code}: {self.message}")

    def body(self) -> bytes:
        kind = "Receiver" if self.status >= 500 else "Sender"
        return (
            f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>{kind}</Type><Code>{self.code}</Code>'
            f"<Message>{escape(self.message)}</Message></Error><RequestId>{REQUEST_ID}</RequestId></ErrorResponse>"
        ).encode()


def answer(action: str, content: str) -> bytes:
    return (
        f'<{action}Response xmlns="{NAMESPACE}"><{action}Result>{content}</{action}Result>'
        f"<ResponseMetadata><RequestId>{REQUEST_ID}</RequestId></ResponseMetadata></{action}Response>"
    ).encode()


def element(name: str, text: object) -> str:
    return f"<{name}>{escape(str(text))}</{name}>"


def iso(posix: float) -> str:
    """As STS writes an Expiration: whole seconds, Z."""
    return datetime.fromtimestamp(int(posix), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Signature:
    """The parts of an `Authorization: AWS4-HMAC-SHA256 …` header."""

    access_key_id: str
    scope: str
    signed_headers: tuple[str, ...]
    signature: str

    @staticmethod
    def read(authorization: str) -> Signature:
        """Raises Refused (IncompleteSignature) on anything else."""
        fields = dict(part.strip().partition("=")[::2] for part in authorization.partition(" ")[2].split(","))
        key, _, scope = fields.get("Credential", "").partition("/")
        if not authorization.startswith("AWS4-HMAC-SHA256 ") or scope.count("/") != 3:
            raise Refused("IncompleteSignature")
        signed = tuple(fields.get("SignedHeaders", "").split(";"))
        return Signature(key, scope, signed, fields.get("Signature", ""))


def check_signature(signature: Signature, secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """SigV4 of a POST to `/`, as STS checks it. Raises Refused: a wrong secret and a wrong clock share a code."""
    stamp = headers.get("x-amz-date", "")
    _check_age(stamp, now)
    canonical = "\n".join(
        [
            "POST",
            "/",
            "",
            *(f"{name}:{' '.join(headers.get(name, '').split())}" for name in signature.signed_headers),
            "",
            ";".join(signature.signed_headers),
            hashlib.sha256(body).hexdigest(),
        ]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{signature.scope}\n{digest}"
    right = hmac.new(_signing_key(secret, signature.scope), to_sign.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(right, signature.signature):
        raise Refused("SignatureDoesNotMatch")


@functools.lru_cache(maxsize=4096)
def _signing_key(secret: str, scope: str) -> bytes:
    key = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _check_age(stamp: str, now: float) -> None:
    try:
        signed_at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise Refused("IncompleteSignature") from None
    if signed_at < now - SKEW_SECONDS:
        limit = f"{_stamp(now - SKEW_SECONDS)} ({_stamp(now)} - 15 min.)"
        raise Refused("SignatureDoesNotMatch", f"Signature expired: {stamp} is now earlier than {limit}")
    if signed_at > now + SKEW_SECONDS:
        limit = f"{_stamp(now + SKEW_SECONDS)} ({_stamp(now)} + 15 min.)"
        raise Refused("SignatureDoesNotMatch", f"Signature not yet current: {stamp} is still later than {limit}")


def _stamp(posix: float) -> str:
    return datetime.fromtimestamp(int(posix), UTC).strftime("%Y%m%dT%H%M%SZ")
