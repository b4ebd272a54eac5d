"""Keys that were typed or pasted wrongly: what can be told by looking at them. No sentence shows one."""

from __future__ import annotations

import re
from collections.abc import Mapping

QUOTES = "\"'“”‘’`"
PLACEHOLDER = re.compile(
    r"<.*>|\{.*\}|\byour|your[_-]|x{4}|\*{3}|\.{3}|…|change.?me|replace|placeholder|(access|secret)[_-]key|todo",
    re.IGNORECASE,
)
OF_AWS = re.compile(r"AKIA[A-Z0-9]{16}")
"""A user's long-term key; those of sessions are written by programs, which do not mistype."""
OF_SESSION = re.compile(r"ASIA[A-Z0-9]{16}")
SECRET_OF_AWS = re.compile(r"[A-Za-z0-9/+]{40}")
DOCUMENTED = ("AKIAIOSFODNN7EXAMPLE", "AKIAI44QH8DHBEXAMPLE")
"""AWS's own examples, in every tutorial."""
NAMES = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
TOKENS = ("aws_session_token", "aws_security_token")
"""botocore reads both."""


def typed_wrong(values: Mapping[str, str], *, elsewhere: bool) -> tuple[str, str] | None:
    """What is wrong with a profile's keys, and what to do; None where nothing can be told.

    `elsewhere`: another server than AWS decides about them, so the shape of AWS's own says nothing.
    """
    for name in NAMES:
        value = values.get(name, "")
        if value and value[0] in QUOTES and value[-1] in QUOTES:
            return f"{name} is in quotes, which SDKs take for a part of it", "take the quotes away"
        if re.search(r"\s[#;]", value) or value.startswith(("#", ";")):
            return (
                f"{name} has a comment behind it, which SDKs take for a part of it",
                "put the comment on a line of its own",
            )
        if re.search(r"\s", value):
            return f"{name} has a space in it", "paste it again"
        if (value and value[0] in QUOTES) or (value and value[-1] in QUOTES):
            return f"{name} begins or ends with a quote", "take it away"
        if PLACEHOLDER.search(value) and not SECRET_OF_AWS.fullmatch(value) and name != "aws_session_token":
            return f"{name} is a placeholder", "put the real key in its place"
    key, secret = values.get("aws_access_key_id", ""), values.get("aws_secret_access_key", "")
    if key in DOCUMENTED:
        return "aws_access_key_id is the example of AWS's documentation", "put the real key in its place"
    return None if elsewhere else _unlike_aws(key, secret, has_token=any(values.get(name) for name in TOKENS))


def _unlike_aws(key: str, secret: str, *, has_token: bool) -> tuple[str, str] | None:
    if OF_AWS.fullmatch(secret):
        return "aws_secret_access_key is an access key id", "swap the two values"
    if OF_SESSION.fullmatch(key) and not has_token:
        return "aws_access_key_id is a session's, and there is no aws_session_token", "paste all three values"
    if OF_AWS.fullmatch(key.upper()):
        if key != key.upper():
            return "aws_access_key_id has small letters, which AWS's keys never have", "paste it again"
        if not SECRET_OF_AWS.fullmatch(secret):
            length = f"has {len(secret)} characters" if len(secret) != 40 else "has a character that AWS's never have"
            return f"aws_secret_access_key {length}; AWS's have 40 letters, digits, / and +", "paste it again"
    return None
