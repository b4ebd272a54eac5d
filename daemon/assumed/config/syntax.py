"""TOML text to a document, or one sentence: tomllib's messages with what to do about them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from assumed.errors import ConfigError

from . import bounds
from .report import Document

# Beginning of tomllib's message -> what would be right. The first that fits is said.
_ADVICE: tuple[tuple[str, str], ...] = (
    ("Illegal character '\\n'", 'a text ends on its line; close it with "'),
    ("Unterminated string", 'close the text with "'),
    ("Illegal character", "remove it: it is a control character"),
    ("Expected '=' after a key", 'write key = value, as in profile = "my-role"'),
    ("Invalid initial character for a key", 'write key = value, as in profile = "my-role"'),
    ("Invalid statement", 'write key = value or [[roles]], as in profile = "my-role"'),
    ("Invalid value", 'texts stand in quotes, as in region = "us-west-2"'),
    ("Invalid date or datetime", "texts stand in quotes"),
    ("Expected newline or end of document", "one key = value on each line"),
    ("Cannot overwrite a value", "the key is set twice; keep one"),
    ("Cannot declare", "the table is there already; write [[roles]] with two brackets for each role"),
    ("Cannot mutate immutable namespace", "the table is there already; put the keys into one place"),
    ("Cannot redefine namespace", "the table is there already; put the keys into one place"),
    ("Duplicate inline table key", "the key is set twice; keep one"),
    ("Unclosed array", "close the list with ]"),
    ("Unclosed inline table", "close the table with } on the line where it begins"),
    ("Expected ']]' at the end", "write [[roles]] with two brackets on either side"),
    ("Expected ']' at the end", "write [defaults]"),
    ("Unescaped '\\' in a string", "write \\\\ for a backslash, or put the text in single quotes"),
    ("Found invalid character in key", "put an unusual key into quotes"),
)


def parse(text: str, path: Path) -> Document:
    """The TOML document. Raises `ConfigError` with where the text stops being TOML, and what would be right."""
    bounds.check(text, path)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_sentence(str(error), text, path)]) from None
    except RecursionError:
        raise ConfigError([f"{path}:1: is nested too deeply; two levels are enough for every option"]) from None
    except MemoryError:
        raise ConfigError([f"{path}:1: needs more memory than there is; shorten it"]) from None
    except ValueError:  # int() refuses numbers of more than 4300 digits
        raise ConfigError([f"{path}:1: holds a number of thousands of digits; none of the options needs one"]) from None


def _sentence(message: str, text: str, path: Path) -> str:
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message, re.DOTALL)
    what = found[1] if found else message
    line = int(found[2]) if found and found[2] else text.rstrip("\n").count("\n") + 1
    place = f"column {found[3]}" if found and found[3] else "the end of the file"
    advice = next((right for beginning, right in _ADVICE if what.startswith(beginning)), "see https://toml.io")
    return f"{path}:{line}: is not TOML at {place}: {what[0].lower()}{what[1:]}; {advice}"
