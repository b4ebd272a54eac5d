"""The text of a configuration: TOML to a document, and the line of each key, which tomllib does not tell.

tomllib's memory grows with the square of a key's depth (`a.a.a… = 1` of 40 kB took more than 1 GB), so depth and number
of tables are limited before it reads the text.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assumed.errors import ConfigError

Document = dict[str, Any]
KeyPath = tuple[str | int, ...]
"""From the root of the document: `("roles", 2, "tags", "project")`."""

DEEPEST = 16
"""Parts of a dotted key or a table's name; the deepest option has three."""
MOST = 50_000
"""Lists and tables; a thousand roles take some five thousand."""

_PART = r"""(?: [A-Za-z0-9_-]++ | "(?:[^"\\\n]|\\.)*+" | '[^'\n]*+' )"""
_TOKEN = re.compile(
    rf"""
      (?P<comment> \#[^\n]*+ )
    | (?P<text> \"{{3}} (?: [^"\\] | \\[\s\S] | "(?!"") )*+ (?: "{{3,5}} | \\? \Z )
              | '{{3}} (?: [^'] | '(?!'') )*+ (?: '{{3,5}} | \Z ) )
    | (?P<key> {_PART} (?: [ \t]*+ \. [ \t]*+ {_PART} )*+ )
    | (?P<open> [\[{{] )
    | (?P<close> [\]}}] )
    | (?P<end> \n )
    """,
    re.VERBOSE,
)
_PARTS = re.compile(_PART, re.VERBOSE)

_ADVICE: tuple[tuple[str, str], ...] = (
    ("Illegal character '\\n'", 'close the string with "'),
    ("Unterminated string", 'close the string with "'),
    ("Illegal character", "remove it: it is a control character"),
    ("Expected '=' after a key", 'write key = value, e.g. profile = "my-role"'),
    ("Invalid initial character for a key", 'write key = value, e.g. profile = "my-role"'),
    ("Invalid statement", 'write key = value or [[roles]], e.g. profile = "my-role"'),
    ("Invalid value", 'put strings in quotes, e.g. region = "us-west-2"'),
    ("Invalid date or datetime", "put strings in quotes"),
    ("Expected newline or end of document", "write one key = value on each line"),
    ("Cannot overwrite a value", "the key is set twice; keep one"),
    ("Cannot declare", "the table exists already; write [[roles]] with two brackets for each role"),
    ("Cannot mutate immutable namespace", "the table exists already; put its keys into one place"),
    ("Cannot redefine namespace", "the table exists already; put its keys into one place"),
    ("Duplicate inline table key", "the key is set twice; keep one"),
    ("Unclosed array", "close the list with ]"),
    ("Unclosed inline table", "close the table with } on the line where it begins"),
    ("Expected ']]' at the end", "write [[roles]] with two brackets on either side"),
    ("Expected ']' at the end", "write [defaults]"),
    ("Unescaped '\\' in a string", "write \\\\ for a backslash, or put the string in single quotes"),
    ("Found invalid character in key", "put an unusual key in quotes"),
)
"""Beginning of tomllib's message → what would be right. The first that fits is shown."""


def parse(text: str, path: Path) -> Document:
    """The TOML document. Raises `ConfigError` with the line at which the text stops being a configuration."""
    _refuse_heavy(text, path)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problem = _explained(str(error), text)
    except RecursionError:
        problem = "1: is nested too deeply; two levels are enough for every option"
    except MemoryError:
        problem = "1: needs more memory than there is; shorten it"
    except ValueError:  # int() refuses numbers of more than 4300 digits
        problem = "1: contains a number of thousands of digits; no option needs one"
    raise ConfigError([f"{path}:{problem}"])


def _refuse_heavy(text: str, path: Path) -> None:
    opened = 0
    for token in _TOKEN.finditer(text):
        opened += token.lastgroup == "open"
        deep = token.lastgroup == "key" and token[0].count(".") >= DEEPEST and len(_PARTS.findall(token[0])) > DEEPEST
        if deep or opened > MOST:
            what = f"a key of more than {DEEPEST} parts" if deep else f"more than {MOST:,} lists and tables"
            line = text.count("\n", 0, token.start()) + 1
            raise ConfigError([f"{path}:{line}: has {what}; no configuration needs it"])


def _explained(message: str, text: str) -> str:
    found = re.search(r"\(at line (\d+)", message)
    line = found[1] if found else text.rstrip("\n").count("\n") + 1
    advice = next((right for beginning, right in _ADVICE if message.startswith(beginning)), "see https://toml.io")
    return f"{line}: is not TOML: {message}; {advice}"


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line (from 1) of every key, table header and item of a valid TOML `text`: where its statement begins."""
    lines: dict[KeyPath, int] = {}
    counts: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for line, statement in _statements(text):
        document = tomllib.loads(statement)
        if not statement.startswith("["):
            for path in _paths(document, table):
                lines.setdefault(path, line)
            continue
        table = ()
        for name, is_array in _header(document):
            table = (*table, name)
            lines.setdefault(table, line)
            if is_array:
                counts[table] = counts.get(table, -1) + 1
            if table in counts:
                table = (*table, counts[table])
                lines.setdefault(table, line)
    return lines


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each header and each `key = value`, with the line on which it begins."""
    begun, depth, line = 0, 0, 1
    for token in _TOKEN.finditer(f"{text}\n"):
        depth += (token.lastgroup == "open") - (token.lastgroup == "close")
        if token.lastgroup != "end" or depth:
            continue
        statement = text[begun : token.end()]
        if statement.strip() and not statement.lstrip().startswith("#"):
            yield line, statement.strip()
        line += statement.count("\n")
        begun = token.end()


def _header(document: Document) -> Iterator[tuple[str, bool]]:
    """The names of a table's header, and whether it begins another entry of an array of that name."""
    while document:
        ((name, inner),) = document.items()
        yield name, isinstance(inner, list)
        document = inner[0] if isinstance(inner, list) else inner


def _paths(value: object, at: KeyPath) -> Iterator[KeyPath]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inner:
        yield (*at, name)
        yield from _paths(item, (*at, name))
