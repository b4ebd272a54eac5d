"""What the AWS files and the environment say about the roles: judgements on text alone, without a secret in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from assumed.config.model import Config
from assumed.config.report import listed, show
from assumed.credentials.ownership import OWNER_KEY
from assumed.model import Finding

Profiles = Mapping[str, Mapping[str, str]]
"""Profile → key → value, of one AWS file."""


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
_ONLY_WITH_ROLE = ("source_profile", "credential_source")
"""Keys that mean something only beside a role_arn."""
_OTHER_NAME = "or keep the role under another profile name"


def signing(name: str | None, credentials: Profiles, aws_config: Profiles) -> list[tuple[str, dict[str, str]]]:
    """A source profile and those that sign for it in turn, each with what both AWS files say of it."""
    found: dict[str, dict[str, str]] = {}
    while name is not None and name not in found:
        found[name] = {**aws_config.get(name, {}), **credentials.get(name, {})}
        name = found[name].get("source_profile")
    return list(found.items())


def claims(config: Config, aws_config: Profiles, name: str) -> Iterator[Finding]:
    """Kept profiles that the AWS configuration, called `name`, claims by keys which SDKs prefer to what we write."""
    for role in config.enabled():
        section = aws_config.get(role.profile, {})
        preferred = _FIRST if role.deliver == "keys" else _FIRST | _BEFORE_PROCESS
        key = next((key for key in preferred if key in section), None)
        goes = [other for other in (*preferred, *_ONLY_WITH_ROLE) if other in section]
        if key is not None:
            yield Finding(
                "error",
                role.profile,
                f"{name} has {key} for it, so SDKs {preferred[key]} and do not read what is kept here",
                f"take {listed(goes, 'and')} out of that profile in {name}, {_OTHER_NAME}",
            )
        elif goes:
            yield Finding(
                "error",
                role.profile,
                f"{name} has {listed(goes, 'and')} for it and no role_arn: Go's SDK (Terraform, rclone) refuses that",
                f"take {listed(goes, 'and')} out of that profile in {name}",
            )
        elif role.deliver == "keys" and "credential_process" in section and OWNER_KEY not in section:
            yield Finding(
                "warning",
                role.profile,
                f"{name} has a credential_process for it, which SDKs run whenever the kept keys are not there",
                f"take credential_process out of that profile in {name}, {_OTHER_NAME}",
            )


def leaks(path: Path, defaults: frozenset[str]) -> Iterator[Finding]:
    """`[DEFAULT]` in capitals is no profile to botocore: its keys appear in all of them."""
    if defaults:
        message = f"has a section [DEFAULT] with {listed(sorted(defaults), 'and')}, which leaks into every profile"
        claims_all = not defaults.isdisjoint(_FIRST)
        yield Finding("error" if claims_all else "warning", str(path), message, "rename it to [default], in lower case")


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
