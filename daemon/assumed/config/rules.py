"""What a single value must look like. Each check yields what is wrong and what would be right."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

from .hooks import check_command
from .keys import Key
from .report import escape, listed, nearest, show, type_words

Checks = Iterator[str]


def check(key: Key, value: Any) -> Checks:
    """What is wrong with `value` for `key`; nothing when it is right."""
    if key.kind == "policy":
        yield from _policy(key, value)
        return
    if key.kind == "command":
        yield from check_command(key, value)
        return
    wanted, words, look = _KINDS[key.kind]
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        yield f"{type_words(value)}; write {words}, as in {key.name} = {key.example}"
        return
    yield from look(key, value)


def _string(key: Key, value: str) -> Checks:
    special = _SPECIAL.get(key.name)
    if special is not None:
        wrong = special(value)
        if wrong is not None:
            yield wrong
            return
    if key.choices and value not in key.choices:
        meant = nearest(value, {choice.lower(): choice for choice in key.choices})
        right = next((choice for choice in key.choices if choice.lower() == meant), None)
        hint = f', you may mean "{right}"' if right else ""
        yield f"is {show(value)}; write {listed(show(choice) for choice in key.choices)}{hint}"
        return
    length = _length(key, value)
    if length:
        yield length
        return
    strange = _strange_character(key, value)
    if strange:
        yield strange
    elif key.shape and not re.fullmatch(key.shape, value):
        yield f"is {show(value)}, which is no {key.name}; write it as in {key.name} = {key.example}"


def _length(key: Key, value: str) -> str | None:
    if not value:
        return f"is empty; write it as in {key.name} = {key.example}, or leave the line out"
    if key.least is not None and len(value) < key.least:
        return f"has {_count(len(value), 'character')}; {key.least} to {key.most} are allowed"
    if key.most is not None and len(value) > key.most:
        return f"has {_count(len(value), 'character')}; {key.least} to {key.most} are allowed"
    if "\0" in value or "\n" in value:
        return "holds a line end or a NUL; write it on one line"
    return None


def _strange_character(key: Key, value: str) -> str | None:
    if not key.allowed:
        return None
    for position, character in enumerate(value, start=1):
        if not re.fullmatch(key.allowed, character):
            return f"has {_character(character)} at position {position}; allowed are {key.allowed_words}"
    return None


def _character(character: str) -> str:
    if character == " ":
        return "a space"
    return f"the character {escape(character)}" if character == '"' else f'the character "{escape(character)}"'


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _integer(key: Key, value: int) -> Checks:
    if key.least is not None and key.most is not None and not key.least <= value <= key.most:
        yield f"is {show(value)}; {key.least} to {key.most} {key.unit} are allowed"


def _profile(value: str) -> str | None:
    """Names that all five SDK families read alike; three that are taken (facts: aws-contract 1.2)."""
    if value == "DEFAULT":
        return 'is "DEFAULT", whose keys leak into every profile in Python; "default" is the default profile'
    if value == "__proto__":
        return 'is "__proto__", at which the JavaScript SDK fails; choose another name'
    if value.startswith("profile "):
        return f'starts with "profile ", which only ~/.aws/config has; write {show(value.removeprefix("profile "))}'
    if value.startswith("-"):
        return 'starts with "-", which every command takes for an option; begin it with a letter'
    return None


def _source_profile(value: str) -> str | None:
    if any(c in "[]" or not c.isprintable() for c in value):
        return 'has a bracket or a control character; write a profile\'s name, as in source_profile = "default"'
    return None


_ROLE_SHAPE = "arn:aws:iam::123456789012:role/NAME"


def _role_arn(value: str) -> str | None:
    if len(value) > 2048:
        return None  # the length check says it
    parts = value.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn":
        return f"is {show(value)}; write an ARN, as in {_ROLE_SHAPE}"
    _, partition, service, region, account, resource = parts
    shown = show(value)
    if service == "sts" and resource.startswith("assumed-role/"):
        return f"is {shown}, the ARN of a session; write the role's own, as in {_ROLE_SHAPE}"
    if not re.fullmatch(r"aws[a-z-]*", partition):
        return f'is {shown}, whose partition is "{escape(partition)}"; it is aws, aws-cn, aws-us-gov or another aws-…'
    if service != "iam" or region:
        return f"is {shown}, which is not IAM's; write an ARN as in {_ROLE_SHAPE}"
    if not re.fullmatch(r"[0-9]{12}", account):
        return f'is {shown}, whose account is "{escape(account)}"; an account has 12 digits'
    if not resource.startswith("role/"):
        return f"is {shown}, which names no role; write role/ and the role's name after the account"
    if not re.fullmatch(r"role/([!-~]+/)?[A-Za-z0-9_+=,.@-]{1,64}", resource):
        return f"is {shown}, whose role name is not one; 1 to 64 letters, digits and _+=,.@- after the last /"
    return None


def _source_identity(value: str) -> str | None:
    return 'starts with "aws:", which AWS keeps for itself; write who it is' if value.startswith("aws:") else None


_SPECIAL: dict[str, Callable[[str], str | None]] = {
    "profile": _profile,
    "source_profile": _source_profile,
    "role_arn": _role_arn,
    "source_identity": _source_identity,
}


def _strings(key: Key, value: list[Any]) -> Checks:
    if key.most is not None and len(value) > key.most:
        yield f"has {len(value)} items; at most {key.most} are allowed"
    seen: dict[str, str] = {}
    for position, item in enumerate(value, start=1):
        if not isinstance(item, str):
            yield f"item {position} {type_words(item)}; write {key.name} = {key.example}"
        elif item.casefold() in seen:
            yield f"item {position}, {show(item)}, is there already; name it once"
        elif key.shape and not re.fullmatch(key.shape, item):
            yield f"item {position} is {show(item)}; write {key.name} = {key.example}"
        elif not key.shape:
            yield from (f"item {position} {wrong}" for wrong in _tag_text(item, 1, 128))
        if isinstance(item, str):
            seen[item.casefold()] = item


def _tags(key: Key, value: dict[str, Any]) -> Checks:
    if key.most is not None and len(value) > key.most:
        yield f"has {len(value)} tags; at most {key.most} are allowed"
    seen: dict[str, str] = {}
    for name, text in value.items():
        if name.casefold() in seen:
            yield f"has {show(seen[name.casefold()])} and {show(name)}, which are the same tag to AWS; keep one"
        seen[name.casefold()] = name
        if name.lower().startswith("aws:"):
            yield f'name {show(name)} starts with "aws:", which AWS keeps for itself; choose another name'
        yield from (f"name {show(name)} {wrong}" for wrong in _tag_text(name, 1, 128))
        if not isinstance(text, str):
            yield f"value of {show(name)} {type_words(text)}; write text in quotes"
            continue
        yield from (f"value of {show(name)} {wrong}" for wrong in _tag_text(text, 0, 256))


def _tag_text(text: str, least: int, most: int) -> Checks:
    """STS's `[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]`: letters, separators and digits of every script."""
    if not least <= len(text) <= most:
        yield f"has {_count(len(text), 'character')}; {least} to {most} are allowed"
        return
    for character in text:
        if character not in "_.:/=+-@" and unicodedata.category(character)[0] not in "LZN":
            yield f"has {_character(character)}; allowed are letters, digits, spaces and _.:/=+-@"
            return


