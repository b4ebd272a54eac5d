"""Names of kept profiles, and the file names that stand for them."""

from __future__ import annotations

import hashlib
import re
import shlex

_NAME = re.compile(r"[A-Za-z0-9_.@/%:+-]+")
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")
_LONGEST_FILE_NAME = 180
"""Bytes; file systems allow 255, and a temporary file's name is longer than the file's own."""


def is_profile_name(name: str) -> bool:
    """Whether every SDK reads `[name]` as a profile of that very name.

    The characters are those that the SDKs of today, Java's and JavaScript's included, all accept. `DEFAULT` is
    configparser's section of defaults, whose keys leak into every profile of botocore's; `__proto__` makes the
    JavaScript SDK throw.
    """
    return _NAME.fullmatch(name) is not None and name not in ("DEFAULT", "__proto__")


def header_of(profile: str) -> str:
    """What stands in brackets above a profile in the AWS config file."""
    return profile if profile == "default" else f"profile {profile}"


def profile_of(header: str) -> str | None:
    """The profile that a header of the AWS config file is about, as botocore's `build_profile_map` reads it."""
    if not header.startswith("profile"):
        return header if header == "default" else None
    try:
        words = shlex.split(header)
    except ValueError:
        return None
    return words[1] if len(words) == 2 and words[0] == "profile" else None


def safe_name(profile: str) -> str:
    """A file name for `profile`: one to one, also where the file system folds case (macOS).

    `[a-z0-9_-]` stay; every other byte of the UTF-8 text is `=XX`. A name too long for a file system is cut and
    ends in `==` and a digest instead, which no other name can.
    """
    safe = "".join(char if char in _SAFE else "".join(f"={byte:02X}" for byte in char.encode()) for char in profile)
    if len(safe) <= _LONGEST_FILE_NAME:
        return safe
    return f"{safe[:120]}=={hashlib.sha256(profile.encode()).hexdigest()[:32]}"
