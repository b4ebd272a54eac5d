"""The grammar of `~/.aws/credentials` as botocore reads it, line by line, and nothing more.

botocore reads the file with `configparser.RawConfigParser()` (botocore/configloader.py). One line that this
refuses takes every profile away from every botocore user, so such a file is refused here too, with the line and
what to do, and is never written. Where the SDKs disagree, botocore decides what a line means, and the stricter
one decides whether we touch the file. The lines are kept, so that what is not changed comes out as it went in.

Text is str here: `str.strip` and `str.lower` are what configparser applies, and on bytes they mean less.
No message shows a value, nor a key that may be a value in the wrong place.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field

from .errors import FileRefused

DEFAULTS = "DEFAULT"
"""configparser's section of defaults: its keys appear in every profile that botocore reads."""

_LONE_CR = re.compile(r"\r(?!\n)")
_PLAIN_KEY = re.compile(r"[a-z0-9_.-]{1,32}")
_SEPARATOR = re.compile(r"[=:]")


@dataclass(slots=True)
class Section:
    """One `[name]` and the lines under it. Numbers are indices of lines, from 0."""

    name: str
    start: int
    """The header's line."""
    end: int
    """The line after the section's last: the next header, or the number of lines."""
    keys: dict[str, int] = field(default_factory=dict)
    """Key in lower case → its line."""
    tails: dict[str, int] = field(default_factory=dict)
    """Key → the last of its continuation lines; only for keys that have one."""

    def last(self) -> int:
        """The last line that says something: of the last key, or the header."""
        if not self.keys:
            return self.start
        key, line = next(reversed(self.keys.items()))
        return self.tails.get(key, line)


@dataclass(slots=True)
class Document:
    """A file that botocore can read."""

    lines: list[str]
    """Without their `\\n` (a `\\r` before it stays); the last is empty when the file ends in a newline."""
    sections: dict[str, Section]
    """Every section but `[DEFAULT]`, in the order of the file."""
    defaults: frozenset[str]
    """Keys of `[DEFAULT]`."""
    default_spans: list[tuple[int, int]]
    """First line and line after the last of each `[DEFAULT]`: that one may come twice."""


def decode(data: bytes) -> str:
    """The file's text. Raises FileRefused for what botocore cannot decode, and for what only a mishap leaves."""
    if data.startswith(codecs.BOM_UTF8):
        raise _refused(0, "begins with a byte order mark", "save the file as UTF-8 without BOM")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start)
        raise _refused(line, "is not UTF-8", "save the file as UTF-8, or take the character out") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0"))
        raise _refused(line, "holds a NUL byte, as a crash or a full disk leaves it", "mend or delete the line")
    if "\r" in text and (lone := _LONE_CR.search(text)):
        line = text.count("\n", 0, lone.start())
        raise _refused(line, "holds a carriage return that ends no line", "save it with Unix or Windows line endings")
    return text


def scan(text: str) -> Document:
    """Where every section and key is. Raises FileRefused, naming the line, when botocore would refuse the file.

    Follows `RawConfigParser._read`. A line whose text before the `=` was met before takes the short way, so that
    5,000 profiles take some milliseconds.
    """
    lines = text.split("\n")
    sections: dict[str, Section] = {}
    default_sections: list[Section] = []
    defaults: dict[str, int] = {}
    met: dict[str, str] = {}
    section: Section | None = None
    keys: dict[str, int] = {}
    key: str | None = None
    depth = 0

    for number, line in enumerate(lines):
        before, equals, _ = line.partition("=")
        if equals and (known := met.get(before)) is not None and section is not None:
            key, depth = known, 0
        else:
            said = line.strip()
            if not said or said[0] in "#;":
                continue
            indent = len(line) - len(line.lstrip())
            if key is not None and section is not None and indent > depth:
                _continue(lines, number, section, lines[keys[key]], key)
                continue
            depth, key = indent, None
            if said[0] == "[" and (close := said.rfind("]")) > 1:
                if section is not None:
                    section.end = number
                section = _open(number, said[1:close], sections)
                keys = section.keys
                if section.name == DEFAULTS:
                    keys = defaults
                    default_sections.append(section)
                continue
            if section is None:
                raise _refused(number, "stands before the first [profile]", "move it under a profile or delete it")
            key = _key(number, said)
            if indent == 0 and equals and before[0] != "[" and ":" not in before:
                met[before] = key
        if key in keys:
            raise _twice(number, f"sets {_shown(key)} a second time in [{section.name}]")
        keys[key] = number

    if section is not None:
        section.end = len(lines)
    spans = [(default.start, default.end) for default in default_sections]
    return Document(lines, sections, frozenset(defaults), spans)


def _open(number: int, name: str, sections: dict[str, Section]) -> Section:
    section = Section(name, number, number)
    if name == DEFAULTS:
        return section
    if name in sections:
        raise _twice(number, f"opens [{name}] a second time")
    sections[name] = section
    return section


def check_columns(document: Document) -> None:
    """Raises FileRefused where a header is indented: botocore can read that, but nobody can write beside it.

    The AWS CLI does not find such a header and appends a second one, which kills the file for botocore; Java and
    Rust read it as a continuation of the value above.
    """
    for section in document.sections.values():
        if not document.lines[section.start].startswith("["):
            raise _refused(section.start, "is an indented [profile]", "move its [ to the beginning of the line")


def _key(number: int, said: str) -> str:
    separator = _SEPARATOR.search(said)
    if separator is None:
        raise _refused(number, "is neither a [profile] nor key = value", "mend it, delete it or put # before it")
    key = said[: separator.start()].rstrip().lower()
    if not key:
        raise _refused(number, "has no key before its = or :", "mend it, delete it or put # before it")
    return key


def _continue(lines: list[str], number: int, section: Section, opening: str, key: str) -> None:
    """A line that is indented deeper than the key above it belongs to that key's value."""
    section.tails[key] = number
    nested = _SEPARATOR.split(opening.strip(), maxsplit=1)[1] == ""  # `s3 =`: botocore parses what is under it too
    if nested and any("=" not in part for part in lines[number].splitlines() if part.strip()):
        raise _refused(number, f"is under {_shown(key)} but not key = value", "mend it, delete it or put # before it")


def _shown(key: str) -> str:
    """A key may be a secret that was pasted on a line of its own and ends in `=`."""
    return f"`{key}`" if _PLAIN_KEY.fullmatch(key) else "a key"


def _twice(number: int, what: str) -> FileRefused:
    return _refused(number, what, "keep one of the two")


def _refused(number: int, what: str, advice: str) -> FileRefused:
    return FileRefused(
        f"line {number + 1} {what}: botocore and the AWS CLI cannot read such a file, or not safely",
        advice[0].upper() + advice[1:],
    )
