"""What a source profile says, from the text of the two AWS files: values, links, endpoint, and a fingerprint.

The fingerprint is of the profile's own values, never of the credentials file as a whole: we write that file
ourselves, and every renewal would look like a changed source.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Section = Callable[[str], Mapping[str, str] | None]
"""Looks a section up by its whole header name; None where there is none."""

MAX_LINKS = 10


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


def sign_in_of(source: SourceProfile) -> str:
    """What a person signs in to for this source: the name of an `sso_session`, a start URL, a `login_session`; empty
    where nothing of the kind is known."""
    for _, values in source.values:
        found = dict(values)
        for key in ("sso_session", "sso_start_url", "login_session"):
            if key in found:
                return found[key]
    return ""


def read_source(profile: str, credentials: Section, config: Section, environ: Mapping[str, str]) -> SourceProfile:
    """Gather a source profile and what it links to. `credentials` and `config` look sections up in the two files."""
    gathered: dict[str, Mapping[str, str]] = {}
    _gather_profile(profile, credentials, config, gathered)
    own = gathered.get(f"profile {profile}", {})
    files = [v["web_identity_token_file"] for v in gathered.values() if "web_identity_token_file" in v]
    profiles = [values for name, values in gathered.items() if name.startswith("profile ")]
    caches = [cache for values in profiles for cache in login_caches(values, environ)]
    asking = next((name for name, values in gathered.items() if asks_for_code(values)), None)
    return SourceProfile(
        exists=bool(own),
        values=tuple((name, tuple(sorted(v.items()))) for name, v in sorted(gathered.items())),
        endpoint=endpoint_url(own, gathered, environ),
        asking=_asking(asking, gathered[asking]) if asking else None,
        token_files=(*files, *caches),
        login_caches=tuple(caches),
    )


def _gather_profile(profile: str, credentials: Section, config: Section, into: dict[str, Mapping[str, str]]) -> None:
    name = f"profile {profile}"
    if name in into or len(into) >= MAX_LINKS:
        return
    # The credentials file wins, key by key, in every SDK (contract §1.3).
    in_config = config("default") if profile == "default" else None
    merged = {**(in_config or config(name) or {}), **(credentials(profile) or {})}
    if not merged:
        return
    into[name] = merged
    for key, prefix in (("sso_session", "sso-session"), ("services", "services")):
        if key in merged:
            linked = f"{prefix} {merged[key]}"
            into[linked] = config(linked) or {}
    if "source_profile" in merged:
        _gather_profile(merged["source_profile"], credentials, config, into)


def _asking(name: str, values: Mapping[str, str]) -> Asking:
    return Asking(name.removeprefix("profile "), values["mfa_serial"], values.get("source_profile", ""))


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
