"""What failures of a renewal mean: a code of STS or an exception → class, message and next step.

The query protocol reports short codes (`AccessDenied`), the model long ones (`AccessDeniedException`); both are
matched. Sources: AWS "Common Errors" of the STS API reference; the model of STS in botocore. Exceptions are known by
the names of their classes: `assumed check` needs the words, and not botocore.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from assumed.errors import LONGEST_CODE, RenewalFailed
from assumed.model import FailureKind, Role
from assumed.redact import clean

from .source import BUNDLE_VARIABLES, SourceProfile, bundle_fault

DENIED, DEAD, WRONG = FailureKind.DENIED, FailureKind.SOURCE_DEAD, FailureKind.MISCONFIGURED
LOGIN, UNREACHABLE, PASSING = FailureKind.NEEDS_LOGIN, FailureKind.UNREACHABLE, FailureKind.TRANSIENT
CLOCK, THROTTLED = FailureKind.CLOCK, FailureKind.THROTTLED

CODES = {
    DENIED: "AccessDenied UnauthorizedOperation",
    DEAD: "ExpiredToken InvalidClientTokenId SignatureDoesNotMatch UnrecognizedClient IncompleteSignature "
    "MissingAuthenticationToken InvalidIdentityToken IDPRejectedClaim",
    CLOCK: "RequestExpired RequestTimeTooSkewed",
    THROTTLED: "Throttling Throttled ThrottledException RequestLimitExceeded TooManyRequests SlowDown",
    WRONG: "Validation InvalidParameterValue InvalidParameterCombination MissingParameter MalformedPolicyDocument "
    "PackedPolicyTooLarge RegionDisabled OptInRequired",
}
KINDS = {code: kind for kind, codes in CODES.items() for code in codes.split()}
"""STS's codes, without `Exception` or `Error` at their end."""
BY_STATUS = {429: THROTTLED, 403: DENIED}
CLOCK_MESSAGES = ("signature expired", "signature not yet current", "request has expired")
"""With the code SignatureDoesNotMatch, which otherwise means a wrong secret."""
LENGTH_MESSAGES = ("1 hour session limit for roles assumed by role chaining", "exceeds the maxsessionduration")

EXCEPTIONS = {
    UNREACHABLE: "EndpointConnectionError ConnectTimeoutError ProxyConnectionError SSLError NoAnswerInTime HostHeld",
    DEAD: "NoCredentialsError PartialCredentialsError CredentialRetrievalError",
    WRONG: "ParamValidationError UnusableAddress",
}
OF_EXCEPTION = {name: kind for kind, names in EXCEPTIONS.items() for name in names.split()}
"""Exceptions of botocore and http.py during a call of STS; any other one passes."""
AGAIN = "a running daemon tries again automatically"
CHECK_NETWORK = "check the network, VPN, DNS or proxy"

_BY_PREFIX = (
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("us-isob-", "aws-iso-b"),
    ("us-isof-", "aws-iso-f"),
    ("us-iso-", "aws-iso"),
    ("eu-isoe-", "aws-iso-e"),
    ("eusc-", "aws-eusc"),
)
_EXAMPLES = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1", "aws-eusc": "eusc-de-east-1"}


# -- STS --------------------------------------------------------------------------------------------------------------


def of_sts(error: Any, role: Role, now: float, region: str | None) -> RenewalFailed:
    """What an exception of botocore's means that came of AssumeRole. `now`: POSIX seconds by our clock."""
    if (failure := of_call(error)) is not None:
        return failure
    if type(error).__name__ == "NoRegionError":
        return no_region(role.source())
    if not isinstance(getattr(error, "response", None), Mapping):
        code, message, offset = type(error).__name__, str(error), None
        kind = OF_EXCEPTION.get(code, PASSING)
    else:
        code, message, kind = refusal_of(error)
        server = server_time(error.response)
        offset = None if server is None else server - now
    return RenewalFailed(kind, code, message, advice_for(kind, code, role, offset, region), offset=offset)


def of_call(error: Any) -> RenewalFailed | None:
    """What is the same for every call, whoever makes it; None for any other exception."""
    if type(error).__name__ == "SSLError":
        return _of_tls(str(error), getattr(error, "bundle", None))
    if not hasattr(error, "advice"):
        return None
    return RenewalFailed(OF_EXCEPTION.get(error.code, PASSING), error.code, str(error), error.advice)


def no_region(source: str) -> RenewalFailed:
    """Neither the role nor its source names a region, and AWS signs for one."""
    advice = 'set region in the configuration, e.g. region = "us-east-1"'
    return RenewalFailed(WRONG, "NoRegion", f"no region for {source}", advice)


