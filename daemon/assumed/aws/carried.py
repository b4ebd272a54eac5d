"""What a shell has set and a service would not see: which variables it takes along, and how they are written.

Never credentials: those belong to a source profile, or into `LoadCredential=`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from assumed.redaction import HIDDEN, redacted

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

_USER_INFO = re.compile(r"^((?:[a-zA-Z][a-zA-Z0-9+.-]*:)?//)?.*@", re.DOTALL)
_QUERY = re.compile(r"\?.+", re.DOTALL)
"""A gateway's token may stand there."""
_LINE = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^\n]*))""",
    re.MULTILINE | re.DOTALL,
)
HEADER = """\
# What the shell had set that ran `assumed service install`, and that the service would not see otherwise.
# Written anew by it. Its mode is 0600: a proxy's URL may hold a password.
"""


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


def environment_file(variables: Mapping[str, str]) -> str:
    """The text of an `EnvironmentFile=` (systemd.exec(5)): in double quotes, `\\` before `"`, `\\`, `` ` `` and `$`."""
    escaped = {name: re.sub(r'(["\\`$])', r"\\\1", value) for name, value in variables.items()}
    return HEADER + "".join(f'{name}="{value}"\n' for name, value in escaped.items())


def read_environment_file(text: str) -> dict[str, str]:
    """The variables of an `EnvironmentFile=`."""
    found = {}
    for match in _LINE.finditer(text):
        name, double, single, bare = match.groups()
        if double is not None:
            found[name] = re.sub(r'\\(["\\`$])', r"\1", double)
        else:
            found[name] = single if single is not None else bare.strip()
    return found
