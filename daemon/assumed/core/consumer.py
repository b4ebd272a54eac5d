"""What a consumer of the endpoint needs around it: variables, and an AWS configuration without credentials.

SDKs prefer static keys to the endpoint: of the environment, of `AWS_PROFILE`, of a `[default]` with keys (contract
§4.2). So whatever could win is taken away, and the two AWS files are private ones in which nothing can.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

TAKEN = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_CREDENTIAL_FILE",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_BEARER_TOKEN_BEDROCK",
)
"""Variables that name other credentials."""

CREDENTIALS = frozenset(
    {
        *("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_security_token"),
        *("aws_credential_expiration", "credential_process", "credential_source", "role_arn", "source_profile"),
        *("role_session_name", "external_id", "mfa_serial", "duration_seconds", "web_identity_token_file"),
        *("sso_session", "sso_account_id", "sso_role_name", "sso_start_url", "sso_region", "login_session"),
    }
)
"""Keys of a profile that say where credentials come from. Everything else (region, s3, retries) is kept."""

OUTER = "ASSUMED_OUTER_"
"""Before the names of the two file variables: what they were outside, for commands of ours that are run inside."""

Section = Callable[[str], Mapping[str, str] | None]


def environment(
    outer: Mapping[str, str],
    *,
    url: str,
    token: str,
    token_file: str,
    region: str | None,
    config_file: str,
    credentials_file: str,
) -> dict[str, str]:
    """The consumer's environment, in which the endpoint at `url` is the only source of credentials."""
    inner = {name: value for name, value in outer.items() if name not in TAKEN}
    inner |= {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": url,
        # The same token twice: object_store (deltalake, obstore) knows the file alone, SDKs from before 2024 the other.
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": token,
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": token_file,
        "AWS_CONFIG_FILE": config_file,
        "AWS_SHARED_CREDENTIALS_FILE": credentials_file,
        # Without it an SDK whose endpoint is slow for once would go on to a cloud machine's own role.
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    inner |= {f"{OUTER}{name}": outer.get(name, "") for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")}
    if region is not None and not {"AWS_REGION", "AWS_DEFAULT_REGION"} & outer.keys():
        inner |= {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    for name in ("no_proxy", "NO_PROXY"):
        if any(proxy in inner for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")) or name in inner:
            inner[name] = ",".join(part for part in (inner.get(name, ""), "127.0.0.1") if part)
    return inner


def configuration(section: Section, profile: str) -> str:
    """An AWS config file whose default profile has the settings of `profile` (or of the outer default), and no
    credentials."""
    own = section("default") if profile == "default" else section(f"profile {profile}")
    values = own if own is not None else section("default") or {}
    lines = ["[default]", *_lines(values)]
    services = values.get("services")
    if services and (found := section(f"services {services}")):
        lines += [f"[services {services}]", *_lines(found)]
    return "\n".join(lines) + "\n"


def _lines(values: Mapping[str, str]) -> list[str]:
    return [f"{name} = {_indented(value)}" for name, value in values.items() if name not in CREDENTIALS]


def _indented(value: str) -> str:
    """A nested block (`s3 =` and its lines) comes without its indentation."""
    return value.replace("\n", "\n  ")
