"""Why a source gives no keys: what its provider raised → a classified failure and the next step for a person."""

from __future__ import annotations

from botocore import exceptions as boto

from assumed.core.errors import RenewalFailed
from assumed.core.model import FailureKind, Role
from assumed.core.refusals import kind_of

from . import http
from .sts import UNREACHABLE, code_and_message

NEEDS_LOGIN = (
    "SSOError",
    "SSOTokenLoadError",
    "UnauthorizedSSOTokenError",
    "PendingAuthorizationExpiredError",
    "TokenRetrievalError",
    "LoginError",
    "LoginRefreshRequired",
    "RefreshWithMFAUnsupportedError",
)
NETWORK = (*UNREACHABLE, boto.ReadTimeoutError, boto.ConnectionClosedError)
OWN_FAULT = frozenset({FailureKind.DENIED, FailureKind.MISCONFIGURED})
"""A source whose own role is refused is dead for who needs it; a refusal of another kind says what to wait for."""


def needs_code(root: Role, serial: str) -> RenewalFailed:
    """The source's own role asks for an MFA code, which nobody is there to type."""
    return RenewalFailed(
        FailureKind.NEEDS_LOGIN,
        "MFARequired",
        f"profile {root.source_profile} asks for the code of {serial} each time",
        "name a source that signs by itself, e.g. a profile with a session of `aws sts get-session-token`",
    )


def helper_failure(root: Role, code: str, what: str) -> RenewalFailed:
    """A `credential_process` did not do its part. Its own words are not repeated."""
    return RenewalFailed(
        FailureKind.SOURCE_DEAD,
        code,
        f"{root.source()}: its credential_process {what}",
        f"run the credential_process of profile {root.source_profile} by hand and see what it says",
    )


def source_failure(error: Exception, root: Role) -> RenewalFailed:
    """Any other exception of botocore's providers."""
    code = type(error).__name__
    text = (str(error).strip().splitlines() or ["no reason given"])[0]
    message = f"{root.source()}: {text}"
    profile = root.source_profile or "default"
    if (explained := http.explained(error)) is not None:
        return explained
    if code in NEEDS_LOGIN:
        command = "aws login" if code.startswith("Login") else "aws sso login"
        return RenewalFailed(FailureKind.NEEDS_LOGIN, code, message, f"run: {command} --profile {profile}")
    if isinstance(error, boto.ProfileNotFound):
        return RenewalFailed(FailureKind.SOURCE_DEAD, code, message, f"run: aws configure --profile {profile}")
    if isinstance(error, NETWORK):
        return RenewalFailed(FailureKind.UNREACHABLE, code, message, "check the network; it is tried again by itself")
    kind, advice = FailureKind.SOURCE_DEAD, _mending(root)
    if isinstance(error, boto.ClientError):
        code, said = code_and_message(error)
        kind = kind_of(code, said, error.response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
        kind = FailureKind.SOURCE_DEAD if kind in OWN_FAULT else kind
    return RenewalFailed(kind, code, message, advice)


def _mending(root: Role) -> str:
    if root.source_profile is None:
        return "look at what offers this machine its credentials; it is asked again by itself"
    return f"mend profile {root.source_profile}; try: aws sts get-caller-identity --profile {root.source_profile}"
