"""What a text must not be before tomllib reads it: its memory grows with the square of a key's depth.

`a.a.a… = 1` of 40 kB took more than 1 GB. Strings and comments are skipped, whatever is in them.
"""

from __future__ import annotations

import re
from pathlib import Path

from assumed.errors import ConfigError

DEEPEST = 16
"""Parts of a dotted key or a table's name; the deepest option has three."""
MOST = 50_000
"""Lists and tables; a thousand roles take some five thousand."""

_PART = r"""(?: [A-Za-z0-9_-]++ | "(?:[^"\\\n]|\\.)*+" | '[^'\n]*+' )"""
_NEXT = rf"(?: [ \t]*+ \. [ \t]*+ {_PART} )"
_TOKEN = re.compile(
    rf"""
      \#[^\n]*+
    | \"{{3}} (?: [^"\\] | \\[\s\S] | "(?!"") )*+ (?: "{{3,5}} | \\? \Z )
    | '{{3}} (?: [^'] | '(?!'') )*+ (?: '{{3,5}} | \Z )
    | (?P<key> {_PART} {_NEXT}*+ )
    | (?P<open> [\[{{] )
    """,
    re.VERBOSE,
)
_PARTS = re.compile(_PART, re.VERBOSE)


def check(text: str, path: Path) -> None:
    """Raises ConfigError, with the line, for a text that is too deep or holds too many tables to be a configuration."""
    opened = 0
    for match in _TOKEN.finditer(text):
        if match.lastgroup == "open":
            opened += 1
            if opened > MOST:
                raise _refusal(text, match, path, f"holds more than {MOST:,} lists and tables")
        elif match.lastgroup == "key" and match[0].count(".") >= DEEPEST and len(_PARTS.findall(match[0])) > DEEPEST:
            raise _refusal(text, match, path, f"a key of more than {DEEPEST} parts; the deepest option has three")


def _refusal(text: str, match: re.Match[str], path: Path, what: str) -> ConfigError:
    line = text.count("\n", 0, match.start()) + 1
    return ConfigError([f"{path}:{line}: {what}"])