def refusal_of(error: Any) -> tuple[str, str, FailureKind]:
    """Code, words and class of a refusal (ClientError)."""
    detail, metadata = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
    code = clean(str(detail.get("Code", "Unknown")), LONGEST_CODE)
    message = clean(str(detail.get("Message", ""))) or "no message"
    return code, message, kind_of(code, message, metadata.get("HTTPStatusCode"))


def server_time(response: Mapping[str, Any]) -> float | None:
    """The `Date` of an answer as POSIX seconds; None where it has none that can be read."""
    header = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        return parsedate_to_datetime(header).timestamp() if header else None
    except (ValueError, OverflowError):
        return None


def kind_of(code: str, message: str, http_status: int | None) -> FailureKind:
    """The class of a refusal. Anything unknown is transient: it is asked again, politely."""
    if any(words in message.lower() for words in CLOCK_MESSAGES):
        return CLOCK
    short = code.removesuffix("Exception").removesuffix("Error")
    return KINDS.get(short) or BY_STATUS.get(http_status or 0, PASSING)


def too_long(code: str, message: str) -> bool:
    """Whether STS refused the length of the session alone (chaining cap, MaxSessionDuration)."""
    return code.startswith("Validation") and any(words in message.lower() for words in LENGTH_MESSAGES)


def advice_for(kind: FailureKind, code: str, role: Role, offset: float | None = None, region: str | None = None) -> str:
    """The next step in one sentence. `offset` is STS's clock minus ours in seconds, None where it did not say; `region`
    the one that was asked through, where it is known."""
    off = "wrong" if offset is None else f"{abs(offset):.0f} s {'behind' if offset > 0 else 'ahead of'} AWS's"
    elsewhere = mismatch(role.role_arn, region or role.region) if kind in (DENIED, DEAD, WRONG) else ""
    return elsewhere or first(
        (kind is DENIED, _denied_advice(role)),
        (kind is DEAD, _source_advice(code, role)),
        (kind is WRONG, f"{_correction(code, role)}; until then it is asked again once an hour"),
        (kind is CLOCK, f"this machine's clock is {off}; set it right (chrony, timedatectl set-ntp true)"),
        (kind is THROTTLED, f"AWS asks to go slower; {AGAIN}"),
        (kind is UNREACHABLE, CHECK_NETWORK),
        (True, AGAIN),
    )


def first(*cases: tuple[object, str]) -> str:
    """The text of the first case that applies."""
    return next(text for applies, text in cases if applies)


def _denied_advice(role: Role) -> str:
    if role.web_identity_token_file is not None:
        return (
            f"check that the trust policy of {role.role_arn} allows sts:AssumeRoleWithWebIdentity to the issuer, "
            f"audience and subject of the token in {role.web_identity_token_file}"
        )
    source = _signer(role)
    optional = {"sts:TagSession": role.tags, "sts:SetSourceIdentity": role.source_identity}
    actions = ["sts:AssumeRole", *(action for action, used in optional.items() if used)]
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
    source, token = _signer(role), role.web_identity_token_file
    unknown = f"AWS does not know the access key of {source} (deleted, inactive or mistyped)"
    configure = f"run: aws configure --profile {source}"
    return first(
        (role.parent, f"the session of {role.parent}, which signs for it, is no longer accepted; it is renewed first"),
        (token, f"the token in {token} is not accepted; have its issuer write a new one"),
        (
            role.credential_source == "Environment",
            "AWS does not accept the keys that the daemon was started with; start it again with keys that are good",
        ),
        (role.credential_source, f"AWS does not accept the keys of {source}; they are asked for anew"),
        (
            code.startswith("ExpiredToken"),
            f"the session of the source {source} has expired; log in again (aws sso login, or paste new keys)",
        ),
        (code.startswith("SignatureDoesNotMatch"), f"the secret key of {source} is wrong; {configure}"),
        (True, f"{unknown}; {configure}"),
    )


def _correction(code: str, role: Role) -> str:
    region = role.region or "that region"
    return first(
        (
            code.startswith(("RegionDisabled", "OptInRequired")),
            f"activate STS in {region} in the account's IAM settings, or set another region",
        ),
        (code.startswith("PackedPolicyTooLarge"), f"shorten policy, policy_arns or tags of {role.profile}"),
        (True, f"correct the role {role.profile} in the configuration"),
    )


def _signer(role: Role) -> str:
    """What signs, as a person calls it."""
    if role.credential_source is not None:
        return f"this machine's {role.credential_source}"
    return role.source_profile or "default"


