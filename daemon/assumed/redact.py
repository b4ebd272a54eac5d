"""The one gate for text from outside: cut, redacted, and on one line that no terminal, journal or reader acts on.

What STS, proxies, helpers, hooks and exceptions say passes it where it enters (`errors`), and once more where it
leaves: in the log, in status, in a hook's environment, on a command's stderr.
"""

from __future__ import annotations

import math
import re
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

# What a credential looks like: an access key id, a 40-character secret, a long base64 token (of either alphabet; one
# that begins with a slash is a path), a JSON web token. `=` may precede a secret (`key=SECRET`), never in it.
# 40 characters of base64 without a capital or a small letter are no secret (1 in 10^9) but a path or a digest.
KEY_ID = re.compile(r"(?<![A-Za-z0-9])(A[KS]IA[A-Z0-9]{8,124})(?![A-Za-z0-9])")
SECRET = re.compile(
    r"(?<![A-Za-z0-9/+])(?=[a-z0-9/+]*[A-Z])(?=[A-Z0-9/+]*[a-z])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])"
    r"|(?<![A-Za-z0-9/+_-])[A-Za-z0-9+_-][A-Za-z0-9/+=_-]{99,}"
    r"|(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)?"
)
REDACTED = "[redacted]"

# Of a URL neither user nor password, nor the query, which may hold a gateway's token. Up to the last @: a password
# may hold any character where someone forgot to percent-encode it. What follows a host's colon and is no port is the
# beginning of such a password.
_URL_USER = re.compile(r"((?:\b[A-Za-z][A-Za-z0-9+.-]*:)?//)[^\s\"'<>]+@")
_URL_QUERY = re.compile(r"((?:\b[A-Za-z][A-Za-z0-9+.-]*:)?//[^\s\"'<>?]*\?)[^\s\"'<>]+")
_URL_PORT = re.compile(
    r"(//(?:[^\s:/@\"'<>?#\[\]]+|\[[0-9A-Fa-f:.]+\]):)(?![0-9]*(?:[\s/\"'<>?#.,;:)\]}]|$))[^\s\"'<>]+"
)
HIDDEN = "[hidden]"

LONGEST = 1000
"""Characters of a text. AWS's own messages have a few hundred."""
MOST = 2500
"""Characters of a value with parts, in an event. journald splits a line of more than 48 KiB (LineMax= in
journald.conf(5)), and reads a `<0>` at the beginning of its second part as a priority."""
LOOKED_AT = 16 * LONGEST
"""Characters that are looked at of a longer text: every secret in what is shown of it lies wholly within."""
TRACEBACK_LINES, TRACEBACK_WIDTH = 40, 300

GUARDED_LEAST = 8
"""Characters of a secret that is worth guarding: a shorter one would blot out words."""
GUARDED_EACH = 4
"""Secrets kept for each owner: two sessions' worth, because the old one is good until it ends."""

_WORD = re.compile(r"\S+")

_guarded: dict[str, deque[str]] = {}
"""Owner → its secrets."""
_by_length: dict[int, Counter[str]] = {}
"""The same: length → secret → how many owners have it. Most texts are too short for any, and pay nothing."""
_lock = threading.RLock()
"""Reentrant: memory may be tidied up, and an error in that be logged, in the midst of a line."""


def redacted(text: str) -> str:
    """`text` with no credential of a known form; of a key id the last four characters stay."""
    if "//" in text:
        text = _URL_USER.sub(rf"\1{HIDDEN}@", text)
        text = _URL_QUERY.sub(rf"\1{HIDDEN}", text)
        text = _URL_PORT.sub(rf"\1{HIDDEN}", text)
    return SECRET.sub(REDACTED, KEY_ID.sub(lambda match: f"[key …{match[1][-4:]}]", text))


def guard(owner: str, *secrets: str | None) -> None:
    """Never print these again, for as long as `owner` (a role, a source) has no newer ones."""
    with _lock:
        kept = _guarded.setdefault(owner, deque())
        for secret in secrets:
            if secret is None or len(secret) < GUARDED_LEAST or secret in kept:
                continue
            kept.append(secret)
            _by_length.setdefault(len(secret), Counter())[secret] += 1
            if len(kept) > GUARDED_EACH:
                _forget(kept.popleft())


