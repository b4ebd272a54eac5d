"""What a unit file and its drop-ins say, read as systemd reads them. Text in, values out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

Settings = dict[str, list[str]]
"""Key of `[Service]` → its values in order; an empty one has taken away those before it."""

_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'|((?:[^\s"\'\\]|\\.)+)', re.DOTALL)
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)


def settings(texts: Iterable[str]) -> Settings:
    """The `[Service]` settings of a unit and then its drop-ins."""
    found: Settings = {}
    for text in texts:
        section = ""
        for line in map(str.strip, text.replace("\\\n", " ").splitlines()):
            if line.startswith("["):
                section = line
            if section != "[Service]" or line.startswith(("#", ";")) or "=" not in line:
                continue
            key, _, value = line.partition("=")
            key, value = key.strip(), value.strip()
            if value:
                found.setdefault(key, []).append(value)
            else:
                found[key] = []
    return found


def words(value: str, specifiers: Mapping[str, str]) -> list[str]:
    """The words of a value, unquoted, each specifier (`h` for `%h`) put in; unknown ones stay."""
    found: list[str] = []
    rest = value.strip()
    while rest:
        word = ""
        while match := _WORD.match(rest):
            word += re.sub(r"\\(.)", r"\1", match[1] or match[2] or match[3] or "", flags=re.DOTALL)
            rest = rest[match.end() :]
        if rest and not rest[0].isspace():  # an open quote: systemd takes none of the line
            return found
        found.append(expanded(word, specifiers))
        rest = rest.lstrip()
    return found


def expanded(text: str, specifiers: Mapping[str, str]) -> str:
    """The text with its specifiers put in."""
    return re.sub(r"%(.)", lambda match: {**specifiers, "%": "%"}.get(match[1], match[0]), text)


def program(value: str, specifiers: Mapping[str, str]) -> list[str]:
    """The command of an `ExecStart=` value, without systemd's prefixes."""
    return words(value.lstrip("@-:+!"), specifiers)


def assignments(values: Iterable[str], specifiers: Mapping[str, str]) -> dict[str, str]:
    """The variables that `Environment=` sets."""
    pairs = (_ASSIGNMENT.fullmatch(word) for value in values for word in words(value, specifiers))
    return {pair[1]: pair[2] for pair in pairs if pair is not None}
