"""What the AWS files and the environment say about the roles: judgements on text alone, without a secret in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from assumed.core.model import Role
from assumed.core.ownership import OWNER_KEY

from .model import Config
from .report import listed, nearest, show

Profiles = Mapping[str, Mapping[str, str]]
"""Profile → key → value, of one AWS file."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what it is about, what was seen, and what to do (empty when all is well)."""

    severity: Literal["error", "warning", "ok"]
    subject: str
    message: str
    advice: str = ""


# What SDKs prefer, whatever stands beside it (botocore's order: role, web identity, SSO, then keys; JavaScript, Go
# and the others agree on the first). Key -> what they do then.
_FIRST = {
    "role_arn": "assume that role by themselves",
    "web_identity_token_file": "exchange that token",
    "sso_session": "log in by SSO",
    "sso_start_url": "log in by SSO",
    "sso_account_id": "log in by SSO",
    "sso_role_name": "log in by SSO",
}
# What some SDKs prefer to a credential_process line: keys in JavaScript and Go, a login in botocore.
_BEFORE_PROCESS = {"aws_access_key_id": "use those keys", "login_session": "use that login"}
_OTHER_NAME = "or keep the role under another profile name"
_CREDENTIAL_KEYS = (*_FIRST, "aws_access_key_id", "credential_process", "login_session", "aws_secret_access_key")


def claims(config: Config, aws_config: Profiles, name: str) -> Iterator[Finding]:
    """Kept profiles that the AWS configuration, called `name`, claims by keys which SDKs prefer to what we write."""
    for role in config.enabled():
        section = aws_config.get(role.profile, {})
        preferred = _FIRST if role.deliver == "keys" else _FIRST | _BEFORE_PROCESS
        key = next((key for key in preferred if key in section), None)
        if key is not None:
            yield Finding(
                "error",
                role.profile,
                f"{name} has {key} for it, so SDKs {preferred[key]} and do not read what is kept here",
                f"take {key} out of that profile in {name}, {_OTHER_NAME}",
            )
        elif role.deliver == "keys" and "credential_process" in section and OWNER_KEY not in section:
            yield Finding(
                "warning",
                role.profile,
                f"{name} has a credential_process for it, which SDKs run whenever the kept keys are not there",
                f"take credential_process out of that profile in {name}, {_OTHER_NAME}",
            )


def sources(
    config: Config,
    credentials: Profiles,
    aws_config: Profiles,
    environ: Mapping[str, str],
    *,
    passed_keys: bool = False,
) -> Iterator[Finding]:
    """Whether what signs for the roles exists and has credentials; each source once."""
    signed: dict[str, list[Role]] = {}
    for role in config.enabled():
        if role.parent is None and role.web_identity_token_file is None:
            signed.setdefault(role.source(), []).append(role)
    for roles in signed.values():
        name, place = roles[0].source_profile, roles[0].credential_source
        used = f"signs for {_names(roles)}"
        if place is not None:
            yield _place(place, used, environ)
        elif name is not None:
            finding = _profile(name, used, credentials, aws_config)
            if passed_keys and finding.severity == "error":
                message = f"{used}; its keys are not in the AWS files, so they have to be among what systemd passes"
                finding = Finding("warning", finding.subject, message, "see LoadCredential= in the service's drop-ins")
            yield finding


def _names(roles: list[Role]) -> str:
    names = [role.profile for role in roles]
    return listed(names, "and") if len(names) < 4 else f"{names[0]}, {names[1]} and {len(names) - 2} more"