def _forget(secret: str) -> None:
    alike = _by_length[len(secret)]
    alike[secret] -= 1
    if not alike[secret]:
        del alike[secret]
    if not alike:
        del _by_length[len(secret)]


def clean(text: str, longest: int = LONGEST) -> str:
    """`text` without credentials, on one line, at most `longest` characters of it. Twice is the same as once."""
    return cut(printable(_without_secrets(text)), longest)


def printable(text: str) -> str:
    """`text` on one line: white space is a space, and what cannot be seen (control characters, changes of direction,
    surrogates) is an escape. For what only needs that: names and paths, in which a long word is no secret."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _visible(c) for c in text)


def quoted(text: str, longest: int) -> str:
    """As `clean`, for quotation marks: what is quoted shows its line feeds and tabs."""
    return "".join(c if c.isprintable() else _escape(c) for c in cut(_without_secrets(text), longest))


def _visible(character: str) -> str:
    return " " if character.isspace() else _escape(character)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def cut(text: str, longest: int) -> str:
    """At most `longest` characters, the last of them an ellipsis where there were more."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _without_secrets(text: str) -> str:
    if len(text) > LOOKED_AT:
        # Half a secret looks like none: the word that the cut goes through is left out.
        parts = text[:LOOKED_AT].rsplit(maxsplit=1)
        text = f"{parts[0]} …" if len(parts) == 2 else "…"
    secrets = _known_secrets(len(text))
    text = _without(secrets, text)
    if "%" in text and secrets:
        text = _WORD.sub(lambda word: _decoded_without(secrets, word[0]), text)
    return redacted(text)


def _without(secrets: Iterable[str], text: str) -> str:
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, REDACTED)
    return text


def _decoded_without(secrets: Iterable[str], word: str) -> str:
    """A word as a URL shows it, decoded if there is a secret in it: which characters are encoded differs."""
    if "%" not in word:
        return word
    from urllib.parse import unquote  # noqa: PLC0415 - 3 ms, for a text with a percent sign alone

    decoded = unquote(word)
    clear = _without(secrets, decoded)
    return word if clear == decoded else clear


def _known_secrets(longest: int) -> list[str]:
    """The secrets that a text of so many characters has room for, the longest first: one may hold another."""
    with _lock:
        lengths = sorted((length for length in _by_length if length <= longest), reverse=True)
        return [secret for length in lengths for secret in _by_length[length]]


def event(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of an event as anyone may see them, in types that JSON has; an exception is left to the log. The
    names of facts come from the code."""
    return {key: _value(value) for key, value in facts.items() if key != "exc_info"}


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return dict(_fitting(value.items(), lambda item: (clean(str(item[0])), _value(item[1])), ("…", "…")))
    if isinstance(value, list | tuple):
        return _fitting(value, _value, "…")
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # NaN and Infinity are no JSON
    if value is None or isinstance(value, bool | int | float):
        return value
    return clean(text_of(value))


def _fitting(parts: Iterable[Any], shown: Callable[[Any], Any], more: Any) -> list[Any]:
    """The first parts, as they are shown: `MOST` characters of them, then `more`."""
    kept: list[Any] = []
    room = MOST
    for part in parts:
        one = shown(part)
        room -= len(str(one))
        if room < 0:
            return [*kept, more]
        kept.append(one)
    return kept


def text_of(value: object) -> str:
    """`str(value)`, or what it is where it cannot be shown."""
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - a value that cannot be shown must not cost the line
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def crash(error: BaseException) -> str:
    """The traceback: file, line and code, never the values of locals; of a long one the beginning and the end."""
    import traceback  # noqa: PLC0415 - a command that does not crash starts 2 ms sooner

    lines = "".join(traceback.format_exception(type(error), error, error.__traceback__)).splitlines()
    if len(lines) > TRACEBACK_LINES:
        lines = [*lines[: TRACEBACK_LINES // 2], "…", *lines[-TRACEBACK_LINES // 2 :]]
    return "\n".join(clean(line, TRACEBACK_WIDTH) for line in lines)
