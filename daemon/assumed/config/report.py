"""Collects every problem of one file, each a line that says where, what is wrong, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from assumed.redact import quoted

from .lines import KeyPath, key_lines

Document = dict[str, Any]


MOST = 100
"""Problems of one file that are told: who corrects those sees the next."""


class TooMany(Exception):
    """There are MOST problems: looking for more would only take time."""


class Report:
    """The problems found so far in the file at `path`. Lines are looked up only when there is a problem.

    `most`: what adds so many raises TooMany.
    """

    def __init__(self, path: Path, text: str, document: Document, most: int | None = None) -> None:
        self._path = path
        self._text = text
        self._document = document
        self._most = most
        self._found: list[tuple[int, int, str]] = []

    @cached_property
    def _lines(self) -> dict[KeyPath, int]:
        return key_lines(self._text)

    def line(self, at: KeyPath) -> int:
        """The line of `at`, or of the nearest thing around it that has one."""
        while at and at not in self._lines:
            at = at[:-1]
        return self._lines.get(at, 1)

    def sentence(self, at: KeyPath, what: str) -> str:
        """`what` with the file, line, table and key of `at` before it."""
        return ": ".join(part for part in (f"{self._path}:{self.line(at)}", self._locus(at), what) if part)

    def add(self, at: KeyPath, what: str) -> None:
        """A problem with the key, table or entry `at`."""
        self._found.append((self.line(at), len(self._found), self.sentence(at, what)))
        if self._most is not None and len(self._found) >= self._most:
            raise TooMany

    def add_elsewhere(self, where: str, what: str) -> None:
        """A problem outside of the file: an environment variable, say."""
        self._found.append((0, len(self._found), f"{where}: {what}"))

    def problems(self) -> list[str]:
        """In the order of the file; what two of its values have in common once."""
        return list(dict.fromkeys(sentence for _, _, sentence in sorted(self._found)))

    def _locus(self, at: KeyPath) -> str:
        match at:
            case ("roles", int(index), *rest):
                return " ".join([f"roles[{index}]", *self._profile(index), *_key_words(rest)])
            case ("defaults" | "hooks" as table, *rest):
                return " ".join([f"[{table}]", *_key_words(rest)])
        return " ".join(_key_words(list(at)))

    def _profile(self, index: int) -> list[str]:
        roles = self._document.get("roles")
        entry = roles[index] if isinstance(roles, list) and index < len(roles) else None
        name = entry.get("profile") if isinstance(entry, dict) else None
        return [show(name)] if isinstance(name, str) else []


def _key_words(names: list[str | int]) -> list[str]:
    if not names:
        return []
    words = escape(str(names[0]))
    for name in names[1:]:
        words += f"[{name}]" if isinstance(name, int) else f".{escape(name)}"
    return [f"key {words}"]


def escape(text: str, longest: int = 80) -> str:
    """`text` on one line, cut where it is long: what a user typed may hold line ends and terminal controls, and keys
    that were pasted into the wrong place."""
    return quoted(text, longest)


def show(value: object) -> str:
    """A TOML value as it may stand in a sentence: one line, not endless."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{escape(value)}"'
        case int() if value.bit_length() > 64:  # str() refuses integers of more than 4300 digits
            return "a number of more than 64 bits"
    return escape(str(value))


def type_words(value: object) -> str:
    """What kind of TOML value it is, in words."""
    match value:
        case bool():
            return f"is {show(value)}"
        case str():
            return "is text"
        case int() | float():
            return f"is the number {show(value)}"
        case list():
            return "is a list"
        case dict():
            return "is a table"
    return "is a date or time"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant."""
    found = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def listed(names: Iterable[str], last: str = "or") -> str:
    """`a, b or c`."""
    *head, tail = names
    return f"{', '.join(head)} {last} {tail}" if head else tail
