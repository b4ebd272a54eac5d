"""Files that a source needs (a login, a token, a CA bundle): what is wrong with one, in words that follow its name."""

from __future__ import annotations

import json
import os
from pathlib import Path

LARGEST = 1 << 20
"""Bytes of a login's cache or a token, a few thousand in fact; of a CA bundle, which begins with a certificate."""
MISSING = "does not exist"
BUNDLE_VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
"""In the order in which botocore asks them; the second after the profile's ca_bundle."""


def token_fault(path: Path) -> str:
    """What is wrong with a web identity token's file; empty where it holds one."""
    data, fault = _contents(path)
    if fault:
        return fault
    if not data.strip():
        return "is empty"
    try:
        data.decode()
    except UnicodeDecodeError:
        return "is not text"
    return ""


def login_fault(path: Path) -> str:
    """What is wrong with the cache of a login; empty where it looks like one."""
    data, fault = _contents(path)
    if fault:
        return fault
    if not data.strip():
        return "is empty"
    try:
        token = json.loads(data)
    except ValueError:
        return "is damaged (no JSON)"
    if not isinstance(token, dict) or not isinstance(token.get("accessToken"), str | dict):
        return "is damaged (no accessToken)"
    expires = token.get("expiresAt")
    if "sso" in path.parts and (not isinstance(expires, str) or not expires[:4].isdigit()):
        return "is damaged (no expiresAt)"
    return ""


def _contents(path: Path) -> tuple[bytes, str]:
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            return file.read(LARGEST), ""
    except FileNotFoundError:
        return b"", MISSING
    except OSError as error:
        return b"", f"cannot be read: {error.strerror}"


def bundle_fault(bundle: str) -> str:
    """What is wrong with a CA bundle; empty where it holds certificates. A directory of them may be one, too."""
    path = Path(bundle)
    try:
        if path.is_dir():
            return "is a directory"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    data, fault = _contents(path)
    return fault or ("" if b"-----BEGIN" in data else "holds no certificate")
