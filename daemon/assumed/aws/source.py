"""What a source profile says (values, links, endpoint, a fingerprint), and what is wrong with the files that it names.

The fingerprint is of the profile's own values, never of the credentials file as a whole: we write that file
ourselves, and every renewal would look like a changed source.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from assumed.files import read_limited

Section = Callable[[str], Mapping[str, str] | None]
"""Looks a section up by its whole header name; None where there is none."""

MAX_LINKS = 10
LOGIN_KEYS = ("sso_session", "sso_start_url", "login_session")
"""What names the login of a profile."""
OF_CREDENTIALS = (
    *("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_security_token", "aws_account_id"),
    *("aws_credential_scope", "role_", "source_profile", "credential_", "web_identity_", "external_id", "mfa_serial"),
    *("duration_seconds", "sso_", "login_session", "x_", "output", "cli_"),
)
"""Beginnings of the keys of a profile that change nothing of a client but its credentials."""
OTHER_THAN_KEYS = ("role_arn", "web_identity_", "sso_", "login_session", "credential_process")
MISSING = "does not exist"
BUNDLE_VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
"""In the order in which botocore asks them; the second after the profile's ca_bundle."""
LARGEST = 4 << 20
"""Bytes of a login's cache, a few thousand in fact, or a CA bundle, some 200 KB."""
TOKEN_LIMIT = 64 * 1024
"""Bytes; STS takes a web identity token of 20,000 characters."""


@dataclass(frozen=True, slots=True)
class Asking:
    """A profile that SDKs prompt for an MFA code to use."""

    profile: str
    serial: str
    source: str
    """The profile whose keys sign for it."""


@dataclass(frozen=True, slots=True)
class SourceProfile:
    """A profile and everything that it refers to."""

    exists: bool
    values: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    endpoint: str | None
    asking: Asking | None
    """The first role on the way to its keys that asks for a code, if there is one."""
    token_files: tuple[str, ...]
    """Files that change when a person logs in, or an issuer writes another token."""
    login_caches: tuple[str, ...] = ()
    """Those of them that a login writes."""

    def runs_helper(self) -> bool:
        """Whether a `credential_process` may be started for it."""
        return any(key == "credential_process" for _, values in self.values for key, _ in values)

    def static_keys(self, profile: str) -> tuple[str, str, str | None] | None:
        """Access key, secret and token, where `profile`, whose values these are, has no other credentials."""
        own = dict(dict(self.values).get(f"profile {profile}", ()))
        keys = own.get("aws_access_key_id"), own.get("aws_secret_access_key")
        if not all(keys) or any(key.startswith(OTHER_THAN_KEYS) for key in own):
            return None
        return str(keys[0]), str(keys[1]), own.get("aws_security_token", own.get("aws_session_token"))

    def client_settings(self, profile: str) -> frozenset[tuple[str, str]]:
        """What the profile says of a client: those of two profiles that say the same are alike but for the keys."""
        sections = dict(self.values)
        own = dict(sections.get(f"profile {profile}", ()))
        services = sections.get(f"services {own.get('services')}", ())
        return frozenset(item for item in (*own.items(), *services) if not item[0].startswith(OF_CREDENTIALS))

    def logins(self) -> list[dict[str, str]]:
        """Profile by profile, what says how to log in; under `name` the profile's name."""
        named = ((name.removeprefix("profile "), dict(values)) for name, values in self.values)
        return [{"name": name, **values} for name, values in named if values.keys() & set(LOGIN_KEYS)]


def sign_in_of(source: SourceProfile) -> str:
    """What a person signs in to for this source: the name of an `sso_session`, a start URL, a `login_session`; empty
    where nothing of the kind is known."""
    return next((login[key] for login in source.logins() for key in LOGIN_KEYS if key in login), "")


def read_source(profile: str, credentials: Section, config: Section, environ: Mapping[str, str]) -> SourceProfile:
    """Gather a source profile and what it links to. `credentials` and `config` look sections up in the two files."""
    gathered: dict[str, Mapping[str, str]] = {}
    _gather_profile(profile, credentials, config, gathered)
    own = gathered.get(f"profile {profile}", {})
    files = [v["web_identity_token_file"] for v in gathered.values() if "web_identity_token_file" in v]
    profiles = [values for name, values in gathered.items() if name.startswith("profile ")]
    caches = [cache for values in profiles for cache in login_caches(values, environ)]
    asking = next(
        (
            Asking(name.removeprefix("profile "), values["mfa_serial"], values.get("source_profile", ""))
            for name, values in gathered.items()
            if asks_for_code(values)
        ),
        None,
    )
    return SourceProfile(
        exists=bool(own),
        values=tuple((name, tuple(sorted(v.items()))) for name, v in sorted(gathered.items())),
        endpoint=endpoint_url(own, gathered, environ),
        asking=asking,
        token_files=(*files, *caches),
        login_caches=tuple(caches),
    )


