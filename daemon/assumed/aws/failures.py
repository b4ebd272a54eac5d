"""Why a source gives no keys: what its provider raised, what its servers said and what its files hold → a classified
failure and the next step for a person."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore import exceptions as boto

from assumed.credentials.ini import decode, scan
from assumed.errors import FileRefused, RenewalFailed
from assumed.model import FailureKind, Role

from . import http
from .mfa import cannot_be_typed, get_session
from .refusals import kind_of
from .sign_in_refusals import HELPER_TIMEOUT, PASSES, Answered, meaning
from .source import SourceProfile
from .source_files import MISSING, login_fault, token_fault
from .sts import ISSUER, UNREACHABLE, code_and_message
from .tls import trust_failure

NEEDS_LOGIN = (
    "SSOError",
    "SSOTokenLoadError",
    "UnauthorizedSSOTokenError",
    "PendingAuthorizationExpiredError",
    "TokenRetrievalError",
    "LoginError",
    "LoginTokenLoadError",
    "LoginRefreshRequired",
    "RefreshWithMFAUnsupportedError",
)
NOT_WHAT_WAS_EXPECTED = (LookupError, TypeError, ValueError, AttributeError)
"""What botocore's providers are led to by a file or an answer that is not what they expect."""
NETWORK = (*UNREACHABLE, boto.ReadTimeoutError, boto.ConnectionClosedError)
OWN_FAULT = frozenset({FailureKind.DENIED, FailureKind.MISCONFIGURED})
"""A source whose own role is refused is dead for who needs it; a refusal of another kind says what to wait for."""
SERVICES = ("sso", "sso-oidc", "signin")


@dataclass(frozen=True, slots=True)
class Around:
    """What an exception of botocore's does not say."""

    profile: SourceProfile | None = None
    answer: Answered | None = None
    bundle: str | None = None
    """The CA bundle in use, where one is set."""
    fips: bool = False
    """Whether FIPS endpoints are asked for."""


def needs_code(root: Role, serial: str, profile: SourceProfile | None) -> RenewalFailed:
    """A role of the AWS files on the way to the source's keys asks for an MFA code."""
    asking = profile.asking if profile else None
    name, source = (asking.profile, asking.source) if asking else (str(root.source_profile), "")
    return RenewalFailed(
        FailureKind.NEEDS_LOGIN,
        "MFARequired",
        f"profile {name} needs a code of {serial} at each renewal, and assumed cannot prompt for one",
        cannot_be_typed(serial) or get_session(serial, source, f"source_profile of profile {name}", without=True),
    )


def needs_session(role: Role) -> RenewalFailed:
    """A role of ours demands MFA, and long-term keys, which carry none, sign for it: STS could only deny it."""
    serial, source = str(role.mfa_serial), role.source_profile
    where = source or str(role.credential_source)
    advice = (
        get_session(serial, source, "source_profile of this role")
        if source
        else f"start the daemon with a session of: aws sts get-session-token --serial-number {serial} --token-code CODE"
    )
    return RenewalFailed(
        FailureKind.NEEDS_LOGIN,
        "MFARequired",
        f"{role.role_arn} demands MFA with {serial}, and {where} holds long-term keys, which carry none",
        cannot_be_typed(serial) or advice,
    )


def helper_failure(root: Role, code: str, what: str) -> RenewalFailed:
    """A `credential_process` did not do its part. Its own words are not repeated."""
    return RenewalFailed(
        FailureKind.SOURCE_DEAD,
        code,
        f"{root.source()}: its credential_process {what}",
        f"run the credential_process of profile {root.source_profile} by hand and see what it says",
    )


def helper_timeout(root: Role, seconds: float) -> RenewalFailed:
    """A `credential_process` was killed at its deadline: it waits for a person, or takes longer than it may."""
    return RenewalFailed(
        FailureKind.NEEDS_LOGIN,
        HELPER_TIMEOUT,
        f"{root.source()}: its credential_process was stopped after {seconds:g} s without an answer; it probably waits "
        "for a person (a browser, a code), so it is not started again",
        f"run the credential_process of profile {root.source_profile} in a terminal, then: assumed refresh (without a "
        "daemon: assumed once); if it only needs longer, raise helper_timeout_seconds",
    )


