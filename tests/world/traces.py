"""strace output of a program with several threads."""

from __future__ import annotations

import re
from collections.abc import Iterator

_UNFINISHED = re.compile(r"^(?P<pid>\d+) +(?P<begun>.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"^(?P<pid>\d+) +<\.\.\. \w+ resumed>(?P<rest>.*)$")


def whole_lines(trace: str) -> Iterator[str]:
    """The calls of a trace in which several threads interrupt each other, one per line."""
    begun: dict[str, str] = {}
    for line in trace.splitlines():
        if part := _UNFINISHED.match(line):
            begun[part["pid"]] = part["begun"]
        elif part := _RESUMED.match(line):
            yield f"{part['pid']} {begun.pop(part['pid'], '')}{part['rest']}"
        else:
            yield line
