"""Why a source gives no keys: what its provider raised, what a login's server answered and what the files hold → class,
message and next step. Codes of servers are those of botocore's models `sso`, `sso-oidc` and `signin`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assumed.engine.groups import HELPER_TIMEOUT
from assumed.errors import RenewalFailed
from assumed.model import FailureKind, Role

from .files import Sections
from .refusals import (
    CHECK_NETWORK,
    DEAD,
    DENIED,
    EXCEPTIONS,
    LOGIN,
    PASSING,
    THROTTLED,
    UNREACHABLE,
    WRONG,
    first,
    of_call,
    refusal_of,
)
from .source import MISSING, SourceProfile, login_fault, read_token

NETWORK = {*EXCEPTIONS[UNREACHABLE].split(), "ReadTimeoutError", "ConnectionClosedError"}
"""Exceptions by which a server cannot be reached."""
NEEDS_LOGIN = {
    *("SSOError", "SSOTokenLoadError", "UnauthorizedSSOTokenError", "PendingAuthorizationExpiredError"),
    *("LoginError", "LoginTokenLoadError", "LoginRefreshRequired", "RefreshWithMFAUnsupportedError"),
    "TokenRetrievalError",
}
UNEXPECTED = (LookupError, TypeError, ValueError, AttributeError)
"""What botocore's providers are led to by a file or an answer that is not what they expect."""
PASSES = "this usually passes within minutes; a running daemon tries again automatically"
ISSUER = "see to its issuer (Kubernetes, the CI job), which has to write a token there"
Answer = tuple[FailureKind, str, str, str]
"""Class, code, message and advice; the texts have places for {login}, {profile}, {account} and {role}."""


Meaning = tuple[FailureKind, str, str]
"""Class, message, advice. The texts have places for {login}, {profile}, {account}, {role}, {host} and {status}."""

_LOG_IN = "run: {login}"
_ENDED: Meaning = LOGIN, "the login has ended or was revoked", _LOG_IN
_CLIENT: Meaning = LOGIN, "the login's client registration has ended", _LOG_IN
_SETTINGS = "correct sso_account_id and sso_role_name of profile {profile}"
_ASSIGNED: Meaning = (
    DEAD,
    "permission set {role} is not assigned to you in account {account}",
    f"have it assigned in IAM Identity Center, or {_SETTINGS}",
)
_SLOWER: Meaning = THROTTLED, "{host} is asked too often (HTTP {status})", PASSES
_PAGE: Meaning = (
    UNREACHABLE,
    "a web page came instead of {host}'s answer (HTTP {status}): a captive portal or a proxy is in between",
    "sign in to this network in a browser, or correct HTTPS_PROXY",
)
MEANINGS: dict[tuple[str, str | int], Meaning] = {
    ("sso", "UnauthorizedException"): _ENDED,
    ("sso", "ForbiddenException"): _ASSIGNED,
    ("sso", 403): _ASSIGNED,
    ("sso", "ResourceNotFoundException"): (
        DEAD,
        "there is no permission set {role}, or no account {account}, for you",
        _ASSIGNED[2],
    ),
    ("sso", "InvalidRequestException"): (
        DEAD,
        "the portal refuses the request for permission set {role} in account {account}",
        _SETTINGS,
    ),
    ("sso-oidc", "InvalidGrantException"): _ENDED,
    ("sso-oidc", "ExpiredTokenException"): _ENDED,
    ("sso-oidc", "InvalidClientException"): _CLIENT,
    ("sso-oidc", "UnauthorizedClientException"): _CLIENT,
    ("sso-oidc", "UnsupportedGrantTypeException"): _CLIENT,
    ("sso-oidc", "SlowDownException"): _SLOWER,
    ("sso-oidc", "InvalidRequestException"): (
        DEAD,
        "the login is of another region or instance than the profile's sso_region",
        "correct sso_region (and sso_start_url), which must be those of the IAM Identity Center instance",
    ),
    ("signin", "ValidationException"): (
        DEAD,
        "the login is of another region than profile {profile}",
        "set region of profile {profile} to the one of the login, or {login}",
    ),
    ("signin", "TooManyRequestsError"): _SLOWER,
    ("", 429): _SLOWER,
    ("", 2): (PASSING, "{host} answered with something else than AWS does", PASSES),
    ("", 3): _PAGE,
    ("", 4): _ENDED,
    ("", 5): (PASSING, "{host} has a fault of its own (HTTP {status})", PASSES),
}
"""(service, code), (service, status), status, or its first digit: the first that is there counts."""


