"""What a reader gets: the sections of a credentials file as botocore reads them.

Read by configparser itself, section by section, so that it checks the surgery with another's eyes.
"""

from __future__ import annotations

import configparser
from collections.abc import Iterable

from .ini import DEFAULTS, Document, decode, scan

Values = dict[str, str]
"""Key in lower case → value; a nested block (`s3 =` and lines under it) is its text, newline first, as it stands."""


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
