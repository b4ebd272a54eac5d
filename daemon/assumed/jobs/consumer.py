"""The environment of a consumer of the endpoint: variables, and an AWS configuration without credentials.

SDKs prefer other credentials to the endpoint: keys in the environment, `AWS_PROFILE`, a `[default]` with keys, boto's
own configuration. So everything that could win is removed or points to an empty file.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from assumed.aws.variables import BEARER_TOKENS, OTHER_CREDENTIALS
from assumed.redact import printable

JVM_OPTIONS = re.compile(r"JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|JDK_JAVA_OPTIONS|.*_OPTS")
"""Variables whose options reach a JVM: directly, or through the start script of a tool (`MAVEN_OPTS`, `JAVA_OPTS`)."""
_OPTION = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*')+\s*""")
_PROPERTY = re.compile(
    r"-Daws\.(accessKeyId|secretKey|secretAccessKey|sessionToken|profile|roleArn|roleSessionName|webIdentityTokenFile"
    r"|sharedCredentialsFile|configFile|container\w+)="
)
"""System properties that AWS's SDKs for Java prefer to variables."""

CREDENTIALS = frozenset(
    {
        *("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_security_token"),
        *("aws_credential_expiration", "credential_process", "credential_source", "role_arn", "source_profile"),
        *("role_session_name", "external_id", "mfa_serial", "duration_seconds", "web_identity_token_file"),
        *("sso_session", "sso_account_id", "sso_role_name", "sso_start_url", "sso_region", "login_session"),
        "x_assumed",
    }
)
"""Keys of a profile that say where credentials come from. Everything else (region, s3, retries) is kept."""

OUTER = "ASSUMED_OUTER_"
"""Prefix of the two file variables: their values outside, for our own commands when they are run inside."""
SEARCH_PATIENCE = 0.25
"""Seconds for a search of all processes of the machine."""

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
    inner = {
        name: _without_properties(value) if JVM_OPTIONS.fullmatch(name) else value
        for name, value in outer.items()
        if name not in OTHER_CREDENTIALS and not name.startswith(BEARER_TOKENS)
    }
    inner |= {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": url,
        # The same token twice: object_store (deltalake, obstore) knows the file alone, SDKs from before 2024 the other.
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": token,
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": token_file,
        "AWS_CONFIG_FILE": config_file,
        "AWS_SHARED_CREDENTIALS_FILE": credentials_file,
        "AWS_CREDENTIAL_PROFILES_FILE": credentials_file,  # Java v1's name for it
        "CPL_AWS_CREDENTIALS_FILE": credentials_file,  # GDAL's
        # botocore, too, takes keys from it, else from /etc/boto.cfg or ~/.boto, before it asks an endpoint.
        "BOTO_CONFIG": "/dev/null",
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


def _without_properties(options: str) -> str:
    """The options of a JVM without those that name other credentials."""
    plain = str.maketrans("", "", "\"'")
    return _OPTION.sub(lambda word: "" if _PROPERTY.match(word[0].translate(plain)) else word[0], options)


def configuration(section: Section, profile: str) -> str:
    """An AWS config file whose default profile has the settings of `profile` (or of the outer default), and no
    credentials."""
    own = section("default") if profile == "default" else section(f"profile {profile}")
    if own is not None and own.keys() == {"credential_process", "x_assumed"}:
        own = None  # one that assumed has made for its credential_process
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


def carrying(name: str, value: str) -> list[tuple[int, str]]:
    """Number and name of each other process that was started with this variable, as far as we may see; [] without
    /proc."""
    wanted, found = f"\0{name}={value}\0".encode(), []
    deadline = time.monotonic() + SEARCH_PATIENCE
    for process in Path("/proc").glob("[0-9]*"):
        if time.monotonic() > deadline:
            break
        with suppress(OSError):  # another account's, or it has ended
            if int(process.name) != os.getpid() and wanted in b"\0" + (process / "environ").read_bytes():
                found.append((int(process.name), printable((process / "comm").read_text(errors="replace").strip())))
    return found