def answered(service: str, http_response: Any, parsed: Any) -> Answer | None:
    """What an answer of a login's server means, as botocore's event `after-call` shows it; None for a success."""
    body, status = bytes(http_response.content[:64]).lstrip(), http_response.status_code
    is_page = body.startswith(b"<") or "html" in str(http_response.headers.get("content-type", "")).lower()
    if status < 300 and not is_page and body:
        return None
    error = (parsed.get("Error") if isinstance(parsed, dict) else None) or {}
    code, text = str(error.get("Code") or ""), _first_line(error.get("Message") or "")[:200]
    keys = ("", 3) if is_page else (service, code), (service, status), ("", status), ("", status // 100)
    kind, message, advice = next((MEANINGS[key] for key in keys if key in MEANINGS), _ENDED)
    host = str(http_response.url).split("://")[-1].split("/")[0]
    message = _filled(message, {"host": host, "status": str(status)})
    message += f" (AWS: {text})" if text and not is_page else ""
    return kind, "WebPage" if is_page else code or f"HTTP{status}", message, advice


def helper_failure(root: Role, code: str, what: str) -> RenewalFailed:
    """A `credential_process` did not do its part. Its own words are not repeated."""
    advice = f"run the credential_process of profile {root.source_profile} by hand and see what it says"
    return RenewalFailed(DEAD, code, f"{root.source()}: its credential_process {what}", advice)


def source_timeout(root: Role, seconds: float, *, by_helper: bool) -> RenewalFailed:
    """No keys in time. A `credential_process` was killed then: it waits for a person, or takes longer than it may."""
    if not by_helper:
        message = f"{root.source()} gave no credentials within {seconds:g} s"
        return RenewalFailed(DEAD, "SourceTimeout", message, "check the network, VPN or proxy")
    return RenewalFailed(
        LOGIN,
        HELPER_TIMEOUT,
        f"{root.source()}: its credential_process was stopped after {seconds:g} s without an answer; it probably waits "
        "for a person (a browser, a code), so it is not started again",
        f"run the credential_process of profile {root.source_profile} in a terminal, then: assumed refresh (without a "
        "daemon: assumed once); if it only needs longer, raise helper_timeout_seconds",
    )


def of_source(error: Exception, root: Role, profile: SourceProfile | None, answer: Answer | None) -> RenewalFailed:
    """What an exception of botocore's providers means. `answer`: the last one of a login's server, if it was none."""
    code = type(error).__name__
    return (
        of_call(error)
        or (_of_network(error, root) if code in NETWORK else None)
        or _of_files(root, profile, is_login=code in NEEDS_LOGIN or isinstance(error, UNEXPECTED))
        or (_of_answer(answer, root, profile) if answer is not None else None)
        or _of_exception(error, root, profile)
    )


def is_half_written(error: Exception, profile: SourceProfile | None) -> bool:
    """Whether an exception comes of a login's cache that is empty or no JSON."""
    possible = isinstance(error, UNEXPECTED) or type(error).__name__ in NEEDS_LOGIN
    return possible and any(login_fault(path) not in ("", MISSING) for path in _paths(profile, logins=True))


def _of_network(error: Exception, root: Role) -> RenewalFailed:
    text = f"{root.source()}: {_first_line(error)}"
    if "-fips." in text:
        message = f"{root.source()}: FIPS endpoints are asked for, and IAM Identity Center has none in this region"
        advice = "unset AWS_USE_FIPS_ENDPOINT where the daemon runs, and use_fips_endpoint of the profile"
        return RenewalFailed(WRONG, "FIPSEndpoint", message, advice)
    return RenewalFailed(UNREACHABLE, type(error).__name__, text, f"{CHECK_NETWORK}; a running daemon tries again")


def _of_files(root: Role, profile: SourceProfile | None, *, is_login: bool) -> RenewalFailed | None:
    """A file that the source takes something from, and that does not hold it."""
    for path in _paths(profile, logins=False):
        try:
            token_in(path)
        except RenewalFailed as failure:
            return failure
    for path in _paths(profile, logins=True) if is_login else ():
        if fault := login_fault(path):
            what = "nobody has logged in" if fault == MISSING else "the login cannot be used"
            code, command = ("SSO", "") if "sso" in path.parts else ("Login", "Login")
            message, advice = f"{root.source()}: {what}: {path} {fault}", f"run: {_login(root, profile, command)}"
            return RenewalFailed(LOGIN, f"{code}TokenLoadError", message, advice)
    return None


def token_in(path: Path) -> str:
    """A web identity token. Raises RenewalFailed: its issuer's affair, not the configuration's."""
    token, fault = read_token(path)
    if fault:
        raise RenewalFailed(DEAD, "TokenFile", f"the web identity token {path} {fault}", ISSUER)
    return token


def _of_answer(answer: Answer, root: Role, profile: SourceProfile | None) -> RenewalFailed:
    kind, code, message, advice = answer
    settings = (profile.logins() if profile else []) or [{}]
    facts = {
        "profile": settings[0].get("name", str(root.source_profile)),
        "account": settings[0].get("sso_account_id", "?"),
        "role": settings[0].get("sso_role_name", "?"),
        "login": _login(root, profile, "Login" if "login_session" in settings[0] else ""),
    }
    return RenewalFailed(kind, code, f"{root.source()}: {_filled(message, facts)}", _filled(advice, facts))


def _of_exception(error: Any, root: Role, profile: SourceProfile | None) -> RenewalFailed:
    """What botocore's exception says by itself."""
    code, message, kind = type(error).__name__, f"{root.source()}: {_first_line(error)}", DEAD
    if isinstance(getattr(error, "response", None), Mapping):
        code, _, kind = refusal_of(error)
        kind = DEAD if kind in (DENIED, WRONG) else kind  # a role of the AWS files on the way to the keys
    elif code == "ConfigParseError":
        message, advice = _unreadable(Path(str(error.kwargs["path"])))
        return RenewalFailed(DEAD, code, message, advice)
    elif isinstance(error, UNEXPECTED) and not hasattr(error, "kwargs"):
        if profile is not None and profile.logins():
            message = f"{root.source()}: IAM Identity Center did not answer as it should ({code})"
            return RenewalFailed(PASSING, "BadAnswer", message, PASSES)
        message = f"{root.source()}: {code}: {_first_line(error)}"
    kind = LOGIN if code in NEEDS_LOGIN else kind
    advice = first(
        (kind is LOGIN, f"run: {_login(root, profile, code)}"),
        (kind in (THROTTLED, PASSING), PASSES),
        (code == "ProfileNotFound", f"run: aws configure --profile {root.source_profile or 'default'}"),
        (
            root.source_profile,
            f"correct profile {root.source_profile} in the AWS files; `assumed check` examines it without a request",
        ),
        (True, "look at what offers this machine its credentials; a running daemon asks it again"),
    )
    return RenewalFailed(kind, code, message, advice)


def _unreadable(path: Path) -> tuple[str, str]:
    """An AWS file that botocore cannot read: the line, as `assumed check` names it, and what to do."""
    error = Sections(path).error
    return f"{path}: {error.message if error else 'cannot be read'}", error.advice if error else "see `assumed check`"


def _paths(profile: SourceProfile | None, *, logins: bool) -> list[Path]:
    """The caches of logins, or the web identity tokens, that a profile names."""
    names = profile.token_files if profile else ()
    return [Path(name).expanduser() for name in names if profile and (name in profile.login_caches) is logins]


def _login(root: Role, profile: SourceProfile | None, code: str) -> str:
    """The command that logs in, for the profile that holds the login's settings."""
    names = [login["name"] for login in profile.logins()] if profile else []
    command = "aws login" if code.startswith("Login") else "aws sso login"
    return f"{command} --profile {(names or [root.source_profile or 'default'])[0]}"


def _filled(text: str, facts: Mapping[str, str]) -> str:
    for name, value in facts.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _first_line(text: object) -> str:
    return (str(text).strip().splitlines() or [""])[0]