def source_timeout(root: Role, seconds: float) -> RenewalFailed:
    """No helper, and no keys in time: a server that does not answer."""
    return RenewalFailed(
        FailureKind.SOURCE_DEAD,
        "SourceTimeout",
        f"{root.source()} gave no credentials within {seconds:g} s",
        "check the network, VPN or proxy",
    )


def source_failure(error: Exception, root: Role, around: Around | None = None) -> RenewalFailed:
    """Any other exception of botocore's providers."""
    around = around or Around()
    code = type(error).__name__
    if (explained := http.explained(error)) is not None:
        return explained
    if isinstance(error, NETWORK):
        return _network(error, root, around)
    found = _file_failure(root, around, is_login=code in NEEDS_LOGIN or isinstance(error, NOT_WHAT_WAS_EXPECTED))
    if found is not None:
        return found
    if around.answer is not None:
        return _answered(around.answer, root, around)
    return _as_it_says(error, root, around)


def _as_it_says(error: Exception, root: Role, around: Around) -> RenewalFailed:
    """What botocore's exception says by itself."""
    code, message = type(error).__name__, f"{root.source()}: {_first_line(error)}"
    if code in NEEDS_LOGIN:
        return RenewalFailed(FailureKind.NEEDS_LOGIN, code, message, f"run: {_login(root, around, code)}")
    if isinstance(error, boto.ProfileNotFound):
        profile = root.source_profile or "default"
        return RenewalFailed(FailureKind.SOURCE_DEAD, code, message, f"run: aws configure --profile {profile}")
    if isinstance(error, boto.ConfigParseError):
        return _unreadable(error, message)
    if isinstance(error, boto.ClientError):
        return _refused_by_sts(error, root)
    if isinstance(error, NOT_WHAT_WAS_EXPECTED) and not isinstance(error, boto.BotoCoreError):
        if _logins(around):
            message = f"{root.source()}: IAM Identity Center did not answer as it should ({code})"
            return RenewalFailed(FailureKind.TRANSIENT, "BadAnswer", message, PASSES)
        message = f"{root.source()}: {code}: {_first_line(error)}"
    return RenewalFailed(FailureKind.SOURCE_DEAD, code, message, _mending(root))


def _unreadable(error: boto.ConfigParseError, message: str) -> RenewalFailed:
    """An AWS file that botocore cannot read: the line, as `assumed check` names it."""
    path = Path(str(error.kwargs["path"]))
    advice = "see `assumed check`"
    try:
        scan(decode(path.read_bytes()))
    except OSError:
        pass
    except FileRefused as refused:
        message, advice = f"{path}: {refused.message}", refused.advice
    return RenewalFailed(FailureKind.SOURCE_DEAD, "ConfigParseError", message, advice)


def is_half_written(error: Exception, around: Around) -> bool:
    """Whether an exception comes of a login's cache that is empty or no JSON: the AWS CLI writes it in place."""
    told = isinstance(error, NOT_WHAT_WAS_EXPECTED) or type(error).__name__ in NEEDS_LOGIN
    return told and any(login_fault(path) not in ("", MISSING) for path in _caches(around))


