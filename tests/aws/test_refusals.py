"""Every refusal of STS → its class, and a next step that names what it is about (STS API reference, Common Errors)."""

from __future__ import annotations

import pytest

from assumed.aws.refusals import advice_for, kind_of, too_long
from assumed.model import FailureKind, Role
from engine.make import role

WRONG_SECRET = "The request signature we calculated does not match the signature you provided. Check your AWS Secret"
SLOW_CLOCK = "Signature expired: 20261123T100000Z is now earlier than 20261123T101500Z (20261123T103000Z - 15 min.)"
FAST_CLOCK = "Signature not yet current: 20261123T110000Z is still later than 20261123T104500Z"
CHAINED = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
MAXIMUM = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."

# (code, long form, HTTP status, kind)
CODES = [
    ("AccessDenied", "AccessDeniedException", 403, FailureKind.DENIED),
    ("ExpiredToken", "ExpiredTokenException", 403, FailureKind.SOURCE_DEAD),
    ("InvalidClientTokenId", "InvalidClientTokenIdException", 403, FailureKind.SOURCE_DEAD),
    ("SignatureDoesNotMatch", "SignatureDoesNotMatchException", 403, FailureKind.SOURCE_DEAD),
    ("UnrecognizedClient", "UnrecognizedClientException", 403, FailureKind.SOURCE_DEAD),
    ("IncompleteSignature", "IncompleteSignatureException", 403, FailureKind.SOURCE_DEAD),
    ("MissingAuthenticationToken", "MissingAuthenticationTokenException", 403, FailureKind.SOURCE_DEAD),
    ("InvalidIdentityToken", "InvalidIdentityTokenException", 400, FailureKind.SOURCE_DEAD),
    ("IDPRejectedClaim", "IDPRejectedClaimException", 403, FailureKind.SOURCE_DEAD),
    ("RequestExpired", "RequestExpiredException", 400, FailureKind.CLOCK),
    ("RequestTimeTooSkewed", "RequestTimeTooSkewedException", 403, FailureKind.CLOCK),
    ("Throttling", "ThrottlingException", 400, FailureKind.THROTTLED),
    ("ThrottledException", "ThrottledException", 429, FailureKind.THROTTLED),
    ("RequestLimitExceeded", "RequestLimitExceededException", 400, FailureKind.THROTTLED),
    ("TooManyRequests", "TooManyRequestsException", 400, FailureKind.THROTTLED),
    ("ValidationError", "ValidationException", 400, FailureKind.MISCONFIGURED),
    ("MalformedPolicyDocument", "MalformedPolicyDocumentException", 400, FailureKind.MISCONFIGURED),
    ("PackedPolicyTooLarge", "PackedPolicyTooLargeException", 400, FailureKind.MISCONFIGURED),
    ("RegionDisabled", "RegionDisabledException", 403, FailureKind.MISCONFIGURED),
    ("OptInRequired", "OptInRequiredException", 403, FailureKind.MISCONFIGURED),
    ("IDPCommunicationError", "IDPCommunicationErrorException", 400, FailureKind.TRANSIENT),
    ("InternalFailure", "InternalFailureException", 500, FailureKind.TRANSIENT),
    ("ServiceUnavailable", "ServiceUnavailableException", 503, FailureKind.TRANSIENT),
]


@pytest.mark.parametrize(("short", "long", "status", "kind"), CODES, ids=[code[0] for code in CODES])
def test_a_code_means_the_same_in_its_short_and_its_long_form(
    short: str, long: str, status: int, kind: FailureKind
) -> None:
    assert kind_of(short, "some words", status) is kind
    assert kind_of(long, "some words", status) is kind


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (WRONG_SECRET, FailureKind.SOURCE_DEAD),
        (SLOW_CLOCK, FailureKind.CLOCK),
        (FAST_CLOCK, FailureKind.CLOCK),
    ],
)
def test_a_wrong_clock_is_not_taken_for_a_wrong_secret(message: str, kind: FailureKind) -> None:
    assert kind_of("SignatureDoesNotMatch", message, 403) is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (429, FailureKind.THROTTLED),
        (403, FailureKind.DENIED),
        (400, FailureKind.TRANSIENT),
        (500, FailureKind.TRANSIENT),
        (None, FailureKind.TRANSIENT),
    ],
)
def test_an_unknown_code_goes_by_its_http_status(status: int | None, kind: FailureKind) -> None:
    assert kind_of("NeverHeardOf", "some words", status) is kind


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        ("ValidationError", CHAINED, True),
        ("ValidationError", MAXIMUM, True),
        ("ValidationException", MAXIMUM, True),
        ("ValidationError", "1 validation error detected: Value 'a b' at 'roleSessionName'", False),
        ("AccessDenied", MAXIMUM, False),
    ],
)
def test_a_refusal_for_length_alone_is_told_from_other_validation_errors(
    code: str, message: str, expected: bool
) -> None:
    assert too_long(code, message) is expected


