"""Text → the same text without what looks like a credential."""

from __future__ import annotations

import re

# What a credential looks like: an access key id, a 40-character secret, a long base64 token (of either alphabet; one
# that begins with a slash is a path), a JSON web token. `=` may stand before a secret (`key=SECRET`), never in it.
# 40 characters of base64 without a capital or a small letter are no secret (1 in 10^9) but a path or a digest.
KEY_ID = re.compile(r"(?<![A-Za-z0-9])(A[KS]IA[A-Z0-9]{8,124})(?![A-Za-z0-9])")
SECRET = re.compile(
    r"(?<![A-Za-z0-9/+])(?=[a-z0-9/+]*[A-Z])(?=[A-Z0-9/+]*[a-z])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])"
    r"|(?<![A-Za-z0-9/+_-])[A-Za-z0-9+_-][A-Za-z0-9/+=_-]{99,}"
    r"|(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)?"
)
REDACTED = "[redacted]"

# Of a URL neither user nor password, nor the query, in which a gateway's token may stand. Up to the last @: a password
# may hold any character where someone forgot to percent-encode it. What follows a host's colon and is no port is the
# beginning of such a password.
_URL_USER = re.compile(r"((?:\b[A-Za-z][A-Za-z0-9+.-]*:)?//)[^\s\"'<>]+@")
_URL_QUERY = re.compile(r"((?:\b[A-Za-z][A-Za-z0-9+.-]*:)?//[^\s\"'<>?]*\?)[^\s\"'<>]+")
_URL_PORT = re.compile(
    r"(//(?:[^\s:/@\"'<>?#\[\]]+|\[[0-9A-Fa-f:.]+\]):)(?![0-9]*(?:[\s/\"'<>?#.,;:)\]}]|$))[^\s\"'<>]+"
)
HIDDEN = "[hidden]"


def redacted(text: str) -> str:
    """`text` with no credential of a known form; of a key id the last four characters stay."""
    if "//" in text:
        text = _URL_USER.sub(rf"\1{HIDDEN}@", text)
        text = _URL_QUERY.sub(rf"\1{HIDDEN}", text)
        text = _URL_PORT.sub(rf"\1{HIDDEN}", text)
    return SECRET.sub(REDACTED, KEY_ID.sub(lambda match: f"[key …{match[1][-4:]}]", text))
