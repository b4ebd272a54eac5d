"""Collects every problem of one file, each a line that says where, what is wrong, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from assumed.redact import quoted

from .lines import Document, KeyPath, key_lines

MOST = 100
"""Problems of one file that are reported; who corrects those sees the next."""
LONGEST = 80
"""Characters of what a user typed: it may hold line ends, terminal controls, and keys pasted into the wrong place."""
_TYPES = ((str, "string"), (list, "list"), (dict, "table"))


class TooMany(Exception):
    """There are MOST problems: looking for more would only take time."""


@dataclass
class Report:
    """The problems found so far in the file at `path`. Lines are looked up only when there is a problem."""

    path: Path
    text: str
    document: Document
    _found: list[tuple[int, int, str]] = field(default_factory=list)

    @cached_property
    def _lines(self) -> dict[KeyPath, int]:
        return key_lines(self.text)

    def line(self, at: KeyPath) -> int:
        """The line of `at`, or of the nearest thing around it that has one."""
        while at and at not in self._lines:
            at = at[:-1]
        return self._lines.get(at, 1)

    def add(self, at: KeyPath | str, what: str) -> None:
        """A problem with the key, table or entry `at`, or with a variable of the environment. Raises TooMany."""
        line, where = 0, at
        if not isinstance(at, str):
            line = self.line(at)
            where = ": ".join(part for part in (f"{self.path}:{line}", self._locus(at)) if part)
        self._found.append((line, len(self._found), f"{where}: {what}"))
        if len(self._found) >= MOST:
            raise TooMany

    def problems(self) -> list[str]:
        """In the order of the file; what two of its values have in common once."""
        return list(dict.fromkeys(problem for _, _, problem in sorted(self._found)))

    def _locus(self, at: KeyPath) -> str:
        match at:
            case ("roles", int(index), *rest):
                table = f"roles[{index}]{self._profile(index)}"
            case ("defaults" | "hooks" as name, *rest):
                table = f"[{name}]"
            case _:
                table, rest = "", list(at)
        key = ".".join(quoted(str(name), LONGEST) for name in rest)
        return f"{table} key {key}".strip() if key else table

    def _profile(self, index: int) -> str:
        match self.document:
            case {"roles": list(roles)} if index < len(roles):
                name = roles[index].get("profile") if isinstance(roles[index], dict) else None
                return f" {show(name)}" if isinstance(name, str) else ""
        return ""


def show(value: object) -> str:
    """A TOML value as it may stand in a sentence: one line, not endless."""
    if isinstance(value, str):
        return f'"{quoted(value, LONGEST)}"'
    if isinstance(value, int) and value.bit_length() > 64:  # str() refuses integers of more than 4300 digits
        return "a number of more than 64 bits"
    return quoted(str(value).lower() if isinstance(value, bool) else str(value), LONGEST)


def type_words(value: object) -> str:
    """What kind of TOML value it is, in words."""
    if isinstance(value, int | float):
        return f"is {show(value)}"
    return next((f"is a {word}" for kind, word in _TYPES if isinstance(value, kind)), "is a date or time")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant; letters' case does not count."""
    names = {one.lower(): one for one in known}
    return next((names[found] for found in difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.6)), None)


def listed(names: Iterable[str], last: str = "or") -> str:
    """`a, b or c`."""
    *head, tail = names
    return f"{', '.join(head)} {last} {tail}" if head else tail
