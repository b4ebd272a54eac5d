"""The configuration: TOML text to a frozen `Config`, or every error at once; the difference of two of them."""

from __future__ import annotations

from .diff import Changes, diff
from .load import load, missing_sources, role_problems
from .model import Config, Hooks, HostFacts
from .places import SMALLEST_USEFUL, find, host_facts, read, session_name

__all__ = [
    "SMALLEST_USEFUL",
    "Changes",
    "Config",
    "Hooks",
    "HostFacts",
    "diff",
    "find",
    "host_facts",
    "load",
    "missing_sources",
    "read",
    "role_problems",
    "session_name",
]
