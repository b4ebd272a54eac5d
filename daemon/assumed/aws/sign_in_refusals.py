"""What the servers of a login answer (IAM Identity Center's portal, its OIDC service, AWS sign-in) → class, meaning,
and the next step.

Codes are those of botocore's models `sso`, `sso-oidc` and `signin`. The portal's 403 is in none of them, and real.
"""

from __future__ import annotations

from dataclasses import dataclass

from assumed.model import FailureKind

PASSES = "this usually passes within minutes; a running daemon tries again by itself"
LOG_IN = "run: {login}"
HELPER_TIMEOUT = "HelperTimeout"
"""Code of a `credential_process` that was stopped at its deadline."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The last answer of such a server that was no success, or no answer of AWS's at all."""

    service: str
    """botocore's name of the service: sso, sso-oidc or signin."""
    host: str
    status: int
    code: str
    message: str
    is_page: bool
    """Whether it was a page for a browser: captive portals and proxies answer so, in the place of AWS."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What to make of it. The texts have places for {login}, {profile}, {account}, {role}, {host} and {status}."""

    kind: FailureKind
    message: str
    advice: str


_ENDED = Meaning(FailureKind.NEEDS_LOGIN, "the login has ended or was revoked", LOG_IN)
_CLIENT = Meaning(FailureKind.NEEDS_LOGIN, "the login's client registration has ended", LOG_IN)
_NOT_ASSIGNED = (
    "have it assigned in IAM Identity Center, or correct sso_account_id and sso_role_name of profile {profile}"
)
_PASSING = Meaning(FailureKind.TRANSIENT, "{host} has a fault of its own (HTTP {status})", PASSES)
_SLOWER = Meaning(FailureKind.THROTTLED, "{host} is asked too often (HTTP {status})", PASSES)
_PAGE = Meaning(
    FailureKind.UNREACHABLE,
    "a web page came instead of {host}'s answer (HTTP {status}): a captive portal or a proxy is in between",
    "sign in to this network in a browser, or correct HTTPS_PROXY",
)
_REGION = "correct sso_region (and sso_start_url), which must be those of the IAM Identity Center instance"

MEANINGS: dict[tuple[str, str], Meaning] = {
    ("sso", "UnauthorizedException"): _ENDED,
    ("sso", "ForbiddenException"): Meaning(
        FailureKind.SOURCE_DEAD, "permission set {role} is not assigned to you in account {account}", _NOT_ASSIGNED
    ),
    ("sso", "ResourceNotFoundException"): Meaning(
        FailureKind.SOURCE_DEAD, "there is no permission set {role}, or no account {account}, for you", _NOT_ASSIGNED
    ),
    ("sso", "InvalidRequestException"): Meaning(
        FailureKind.SOURCE_DEAD,
        "the portal refuses the request for permission set {role} in account {account}",
        "correct sso_account_id and sso_role_name of profile {profile}",
    ),
    ("sso-oidc", "InvalidGrantException"): _ENDED,
    ("sso-oidc", "ExpiredTokenException"): _ENDED,
    ("sso-oidc", "InvalidClientException"): _CLIENT,
    ("sso-oidc", "UnauthorizedClientException"): _CLIENT,
    ("sso-oidc", "UnsupportedGrantTypeException"): _CLIENT,
    ("sso-oidc", "InvalidRequestException"): Meaning(
        FailureKind.SOURCE_DEAD, "the login is of another region or instance than the profile's sso_region", _REGION
    ),
    ("signin", "ValidationException"): Meaning(
        FailureKind.SOURCE_DEAD,
        "the login is of another region than profile {profile}",
        "set region of profile {profile} to the one of the login, or {login}",
    ),
    ("signin", "AccessDeniedException"): _ENDED,
}


def meaning(answer: Answered) -> Meaning:
    """What an answer means. Without one of AWS's codes its status decides; what is left calls for a login."""
    if answer.is_page or 300 <= answer.status < 400:
        return _PAGE
    found = MEANINGS.get((answer.service, answer.code))
    if found is not None:
        return found
    if answer.status == 429 or "SlowDown" in answer.code or "TooManyRequests" in answer.code:
        return _SLOWER
    if answer.status >= 500:
        return _PASSING
    if answer.service == "sso" and answer.status == 403:
        return MEANINGS["sso", "ForbiddenException"]
    if answer.status < 300:
        return Meaning(FailureKind.TRANSIENT, "{host} answered with something else than AWS does", PASSES)
    return _ENDED
