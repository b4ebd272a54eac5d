"""What a shell has set and a service would not see: which variables it takes along, and how they are written.

Never credentials: those belong to a source profile, or into `LoadCredential=`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from assumed.redact import HIDDEN, redacted

SHELL_VARIABLES = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"),
    "AWS_CREDENTIAL_EXPIRATION",
    *("AWS_PROFILE", "AWS_DEFAULT_PROFILE"),
    *("AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_SESSION_NAME"),
)
"""Credentials that a shell may have exported, as botocore reads them. Our own processes remove them from their
environment and use them only for `credential_source = "Environment"`."""

ENDPOINT_VARIABLES = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL")
"""Variables by which an environment chooses STS's endpoint, and with it whose sessions are right."""

PATHS = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")
TRUST = ("AWS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
"""Files of certificates: they may be relative in a shell, and mean nothing then in a service."""
_LOWER = tuple(f"{which}_proxy" for which in ("http", "https", "all", "no"))
PROXIES = (*_LOWER, *map(str.upper, _LOWER))
OTHERS = (
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_STS_REGIONAL_ENDPOINTS",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
)
ENDPOINT = "AWS_ENDPOINT_URL"
"""`AWS_ENDPOINT_URL` itself and `AWS_ENDPOINT_URL_<SERVICE>`."""
CONFIG = "ASSUMED_CONFIG"

OTHER_CREDENTIALS = frozenset(
    {
        *SHELL_VARIABLES,
        "AWS_CREDENTIAL_SCOPE",
        "AWS_ACCOUNT_ID",  # of other credentials: SDKs choose endpoints by it
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

BEARER_TOKENS = "AWS_BEARER_TOKEN_"
"""Prefix of variables that name a service, whose clients prefer this token to every signature."""

_USER_INFO = re.compile(r"^((?:[a-zA-Z][a-zA-Z0-9+.-]*:)?//)?.*@", re.DOTALL)
_QUERY = re.compile(r"\?.+", re.DOTALL)
"""A gateway's token may stand there."""


def is_carried(name: str) -> bool:
    """Whether a variable changes what the daemon does, and is no credential."""
    return name in {*PATHS, *TRUST, *PROXIES, *OTHERS, ENDPOINT} or name.startswith(f"{ENDPOINT}_")


def carried(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that a service has to take along, by name."""
    return {name: environ[name] for name in sorted(environ) if is_carried(name) and environ[name]}


def shown(name: str, value: str) -> str:
    """The value as anybody may see it: no password of a proxy or an endpoint, no query, nothing like a credential."""
    if name in PROXIES or name.startswith(ENDPOINT):
        value = _USER_INFO.sub(lambda match: f"{match[1] or ''}{HIDDEN}@", value)
        value = _QUERY.sub(f"?{HIDDEN}", value)
    return redacted(value)
