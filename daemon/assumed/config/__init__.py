"""The configuration: TOML text to a frozen `Config`, or every error at once; the difference of two of them."""

from __future__ import annotations

from .load import load, role_problems
from .model import Changes, Config, Hooks, HostFacts, diff, session_name
from .places import SMALLEST_USEFUL, find, host_facts, read

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
    "read",
    "role_problems",
    "session_name",
]