ROLE = role("my-role", source_profile="laptop")
KEPT_CHILD = role("child", source_profile="hub", parent="hub")
WEB = Role("pod", "arn:aws:iam::123456789012:role/pod", web_identity_token_file="/var/run/token")
MACHINE = Role("box", "arn:aws:iam::123456789012:role/box", credential_source="Ec2InstanceMetadata")
SHELL = Role("ci", "arn:aws:iam::123456789012:role/ci", credential_source="Environment")


@pytest.mark.parametrize(
    ("kind", "code", "about", "words"),
    [
        (FailureKind.DENIED, "AccessDenied", ROLE, ["laptop", ROLE.role_arn, "no external_id"]),
        (FailureKind.DENIED, "AccessDenied", role(external_id="x-1"), ["the external_id given", "default"]),
        (FailureKind.DENIED, "AccessDenied", role(tags=(("team", "a"),)), ["sts:TagSession"]),
        (FailureKind.DENIED, "AccessDenied", role(source_identity="natan"), ["sts:SetSourceIdentity"]),
        (FailureKind.DENIED, "AccessDenied", WEB, ["AssumeRoleWithWebIdentity", "/var/run/token", WEB.role_arn]),
        (FailureKind.DENIED, "AccessDenied", MACHINE, ["this machine's Ec2InstanceMetadata", MACHINE.role_arn]),
        (FailureKind.SOURCE_DEAD, "ExpiredToken", ROLE, ["laptop", "aws sso login"]),
        (FailureKind.SOURCE_DEAD, "SignatureDoesNotMatch", ROLE, ["aws configure --profile laptop"]),
        (FailureKind.SOURCE_DEAD, "InvalidClientTokenId", ROLE, ["access key of laptop", "--profile laptop"]),
        (FailureKind.SOURCE_DEAD, "ExpiredToken", KEPT_CHILD, ["hub", "renewed first"]),
        (FailureKind.SOURCE_DEAD, "InvalidIdentityToken", WEB, ["/var/run/token", "issuer"]),
        (FailureKind.SOURCE_DEAD, "InvalidClientTokenId", SHELL, ["started with", "start it again"]),
        (FailureKind.SOURCE_DEAD, "ExpiredToken", MACHINE, ["Ec2InstanceMetadata", "anew"]),
        (FailureKind.MISCONFIGURED, "ValidationError", ROLE, ["my-role", "once an hour"]),
        (FailureKind.MISCONFIGURED, "PackedPolicyTooLarge", ROLE, ["my-role", "tags"]),
        (FailureKind.MISCONFIGURED, "RegionDisabledException", role(region="me-south-1"), ["STS in me-south-1"]),
        (FailureKind.THROTTLED, "Throttling", ROLE, ["slower", "automatically"]),
        (FailureKind.TRANSIENT, "InternalFailure", ROLE, ["automatically"]),
    ],
)
def test_the_advice_names_what_it_is_about(kind: FailureKind, code: str, about: Role, words: list[str]) -> None:
    advice = advice_for(kind, code, about, None)

    assert [word for word in words if word not in advice] == [], advice


@pytest.mark.parametrize("about", [WEB, MACHINE, SHELL])
@pytest.mark.parametrize("kind", [FailureKind.DENIED, FailureKind.SOURCE_DEAD])
def test_a_source_that_is_no_profile_is_not_to_be_mended_by_aws_configure(about: Role, kind: FailureKind) -> None:
    assert "aws configure" not in advice_for(kind, "InvalidClientTokenId", about, None)


@pytest.mark.parametrize(
    ("offset", "words"),
    [(1800.0, "1800 s behind AWS's"), (-95.4, "95 s ahead of AWS's"), (None, "this machine's clock is wrong")],
)
def test_a_wrong_clock_is_said_with_its_direction_and_never_with_an_offset_nobody_knows(
    offset: float | None, words: str
) -> None:
    assert words in advice_for(FailureKind.CLOCK, "SignatureDoesNotMatch", ROLE, offset)