def policy_text(value: str | dict[str, Any]) -> str:
    """The policy as STS gets it: text as it stands, a table as compact JSON.

    Raises `TypeError` for what JSON does not have (a date), `ValueError` for inf and nan.
    """
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _policy(key: Key, value: Any) -> Checks:
    if not isinstance(value, str | dict):
        yield f"{type_words(value)}; write JSON text or a table, as in policy = {key.example}"
        return
    try:
        text = policy_text(value)
        document = json.loads(text)
    except json.JSONDecodeError as error:
        yield f"is not JSON: {error.msg[0].lower()}{error.msg[1:]} in its line {error.lineno}, column {error.colno}"
        return
    except (TypeError, ValueError, RecursionError):
        yield "holds something that JSON has no word for (a date, inf, a huge number); write it in quotes"
        return
    if not isinstance(document, dict) or "Statement" not in document:
        yield f"is JSON, but no policy: it has no Statement; write it as in policy = {key.example}"
    elif not re.fullmatch(r"[\t\n\r -\u00ff]+", text):
        yield "has a character beyond Latin-1, which STS refuses; write it as \\uXXXX"


_KINDS: dict[str, tuple[type, str, Callable[[Key, Any], Checks]]] = {
    "string": (str, "text in quotes", _string),
    "integer": (int, "a whole number", _integer),
    "boolean": (bool, "true or false", lambda _key, _value: iter(())),
    "strings": (list, "a list of texts", _strings),
    "table": (dict, "a table of texts", _tags),
}
