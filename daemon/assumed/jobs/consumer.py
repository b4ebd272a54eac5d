"""What a consumer of the endpoint needs around it: variables, and an AWS configuration without credentials.

SDKs prefer other credentials to the endpoint: keys in the environment, `AWS_PROFILE`, a `[default]` with keys, boto's
own configuration. So whatever could win is removed or points to an empty file. This is the one list of such variables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from assumed.aws.variables import SHELL_VARIABLES

TAKEN = frozenset(
    {
        *SHELL_VARIABLES,
        "AWS_CREDENTIAL_SCOPE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",  # wins over the full URI in every SDK
        "AWS_CREDENTIAL_FILE",  # boto 2, botocore, s3cmd, s3fs-fuse
        *("AWS_ACCESS_KEY", "AWS_SECRET_KEY"),  # Java v1, Go v1, Ruby, s3cmd, Ansible
        *("AMAZON_ACCESS_KEY_ID", "AMAZON_SECRET_ACCESS_KEY", "AMAZON_SESSION_TOKEN"),  # JavaScript v2, Ruby
        *("EC2_ACCESS_KEY", "EC2_SECRET_KEY", "EC2_SECURITY_TOKEN"),  # Ansible, the EC2 API tools
        *("AWSACCESSKEYID", "AWSSECRETACCESSKEY", "AWSSESSIONTOKEN"),  # s3fs-fuse
        *(f"RCLONE_S3_{name}" for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")),
        *("RCLONE_S3_PROFILE", "RCLONE_S3_SHARED_CREDENTIALS_FILE"),
        *("AWS_PROFILE_NAME", "AWS_ROLE_NAME", "AWS_SESSION_NAME", "AWS_WEB_IDENTITY_TOKEN"),  # litellm
        *(f"FSSPEC_S3_{name}" for name in ("KEY", "SECRET", "TOKEN", "PROFILE")),  # s3fs for Python
    }
)
"""Variables that name other credentials: an SDK's, or a tool's default for S3. A remote that the user configured by
name stays (`RCLONE_CONFIG_…`, `MC_HOST_…`), and so does what belongs to another service (`MINIO_…`)."""

TAKEN_PREFIX = "AWS_BEARER_TOKEN_"
"""Before the name of a service whose clients prefer this token to every signature."""

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
    inner = {
        name: _without_properties(value) if JVM_OPTIONS.fullmatch(name) else value
        for name, value in outer.items()
        if name not in TAKEN and not name.startswith(TAKEN_PREFIX)
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
