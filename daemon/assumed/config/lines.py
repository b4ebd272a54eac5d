"""Where in the TOML text a key stands: tomllib tells values and no places.

Reads text that tomllib has accepted, so it need not judge, only count. One pass, and only when there is
something to report.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

KeyPath = tuple[str | int, ...]
"""From the root of the document: `("roles", 2, "tags", "project")`."""

_TOKEN = re.compile(
    r"""
      (?P<space> [ \t]+ | \#[^\n]* )
    | (?P<newline> \r?\n )
    | (?P<text> \"{3} (?: [^"\\] | \\[\s\S] | "(?!"") )*+ "{3,5}
              | '{3} (?: [^'] | '(?!'') )*+ '{3,5}
              | " (?: [^"\\\n] | \\. )*+ "
              | ' [^'\n]*+ ' )
    | (?P<mark> [\[\]{}=,.] )
    | (?P<bare> [^\s\[\]{}=,."'\#]+ )
    | (?P<other> [\s\S] )
    """,
    re.VERBOSE,
)
_END = ("end", "", 0)


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line (from 1) of every key, table header and list item of a valid TOML `text`."""
    reader = _Reader(text)
    reader.document()
    return reader.lines


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    line = 1
    for match in _TOKEN.finditer(text):
        kind, token = str(match.lastgroup), match.group()
        if kind != "space":
            yield kind, token, line
        line += token.count("\n")


class _Reader:
    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._tokens = _tokens(text)
        self._now = next(self._tokens, _END)
        self._counts: dict[KeyPath, int] = {}

    def document(self) -> None:
        table: KeyPath = ()
        while self._now != _END:
            kind, mark, _ = self._now
            if kind == "mark" and mark == "[":
                table = self._header()
            elif kind in ("bare", "text"):
                self._pair(table)
            else:
                self._next()

    def _next(self) -> tuple[str, str, int]:
        taken, self._now = self._now, next(self._tokens, _END)
        return taken

    def _skip(self, *marks: str) -> bool:
        if self._now[0] in ("mark", "newline") and self._now[1] in marks:
            self._next()
            return True
        return False

    def _header(self) -> KeyPath:
        line = self._next()[2]
        in_array = self._skip("[")
        *outer, last = self._key()
        table: KeyPath = (*self._current(outer), last)
        self.lines.setdefault(table, line)
        if in_array:
            self._counts[table] = self._counts.get(table, -1) + 1
        if table in self._counts:
            table = (*table, self._counts[table])
        self.lines.setdefault(table, line)
        while self._skip("]"):
            pass
        return table

    def _current(self, names: list[str]) -> KeyPath:
        """`names` with the index of the newest entry after each array of tables on the way."""
        path: KeyPath = ()
        for name in names:
            path = (*path, name)
            if path in self._counts:
                path = (*path, self._counts[path])
        return path

    def _key(self) -> list[str]:
        names = [_name(self._next()[1])]
        while self._skip("."):
            names.append(_name(self._next()[1]))
        return names

    def _pair(self, table: KeyPath) -> None:
        line = self._now[2]
        path = table
        for name in self._key():
            path = (*path, name)
            self.lines.setdefault(path, line)
        self._skip("=")
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        if self._skip("["):
            self._items(path)
            return
        if self._skip("{"):
            while not self._skip("}") and self._now != _END:
                if not self._skip(",", "\n", "\r\n"):
                    self._pair(path)
            return
        self._next()
        while self._now != _END and self._now[1] not in (",", "]", "}", "\n", "\r\n"):
            self._next()

    def _items(self, path: KeyPath) -> None:
        index = 0
        while not self._skip("]") and self._now != _END:
            if self._skip(",", "\n", "\r\n"):
                continue
            self.lines[*path, index] = self._now[2]
            self._value((*path, index))
            index += 1


def _name(token: str) -> str:
    if token.startswith("'"):
        return token[1:-1]
    if token.startswith('"'):
        return str(tomllib.loads(f"name = {token}")["name"])
    return token