def mismatch(role_arn: str, region: str | None) -> str:
    """That a role is asked for through the region of another partition, whose keys mean nothing there, and what to do;
    empty where it is not."""
    partition = role_arn.split(":")[1] if role_arn.count(":") >= 2 else "aws"
    name = f"{(region or '').removesuffix('-global')}-"
    other = next((of_region for prefix, of_region in _BY_PREFIX if name.startswith(prefix)), "aws")
    if region is None or other == partition:
        return ""
    example = _EXAMPLES.get(partition)
    hint = f', e.g. region = "{example}"' if example else ""
    return (
        f"the role is in partition {partition}, and {region} is a region of {other}: set a "
        f"region of {partition}{hint}, and sign with keys of an account there"
    )


# -- MFA: no advice here may cost a user the long-term keys ------------------------------------------------------------


def cannot_be_typed(serial: str) -> str:
    """What to do where the device gives no code at all (a security key or passkey); empty where it does."""
    is_key = ":u2f/" in serial or ":fido" in serial
    advice = (
        f"{serial} is a security key: it gives no code, so no session can be made with it. Register a virtual MFA "
        "device (an authenticator app) for that user and name it in mfa_serial, or sign in by IAM Identity Center"
    )
    return advice if is_key else ""


def get_session(serial: str, source: str, setting: str, *, without: bool = False) -> str:
    """How to sign with a session that carries MFA. It goes into a profile of its own: written into `source` it would
    replace the long-term keys, which exist nowhere else.

    `setting`: what has to name that profile then; `without`: whether mfa_serial has to go from there, because SDKs
    prompt as long as it is set.
    """
    source = source or "KEYS"
    other, gone = f"{source}-mfa", " and delete its mfa_serial" if without else ""
    return (
        f"run: aws sts get-session-token --profile {source} --serial-number {serial} --token-code CODE; save its three "
        f"values as another profile, {other} (never as {source}, whose keys the next session needs); then set "
        f'{setting} to "{other}"{gone}. Such a session ends after 36 hours at most'
    )


def needs_code(root: Role, serial: str, profile: SourceProfile | None) -> RenewalFailed:
    """A role of the AWS files on the way to the source's keys asks for an MFA code."""
    asking = profile.asking if profile else None
    name, source = (asking.profile, asking.source) if asking else (str(root.source_profile), "")
    message = f"profile {name} needs a code of {serial} at each renewal, and assumed cannot prompt for one"
    advice = cannot_be_typed(serial) or get_session(serial, source, f"source_profile of profile {name}", without=True)
    return RenewalFailed(LOGIN, "MFARequired", message, advice)


def needs_session(role: Role) -> RenewalFailed:
    """A managed role demands MFA, and long-term keys, which carry none, sign for it: STS could only deny it."""
    serial, source = str(role.mfa_serial), role.source_profile
    where = source or str(role.credential_source)
    advice = (
        get_session(serial, source, "source_profile of this role")
        if source
        else f"start the daemon with a session of: aws sts get-session-token --serial-number {serial} --token-code CODE"
    )
    message = f"{role.role_arn} demands MFA with {serial}, and {where} holds long-term keys, which carry none"
    return RenewalFailed(LOGIN, "MFARequired", message, cannot_be_typed(serial) or advice)


# -- TLS: most often the CA bundle, a file on this machine -------------------------------------------------------------


def _of_tls(text: str, bundle: str | None) -> RenewalFailed:
    fault = bundle_fault(bundle) if bundle else ""
    named = [name for name in BUNDLE_VARIABLES if os.environ.get(name) == bundle] or ["ca_bundle in ~/.aws/config"]
    host = text.partition("://")[2].partition("/")[0] or "the server"
    reason = text.rpartition("certificate verify failed: ")[2].partition(" (_ssl")[0]
    untrusted = f"the certificate of {host} is not trusted ({reason})"
    inspected = "if a proxy inspects TLS, set AWS_CA_BUNDLE to a file with its CA; else check clock and endpoint"
    cases = (
        (
            fault,
            "CABundle",
            f"the CA bundle {bundle} {fault}, so no certificate can be checked",
            f"correct {named[0]}, or unset it to trust the machine's own CAs",
        ),
        (
            "CERTIFICATE_VERIFY_FAILED" not in text,
            "SSLError",
            text,
            "check that the endpoint or proxy speaks TLS at that port",
        ),
        (bundle, "Certificate", f"{untrusted} by the CA bundle {bundle}", f"add the CA that signs it to {bundle}"),
        (True, "Certificate", untrusted, inspected),
    )
    return next(RenewalFailed(UNREACHABLE, *words) for applies, *words in cases if applies)
