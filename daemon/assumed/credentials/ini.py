"""The grammar of the two AWS files as botocore reads them, line by line, and nothing more.

botocore reads the file with `configparser.RawConfigParser()` (botocore/configloader.py). One line that this
refuses takes every profile away from every botocore user, so such a file is refused here too, with the line and
what to do, and is never written. Where the SDKs disagree, botocore decides what a line means, and the stricter
one decides whether we touch the file. The lines are kept, so that what is not changed comes out as it went in.

Text is str here: `str.strip` and `str.lower` are what configparser applies, and on bytes they mean less.
No message shows a value, nor a key that may be a value in the wrong place.
"""

from __future__ import annotations

import codecs
import configparser
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field

from assumed.errors import FileRefused

DEFAULTS = "DEFAULT"
"""configparser's section of defaults: its keys appear in every profile that botocore reads."""

_LONE_CR = re.compile(r"\r(?!\n)")
_PLAIN_KEY = re.compile(r"[a-z0-9_.-]{1,32}")
_SEPARATOR = re.compile(r"[=:]")
_PROFILE_NAME = re.compile(r"[A-Za-z0-9_.@/%:+-]+")


_Found = tuple[str, dict[str, int], dict[str, int]]
"""Name, keys and tails of a section."""
_NestedFault = tuple[str, str, FileRefused]
"""Section, key, and what is wrong with a line under it."""


@dataclass(frozen=True, slots=True)
class Section:
    """One `[name]` with the lines under it, up to the next header. Lines are counted from the header, which is 0."""

    name: str
    text: str = field(repr=False)
    """All of its lines, with no newline after the last."""
    keys: dict[str, int]
    """Key in lower case → its line."""
    tails: dict[str, int]
    """Key → the last of its continuation lines; only for keys that have one."""

    def last(self) -> int:
        """The last line that says something: of the last key, or the header."""
        if not self.keys:
            return 0
        key, line = next(reversed(self.keys.items()))
        return self.tails.get(key, line)

    def values(self) -> dict[str, str]:
        """Key → the text behind its `=`; of a value that goes on over several lines, the first."""
        lines = self.text.split("\n")
        return {key: _SEPARATOR.split(lines[number], maxsplit=1)[1].strip() for key, number in self.keys.items()}


@dataclass(frozen=True, slots=True)
class Document:
    """A file that botocore can read, cut before each header: its pieces, joined by newlines, are the file."""

    preamble: str | None = field(repr=False)
    """The text before the first header; None when there is none, not even an empty line."""
    parts: tuple[Section, ...]
    """In the order of the file; `[DEFAULT]` is among them, perhaps twice."""
    carriage: str
    """What a line ends in before its newline: `\r` or nothing, as the first line does. The last line has it, too,
    as if a newline followed."""
    sections: dict[str, Section] = field(init=False)
    """Name → section, for every one but `[DEFAULT]`."""
    defaults: frozenset[str] = field(init=False)
    """Keys of `[DEFAULT]`."""

    def __post_init__(self) -> None:
        """Builds the two indexes."""
        named = {part.name: part for part in self.parts if part.name != DEFAULTS}
        object.__setattr__(self, "sections", named)
        leaking = (part.keys for part in self.parts if part.name == DEFAULTS) if len(named) < len(self.parts) else ()
        object.__setattr__(self, "defaults", frozenset().union(*leaking))

    def text(self) -> str:
        """The file."""
        pieces = [part.text for part in self.parts]
        if self.preamble is not None:
            pieces.insert(0, self.preamble)
        return "\n".join(pieces).removesuffix(self.carriage)

    def line(self, section: Section, number: int) -> int:
        """The number, from 1, of a section's line in the file."""
        before = [self.preamble] if self.preamble is not None else []
        before += [part.text for part in self.parts[: self.parts.index(section)]]
        return sum(text.count("\n") + 1 for text in before) + number + 1


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
    carriage = carriage_of(text)
    lines = (text + carriage).split("\n")
    starts: list[int] = []
    found: list[_Found] = []
    names: set[str] = set()
    defaults: set[str] = set()
    faults: list[_NestedFault] = []
    met: dict[str, str] = {}
    keys: dict[str, int] = {}
    tails: dict[str, int] = {}
    key: str | None = None
    start = -1
    depth = 0

    for number, line in enumerate(lines):
        before, equals, _ = line.partition("=")
        if equals and (known := met.get(before)) is not None and start >= 0:
            key, depth = known, 0
        else:
            content = line.strip()
            if not content or content[0] in "#;":
                continue
            indent = len(line) - len(line.lstrip())
            if key is not None and indent > depth:
                tails[key] = number - start
                faults += _nested_faults(number, line, lines[start + keys[key]], key, found[-1])
                continue
            depth, key = indent, None
            if content[0] == "[" and (close := content.rfind("]")) > 1:
                name = content[1:close]
                if name in names and name != DEFAULTS:
                    raise _twice(number, f"opens [{name}] a second time")
                names.add(name)
                keys, tails, start = {}, {}, number
                found.append((name, keys, tails))
                starts.append(number)
                continue
            if start < 0:
                raise _refused(number, "is before the first [profile]", "move it under a profile or delete it")
            key = _key(number, content)
            if indent == 0 and equals and before[0] != "[" and ":" not in before:
                met[before] = key
        if key in keys or (found[-1][0] == DEFAULTS and key in defaults):
            raise _twice(number, f"sets {_shown(key)} a second time in [{found[-1][0]}]")
        keys[key] = number - start
        if found[-1][0] == DEFAULTS:
            defaults.add(key)

    _refuse_nested(faults, found)
    ends = [*starts, len(lines)][1:]
    parts = tuple(
        Section(name, "\n".join(lines[start:end]), keys, tails)
        for (name, keys, tails), start, end in zip(found, starts, ends, strict=True)
    )
    first = starts[0] if starts else len(lines)
    return Document("\n".join(lines[:first]) if first else None, parts, carriage)


