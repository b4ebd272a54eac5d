"""Shared by these tests: ARNs, keys as readers find them, programs and processes of this machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from botocore.exceptions import ConfigNotFound

from world.daemon import Home

ACCOUNT = "123456789012"


def arn(profile: str) -> str:
    """The role of a profile."""
    return f"arn:aws:iam::{ACCOUNT}:role/{profile}"


def key_of(home: Home, profile: str) -> str:
    """The access key id that a reader of the profile gets; empty if there is none."""
    try:
        return (home.profile(profile) or {}).get("aws_access_key_id", "")
    except ConfigNotFound:
        return ""


def needs_root() -> None:
    """Skips if this user cannot become another one."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")


def program(name: str) -> str:
    """The path of a program. Skips if it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def alive(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