def _gather_profile(profile: str, credentials: Section, config: Section, into: dict[str, Mapping[str, str]]) -> None:
    name = f"profile {profile}"
    if name in into or len(into) >= MAX_LINKS:
        return
    # The credentials file wins, key by key, in every SDK (contract §1.3).
    merged = {**(config(name) or {}), **(credentials(profile) or {})}
    if not merged:
        return
    into[name] = merged
    for key, prefix in (("sso_session", "sso-session"), ("services", "services")):
        if key in merged:
            linked = f"{prefix} {merged[key]}"
            into[linked] = config(linked) or {}
    if "source_profile" in merged:
        _gather_profile(merged["source_profile"], credentials, config, into)


def asks_for_code(profile: Mapping[str, str]) -> bool:
    """Whether SDKs prompt for an MFA code to use this profile. A token that is exchanged for a role needs none."""
    return "role_arn" in profile and "mfa_serial" in profile and "web_identity_token_file" not in profile


def login_caches(profile: Mapping[str, str], environ: Mapping[str, str]) -> list[str]:
    """The files in which the AWS CLI keeps what `aws sso login` and `aws login` got: they change at a login."""
    sso = profile.get("sso_session") or profile.get("sso_start_url")
    caches = []
    if sso:
        caches.append(f"~/.aws/sso/cache/{hashlib.sha1(sso.encode(), usedforsecurity=False).hexdigest()}.json")
    if "login_session" in profile:
        digest = hashlib.sha256(profile["login_session"].strip().encode()).hexdigest()
        caches.append(f"{environ.get('AWS_LOGIN_CACHE_DIRECTORY') or '~/.aws/login/cache'}/{digest}.json")
    return caches


def endpoint_url(
    own: Mapping[str, str], gathered: Mapping[str, Mapping[str, str]], environ: Mapping[str, str]
) -> str | None:
    """The configured endpoint of STS, None for AWS's own. Order: AWS SDKs guide, "Service-specific endpoints"."""
    in_profile = own.get("ignore_configured_endpoint_urls", "")
    ignore = environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", in_profile)
    if ignore.lower() == "true":
        return None
    for variable in ("AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"):
        if environ.get(variable):
            return environ[variable]
    services = gathered.get(f"services {own.get('services')}", {})
    for line in services.get("sts", "").splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "endpoint_url" and value.strip():
            return value.strip()
    return own.get("endpoint_url") or None


def fingerprint(source: SourceProfile, *more: object) -> str:
    """Changes when anything that the source resolves from changes. `more`: facts from outside (token files)."""
    return hashlib.sha256(json.dumps([source.values, source.endpoint, more]).encode()).hexdigest()


# -- files that a profile names: what is wrong with one, in words that follow its name ---------------------------------


def read_token(path: Path) -> tuple[str, str]:
    """A web identity token, or what is wrong with its file; the other of the two is empty."""
    data, fault = _contents(path, TOKEN_LIMIT)
    if not fault and not data.isascii():
        fault = "is not text"
    token = "" if fault else data.decode().strip()
    return token, fault or ("" if token else "is empty")


def token_fault(path: Path) -> str:
    """What is wrong with a web identity token's file; empty where it holds one."""
    return read_token(path)[1]


def login_fault(path: Path) -> str:
    """What is wrong with the cache of a login; empty where it looks like one."""
    data, fault = _contents(path)
    if fault or not data.strip():
        return fault or "is empty"
    try:
        token = json.loads(data)
    except ValueError:
        return "is damaged (no JSON)"
    if not isinstance(token, dict) or not isinstance(token.get("accessToken"), str | dict):
        return "is damaged (no accessToken)"
    dated = "sso" not in path.parts or str(token.get("expiresAt"))[:4].isdigit()
    return "" if dated else "is damaged (no expiresAt)"


def bundle_fault(bundle: str) -> str:
    """What is wrong with a CA bundle; empty where it holds certificates."""
    data, fault = _contents(Path(bundle))
    return fault or ("" if b"-----BEGIN" in data else "holds no certificate")


def _contents(path: Path, limit: int = LARGEST) -> tuple[bytes, str]:
    try:
        return read_limited(path, limit), ""
    except FileNotFoundError:
        return b"", MISSING
    except OSError as error:
        return b"", f"cannot be read: {error.strerror}"
