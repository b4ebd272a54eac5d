"""What STS's refusals mean: error code and message → class of failure and the next step for a person.

The query protocol reports short codes (`AccessDenied`), the model long ones (`AccessDeniedException`);
both are matched. Sources: AWS "Common Errors" of the STS API reference; the model of STS in botocore.
"""

from __future__ import annotations

from assumed.model import FailureKind, Role

from .partitions import mismatch

# A message of either kind comes with the code SignatureDoesNotMatch, which otherwise means a wrong secret:
# reporting a wrong clock as a bad secret sends people after the wrong fault (control-tower #51).
CLOCK_MESSAGES = ("signature expired", "signature not yet current", "request has expired")

LENGTH_MESSAGES = ("1 hour session limit for roles assumed by role chaining", "exceeds the maxsessionduration")

OF_THE_REQUEST = frozenset({FailureKind.DENIED, FailureKind.SOURCE_DEAD, FailureKind.MISCONFIGURED})
"""Refusals that a request through the wrong partition is answered with."""

KINDS: dict[str, FailureKind] = {
    "AccessDenied": FailureKind.DENIED,
    "UnauthorizedOperation": FailureKind.DENIED,
    "ExpiredToken": FailureKind.SOURCE_DEAD,
    "InvalidClientTokenId": FailureKind.SOURCE_DEAD,
    "SignatureDoesNotMatch": FailureKind.SOURCE_DEAD,
    "UnrecognizedClient": FailureKind.SOURCE_DEAD,
    "IncompleteSignature": FailureKind.SOURCE_DEAD,
    "MissingAuthenticationToken": FailureKind.SOURCE_DEAD,
    "InvalidIdentityToken": FailureKind.SOURCE_DEAD,
    "IDPRejectedClaim": FailureKind.SOURCE_DEAD,
    "RequestExpired": FailureKind.CLOCK,
    "RequestTimeTooSkewed": FailureKind.CLOCK,
    "Throttling": FailureKind.THROTTLED,
    "ThrottledException": FailureKind.THROTTLED,
    "RequestLimitExceeded": FailureKind.THROTTLED,
    "TooManyRequests": FailureKind.THROTTLED,
    "SlowDown": FailureKind.THROTTLED,
    "ValidationError": FailureKind.MISCONFIGURED,
    "InvalidParameterValue": FailureKind.MISCONFIGURED,
    "InvalidParameterCombination": FailureKind.MISCONFIGURED,
    "MissingParameter": FailureKind.MISCONFIGURED,
    "MalformedPolicyDocument": FailureKind.MISCONFIGURED,
    "PackedPolicyTooLarge": FailureKind.MISCONFIGURED,
    "RegionDisabled": FailureKind.MISCONFIGURED,
    "OptInRequired": FailureKind.MISCONFIGURED,
}


def kind_of(code: str, message: str, http_status: int | None) -> FailureKind:
    """The class of a refusal. Anything unknown is transient: it is asked again, politely."""
    lowered = message.lower()
    if any(words in lowered for words in CLOCK_MESSAGES):
        return FailureKind.CLOCK
    short = code.removesuffix("Exception").removesuffix("Error") if code not in KINDS else code
    kind = KINDS.get(code) or KINDS.get(short) or KINDS.get(short + "Error")
    if kind is not None:
        return kind
    if http_status == 429:
        return FailureKind.THROTTLED
    if http_status == 403:
        return FailureKind.DENIED
    return FailureKind.TRANSIENT


def too_long(code: str, message: str) -> bool:
    """Whether STS refused the length of the session alone (chaining cap, MaxSessionDuration)."""
    lowered = message.lower()
    return code.startswith("Validation") and any(words in lowered for words in LENGTH_MESSAGES)


def advice_for(kind: FailureKind, code: str, role: Role, offset: float | None, region: str | None = None) -> str:
    """The next step in one sentence. `offset` is STS's clock minus ours in seconds, None where it did not say; `region`
    the one that was asked through, where it is known."""
    elsewhere = mismatch(role.role_arn, region or role.region)
    if elsewhere and kind in OF_THE_REQUEST:
        return elsewhere
    match kind:
        case FailureKind.DENIED:
            return _denied_advice(role)
        case FailureKind.CLOCK:
            return f"this machine's clock is {_off(offset)}; set it right (chrony, timedatectl set-ntp true)"
        case FailureKind.SOURCE_DEAD:
            return _source_advice(code, role)
        case FailureKind.THROTTLED:
            return "AWS asks to go slower; it is tried again by itself"
        case FailureKind.MISCONFIGURED:
            return f"{_correction(code, role)}; until then it is asked again once an hour"
        case _:
            return "it is tried again by itself"


def _denied_advice(role: Role) -> str:
    if role.web_identity_token_file is not None:
        return (
            f"check that the trust policy of {role.role_arn} allows sts:AssumeRoleWithWebIdentity to the issuer, "
            f"audience and subject of the token in {role.web_identity_token_file}"
        )
    source = _signer(role)
    actions = ["sts:AssumeRole"]
    actions += ["sts:TagSession"] if role.tags else []
    actions += ["sts:SetSourceIdentity"] if role.source_identity else []
    external = (
        "the external_id given is the one that its trust policy names"
        if role.external_id
        else "its trust policy asks for no external_id (none is configured)"
    )
    return (
        f"check that {source} may {' and '.join(actions)} on {role.role_arn}, "
        f"that the role's trust policy names {source}'s principal, and that {external}"
    )


def _source_advice(code: str, role: Role) -> str:
    source = _signer(role)
    if role.parent is not None:
        return f"the session of {role.parent}, which signs for it, is no longer accepted; it is renewed first"
    if role.web_identity_token_file is not None:
        return f"the token in {role.web_identity_token_file} is not accepted; have its issuer write a new one"
    if role.credential_source == "Environment":
        return "AWS does not accept the keys that the daemon was started with; start it again with keys that are good"
    if role.credential_source is not None:
        return f"AWS does not accept the keys of {source}; they are asked for anew"
    if code.startswith("ExpiredToken"):
        return f"the session of the source {source} has expired; log in again (aws sso login, or paste new keys)"
    if code.startswith("SignatureDoesNotMatch"):
        return f"the secret key of {source} is wrong; run: aws configure --profile {source}"
    return (
        f"AWS does not know the access key of {source} (deleted, inactive or mistyped); "
        f"run: aws configure --profile {source}"
    )


def _correction(code: str, role: Role) -> str:
    if code.startswith(("RegionDisabled", "OptInRequired")):
        return f"activate STS in {role.region or 'that region'} in the account's IAM settings, or set another region"
    if code.startswith("PackedPolicyTooLarge"):
        return f"shorten policy, policy_arns or tags of {role.profile}"
    return f"correct the role {role.profile} in the configuration"


def _signer(role: Role) -> str:
    """What signs, as a person calls it."""
    if role.credential_source is not None:
        return f"this machine's {role.credential_source}"
    return role.source_profile or "default"


def _off(offset: float | None) -> str:
    if offset is None:
        return "wrong"
    return f"{abs(offset):.0f} s {'behind' if offset > 0 else 'ahead of'} AWS's"