def carriage_of(text: str) -> str:
    """What new lines of a file should end in before their newline: what its first line does."""
    end = text.find("\n")
    return "\r" if end > 0 and text[end - 1] == "\r" else ""


def section_of(text: str) -> Section:
    """The section whose lines these are, header first. Raises FileRefused as `scan`, ValueError unless it is one."""
    (part,) = scan(text).parts
    if not text.startswith("["):
        raise ValueError("lines before the section's header")
    return Section(part.name, text, part.keys, part.tails)


def check_columns(document: Document) -> None:
    """Raises FileRefused where a header is indented: botocore can read that, but no tool can write beside it.

    The AWS CLI does not find such a header and appends a second one, which kills the file for botocore; Java and
    Rust read it as a continuation of the value above.
    """
    for part in document.parts:
        if not part.text.startswith("["):
            raise _refused(
                document.line(part, 0) - 1, "is an indented [profile]", "move its [ to the beginning of the line"
            )


def _key(number: int, content: str) -> str:
    separator = _SEPARATOR.search(content)
    if separator is None:
        raise _refused(number, "is neither a [profile] nor key = value", "mend it, delete it or put # before it")
    key = content[: separator.start()].rstrip().lower()
    if not key:
        raise _refused(number, "has no key before its = or :", "mend it, delete it or put # before it")
    return key


def _refuse_nested(faults: list[_NestedFault], found: list[_Found]) -> None:
    """A key of `[DEFAULT]` is parsed only in the sections that do not set it themselves."""
    for section, key, fault in faults:
        if section != DEFAULTS or any(key not in own for name, own, _ in found if name != DEFAULTS):
            raise fault


def _nested_faults(number: int, line: str, opening: str, key: str, section: _Found) -> list[_NestedFault]:
    """Of a key with nothing behind its `=` (`s3 =`), botocore parses the indented lines under it, too."""
    nested = _SEPARATOR.split(opening.strip(), maxsplit=1)[1] == ""
    if nested and any("=" not in part for part in line.splitlines() if part.strip()):
        what, advice = f"is under {_shown(key)} but not key = value", "mend it, delete it or put # before it"
        return [(section[0], key, _refused(number, what, advice))]
    return []


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


Values = dict[str, str]
"""Key in lower case → value; a nested block (`s3 =` and lines under it) is its text, newline first, unchanged."""


def read_sections(text: bytes, names: Iterable[str]) -> dict[str, Values | None]:
    """Each name's keys and values, those that leak from `[DEFAULT]` included; None where there is no such section.

    Raises FileRefused where botocore would refuse the file: then no reader gets anything.
    """
    document = scan(decode(text))
    parser = parser_of(document)
    return {name: values_of(document, name, parser) for name in names}


def read_section(text: bytes, name: str) -> Values | None:
    """One section, as `read_sections`. For several, that one is linear and this one is not."""
    return read_sections(text, [name])[name]


def parser_of(document: Document) -> configparser.RawConfigParser:
    """What reads the sections of a document that is known to be readable: it knows what leaks from `[DEFAULT]`."""
    parser = configparser.RawConfigParser()
    if document.defaults:
        for part in document.parts:
            if part.name == DEFAULTS:
                parser.read_string(part.text)
    return parser


def values_of(document: Document, name: str, parser: configparser.RawConfigParser) -> Values | None:
    """One section, by the parser of its document."""
    section = document.sections.get(name)
    if section is None:
        return None
    parser.read_string(section.text)
    values = dict(parser.items(name))
    parser.remove_section(name)  # it holds a thousand of them otherwise
    return values


def header_of(profile: str) -> str:
    """The text in brackets above a profile in the AWS config file."""
    return profile if profile == "default" else f"profile {profile}"


def profile_of(header: str) -> str | None:
    """The profile that a header of the AWS config file is about, as botocore's `build_profile_map` reads it."""
    if not header.startswith("profile"):
        return header if header == "default" else None
    try:
        words = shlex.split(header)
    except ValueError:
        return None
    return words[1] if len(words) == 2 and words[0] == "profile" else None


def is_profile_name(name: str) -> bool:
    """Whether every SDK reads `[name]` as a profile of that very name.

    The characters are those that the SDKs of today, Java's and JavaScript's included, all accept. `DEFAULT` is
    configparser's section of defaults, whose keys leak into every profile of botocore's; `__proto__` makes the
    JavaScript SDK throw.
    """
    return _PROFILE_NAME.fullmatch(name) is not None and name not in ("DEFAULT", "__proto__")