def _profile(name: str, used: str, credentials: Profiles, aws_config: Profiles) -> Finding:
    subject = f"source_profile {name}"
    configure = f"aws configure --profile {name}"
    if name not in credentials and name not in aws_config:
        meant = nearest(name, sorted({*credentials, *aws_config}))
        hint = f"did you mean {show(meant)}? Else: {configure}" if meant else f"create it: {configure}"
        if f"profile {name}" in credentials:
            hint = f"the credentials file has [profile {name}], which no SDK reads there; make it [{name}]"
        return Finding("error", subject, f"{used}, but is in neither AWS file", hint)
    # the credentials file wins, key by key
    values = {key: value for key, value in {**aws_config.get(name, {}), **credentials.get(name, {})}.items() if value}
    if not any(key in values for key in _CREDENTIAL_KEYS):
        return Finding("error", subject, f"{used}, but has no credentials of any kind", f"give it some: {configure}")
    if ("aws_access_key_id" in values) != ("aws_secret_access_key" in values):
        return Finding("error", subject, f"{used}, but has one half of a key pair", f"set both: {configure}")
    if "aws_access_key_id" in values and "credential_process" in values:
        message = f"{used}, and has both keys and a credential_process, which therefore never runs"
        return Finding("warning", subject, message, "keep one of the two")
    if "aws_access_key_id" in values and ("aws_session_token" in values or "aws_security_token" in values):
        message = f"{used} with a session, which ends, and which assumed does not renew"
        return Finding("warning", subject, message, "keep that profile by a role as well, or use keys of a user")
    return Finding("ok", subject, used)


def _place(place: str, used: str, environ: Mapping[str, str]) -> Finding:
    subject = f"credential_source {place}"
    if place == "Environment" and not (environ.get("AWS_ACCESS_KEY_ID") and environ.get("AWS_SECRET_ACCESS_KEY")):
        message = f"{used}, but AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set here"
        return Finding("error", subject, message, "set both where the daemon runs; a service has another environment")
    if place == "EcsContainer" and not any(name.startswith("AWS_CONTAINER_CREDENTIALS_") for name in environ):
        message = f"{used}, but no AWS_CONTAINER_CREDENTIALS_… variable is set here"
        return Finding("error", subject, message, "run the daemon where ECS or EKS sets it")
    if place == "Ec2InstanceMetadata" and environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        message = f"{used}, but AWS_EC2_METADATA_DISABLED is true here"
        return Finding("error", subject, message, "unset it where the daemon runs")
    return Finding("ok", subject, used)


def leaks(path: Path, defaults: frozenset[str]) -> Iterator[Finding]:
    """`[DEFAULT]` in capitals is no profile to botocore: its keys appear in all of them."""
    if defaults:
        message = f"has a section [DEFAULT] with {listed(sorted(defaults), 'and')}, which leaks into every profile"
        yield Finding("warning", str(path), message, "rename it to [default], in lower case")


def exported_keys(config: Config, environ: Mapping[str, str], now: float) -> Iterator[Finding]:
    """Keys in the environment outrank the kept profiles in whatever is started from it. `now`: POSIX seconds."""
    wanted = any(role.credential_source == "Environment" for role in config.enabled())
    if environ.get("AWS_ACCESS_KEY_ID") and not wanted:
        yield Finding(
            "warning",
            "$AWS_ACCESS_KEY_ID",
            "is exported, and the AWS CLI and SDKs take it before every profile that is not named by --profile"
            + _expired(environ.get("AWS_CREDENTIAL_EXPIRATION", ""), now),
            "unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN, also in your shell's start-up files",
        )


def chosen_profile(config: Config, known: set[str], environ: Mapping[str, str]) -> Iterator[Finding]:
    """A profile that the environment chooses and that nobody has."""
    for variable in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        name = environ.get(variable)
        if name and name not in known and config.role(name) is None:
            message = f"is {show(name)}, which is no profile: every command without --profile fails"
            yield Finding("warning", f"${variable}", message, f"unset {variable}, or name a kept profile")


def _expired(expiration: str, now: float) -> str:
    try:
        ends = datetime.fromisoformat(expiration)
    except ValueError:
        return ""  # absent, or another tool's format: then nothing is said about it
    if ends.tzinfo is None or ends.timestamp() > now:
        return ""
    return f"; that session ended at {ends.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