def _refused_by_sts(error: boto.ClientError, root: Role) -> RenewalFailed:
    """A role of the AWS files that stands between the keys and us."""
    code, said = code_and_message(error)
    kind = kind_of(code, said, error.response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
    advice = PASSES if kind in (FailureKind.THROTTLED, FailureKind.TRANSIENT) else _mending(root)
    kind = FailureKind.SOURCE_DEAD if kind in OWN_FAULT else kind
    return RenewalFailed(kind, code, f"{root.source()}: {_first_line(error)}", advice)


def _network(error: Exception, root: Role, around: Around) -> RenewalFailed:
    text, code = f"{root.source()}: {_first_line(error)}", type(error).__name__
    trust = trust_failure(error, around.bundle)
    if trust is not None:
        return trust
    if around.fips and "-fips." in text:
        message = f"{root.source()}: FIPS endpoints are asked for, and IAM Identity Center has none in this region"
        advice = "unset AWS_USE_FIPS_ENDPOINT where the daemon runs, and use_fips_endpoint of the profile"
        return RenewalFailed(FailureKind.MISCONFIGURED, "FIPSEndpoint", message, advice)
    return RenewalFailed(
        FailureKind.UNREACHABLE, code, text, "check the network, VPN or proxy; a running daemon tries again"
    )


def _answered(answer: Answered, root: Role, around: Around) -> RenewalFailed:
    means, facts = meaning(answer), _facts(root, around)
    facts |= {"host": answer.host, "status": str(answer.status)}
    said = f" (AWS: {answer.message[:200]})" if answer.message and not answer.is_page else ""
    return RenewalFailed(
        means.kind,
        "WebPage" if answer.is_page else answer.code or f"HTTP{answer.status}",
        f"{root.source()}: {means.message.format_map(facts)}{said}",
        means.advice.format_map(facts),
    )


# -- what the files say ---------------------------------------------------------------------------------------------


def _file_failure(root: Role, around: Around, *, is_login: bool) -> RenewalFailed | None:
    """A file that the source takes something from, and that does not hold it."""
    for path in _tokens(around):
        fault = token_fault(path)
        if fault:
            return token_failure(path, fault)
    faults = {path: fault for path in _caches(around) if is_login and (fault := login_fault(path))}
    for path, fault in faults.items():
        what = "nobody has logged in" if fault == MISSING else "the login cannot be used"
        return RenewalFailed(
            FailureKind.NEEDS_LOGIN,
            "SSOTokenLoadError" if "sso" in path.parts else "LoginTokenLoadError",
            f"{root.source()}: {what}: {path} {fault}",
            f"run: {_login(root, around, '' if 'sso' in path.parts else 'Login')}",
        )
    return None


def token_failure(path: Path, fault: str) -> RenewalFailed:
    """The web identity token is not there to be exchanged: its issuer's affair, not the configuration's."""
    return RenewalFailed(
        FailureKind.SOURCE_DEAD,
        "TokenFile",
        f"the web identity token {path} {fault}",
        ISSUER,
    )


def _caches(around: Around) -> list[Path]:
    return [Path(name).expanduser() for name in around.profile.login_caches] if around.profile else []


def _tokens(around: Around) -> list[Path]:
    """Web identity tokens of the profile itself: those of others that it refers to are looked at by botocore."""
    if around.profile is None:
        return []
    return [Path(name).expanduser() for name in around.profile.token_files if name not in around.profile.login_caches]


# -- words ----------------------------------------------------------------------------------------------------------


def _logins(around: Around) -> list[dict[str, str]]:
    """Profile by profile, what says how to log in."""
    keys = ("sso_session", "sso_start_url", "login_session")
    found = around.profile.values if around.profile else ()
    return [{"name": name.removeprefix("profile "), **dict(v)} for name, v in found if any(k in dict(v) for k in keys)]


def _login(root: Role, around: Around, code: str = "") -> str:
    """The command that logs in, for the profile that holds the login's settings."""
    profile = next((login["name"] for login in _logins(around)), root.source_profile or "default")
    return f"{'aws login' if code.startswith('Login') else 'aws sso login'} --profile {profile}"


def _facts(root: Role, around: Around) -> dict[str, str]:
    logins = _logins(around)
    settings: dict[str, str] = logins[0] if logins else {}
    return {
        "profile": settings.get("name", str(root.source_profile)),
        "account": settings.get("sso_account_id", "?"),
        "role": settings.get("sso_role_name", "?"),
        "login": _login(root, around, "Login" if "login_session" in settings else ""),
    }


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0]


def _mending(root: Role) -> str:
    if root.source_profile is None:
        return "look at what offers this machine its credentials; a running daemon asks it again"
    return f"correct profile {root.source_profile} in the AWS files; `assumed check` looks at it without a request"


def answered(service: str, http_response: Any, parsed: Any) -> Answered | None:
    """An answer of one of SERVICES as botocore's event `after-call` shows it; None for a success."""
    body = bytes(http_response.content[:64]).lstrip()
    is_page = body.startswith(b"<") or "html" in str(http_response.headers.get("content-type", "")).lower()
    error = parsed.get("Error") if isinstance(parsed, dict) else None
    if http_response.status_code < 300 and not is_page and body:
        return None
    host = str(http_response.url).split("://")[-1].split("/")[0]
    detail = error or {}
    said = str(detail.get("Message") or "").strip().splitlines()
    return Answered(
        service, host, http_response.status_code, str(detail.get("Code") or ""), said[0] if said else "", is_page
    )
