"""What a value, and the values of one table together, must look like: what is wrong, and what would be right."""

from __future__ import annotations

import json
import re
import shlex
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

from .keys import NOT_WITH_WEB_IDENTITY, ROLE, SOURCE_KEYS, Key
from .lines import KeyPath
from .report import Report, listed, nearest, show, type_words

Table = dict[str, Any]
Checks = Iterator[str]

OPERATOR = re.compile(r"\d*[<>].*|[|&;]+")
"""A word that is a pipe or a redirection to a shell, and an argument where none runs the command."""
_SHELL_ONLY = re.compile(rf"[$`]|^~|^(?:{OPERATOR.pattern})$|[;|]$")
"""A word that means something to a shell alone."""


def check(key: Key, value: Any) -> Checks:
    """What is wrong with `value` for `key`; nothing when it is right."""
    wanted, words, more = _KINDS[key.kind]
    if not isinstance(value, wanted) or isinstance(value, bool) is not (wanted is bool):
        yield f"{type_words(value)}; expected {words}, e.g. {key.name} = {key.example}"
    else:
        yield from more(key, value)


def _string(key: Key, value: str) -> Checks:
    refused = next((why for pattern, why in key.refused if re.match(pattern, value)), None)
    length = _length(value, key.least or 0, key.most or len(value))
    strange = key.allowed and next((c for c in value if not re.fullmatch(key.allowed, c)), None)
    if not value:
        yield f"is empty; expected e.g. {key.name} = {key.example}, or leave the line out"
    elif key.choices and value not in key.choices:
        meant = nearest(value, key.choices)
        hint = f'; did you mean "{meant}"?' if meant else ""
        yield f"{show(value)} is not {listed(map(show, key.choices))}{hint}"
    elif refused or length:
        yield f"{show(value)} {refused}" if refused else length
    elif "\0" in value or "\n" in value:
        yield "contains a line break or a NUL; write it on one line"
    elif strange:
        yield f"contains {show(strange)} at position {value.index(strange) + 1}; allowed are {key.allowed_words}"
    elif key.shape and not re.fullmatch(key.shape, value):
        yield f"{show(value)} is not a valid {key.name}; expected e.g. {key.name} = {key.example}"


def _length(text: str, least: int, most: int) -> str:
    return "" if least <= len(text) <= most else f"has a length of {len(text)}; {least} to {most} are allowed"


def _integer(key: Key, value: int) -> Checks:
    if not (key.least or 0) <= value <= (key.most or value):
        yield f"is {show(value)}; {key.least} to {key.most} {key.unit} are allowed"


def _strings(key: Key, value: list[Any]) -> Checks:
    if len(value) > (key.most or 0):
        yield f"has {len(value)} items; at most {key.most} are allowed"
    seen: set[str] = set()
    for position, item in enumerate(value, start=1):
        if not isinstance(item, str):
            yield f"item {position} {type_words(item)}; expected {key.name} = {key.example}"
            continue
        if item.casefold() in seen:
            yield f"item {position} repeats {show(item)}; list it once"
        elif key.shape and not re.fullmatch(key.shape, item):
            yield f"item {position} is {show(item)}; expected e.g. {key.name} = {key.example}"
        elif not key.shape:
            yield from (f"item {position} {wrong}" for wrong in _tag_text(item, 1, 128))
        seen.add(item.casefold())


def _tags(key: Key, value: Table) -> Checks:
    if len(value) > (key.most or 0):
        yield f"has {len(value)} tags; at most {key.most} are allowed"
    seen: dict[str, str] = {}
    for name, text in value.items():
        if name.casefold() in seen:
            yield f"{show(seen[name.casefold()])} and {show(name)} are the same tag to AWS; keep one"
        seen[name.casefold()] = name
        if name.lower().startswith("aws:"):
            yield f'name {show(name)} starts with "aws:", which AWS reserves; choose another name'
        yield from (f"name {show(name)} {wrong}" for wrong in _tag_text(name, 1, 128))
        wrong_value = _tag_text(text, 0, 256) if isinstance(text, str) else [f"{type_words(text)}; expected a string"]
        yield from (f"value of {show(name)} {wrong}" for wrong in wrong_value)


def _tag_text(text: str, least: int, most: int) -> Checks:
    """STS's `[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]`: letters, separators and digits of every script."""
    strange = next((c for c in text if c not in "_.:/=+-@" and unicodedata.category(c)[0] not in "LZN"), None)
    if length := _length(text, least, most):
        yield length
    elif strange:
        yield f"contains {show(strange)}; allowed are letters, digits, spaces and _.:/=+-@"


def policy_text(value: str | Table) -> str:
    """The policy as STS gets it: text as it is, a table as compact JSON.

    Raises `TypeError` for what JSON does not have (a date), `ValueError` for inf and nan.
    """
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), allow_nan=False)


def _policy(key: Key, value: str | Table) -> Checks:
    try:
        text = policy_text(value)
        document = json.loads(text)
    except json.JSONDecodeError as error:
        yield f"is not JSON: {error.msg[0].lower()}{error.msg[1:]} in its line {error.lineno}, column {error.colno}"
    except (TypeError, ValueError, RecursionError):
        yield "contains what JSON cannot express (a date, inf, a huge number); write it in quotes"
    else:
        if not isinstance(document, dict) or "Statement" not in document:
            yield f"is JSON, but not a policy: it has no Statement; expected e.g. policy = {key.example}"
        elif not re.fullmatch(r"[\t\n\r -\u00ff]+", text):
            yield "contains a character beyond Latin-1, which STS refuses; write it as \\uXXXX"


def command_words(value: str | list[str]) -> tuple[str, ...]:
    """A command as words: a list as it is, a text split at its spaces as a shell would. Raises ValueError."""
    return tuple(shlex.split(value)) if isinstance(value, str) else tuple(value)


def _command(key: Key, value: str | list[Any]) -> Checks:
    """No shell runs it: a message of another STS than AWS's could become a command, and the daemon has no terminal,
    login files or PATH of a person's. A hook that needs a shell names it: ["sh", "-c", "…"]."""
    for position, word in enumerate([] if isinstance(value, str) else value, start=1):
        if not isinstance(word, str):
            yield f"item {position} {type_words(word)}; put each word in quotes, e.g. {key.name} = {key.example}"
            return
    try:
        words = command_words(value)
    except ValueError as error:
        yield f"cannot be split into words ({str(error).lower()}); expected e.g. {key.name} = {key.example}"
        return
    if not words or not words[0] or any("\0" in word for word in words):
        fault = "contains a NUL" if any(words) else "names no program"
        yield f"{fault}; expected e.g. {key.name} = {key.example}, or leave the line out"
    elif isinstance(value, str):
        for word in [words[0].removeprefix("~"), *words[1:]]:
            if _SHELL_ONLY.search(word):
                yield f'contains {show(word)}, but is not run by a shell; to use one, write ["sh", "-c", "…"]'


_KINDS: dict[str, tuple[Any, str, Callable[[Key, Any], Checks]]] = {
    "string": (str, "a string in quotes", _string),
    "integer": (int, "a whole number", _integer),
    "boolean": (bool, "true or false", lambda _key, _value: iter(())),
    "strings": (list, "a list of strings", _strings),
    "table": (dict, "a table of strings", _tags),
    "policy": (str | dict, "JSON text or a table", _policy),
    "command": (str | list, "a list of words", _command),
}


def check_table(own: Table, at: KeyPath, report: Report) -> None:
    """Reports the keys of one table that exclude one another."""
    sources = [name for name in SOURCE_KEYS if name in own]
    for name in sources[1:]:
        report.add((*at, name), f"is set beside {sources[0]}; a role has one source, keep one of them")
    if sources == ["web_identity_token_file"]:
        for name in sorted(own.keys() & set(NOT_WITH_WEB_IDENTITY)):
            report.add((*at, name), "cannot be combined with web_identity_token_file; remove one of them")


def merge(index: int, own: Table, inherited: Table, bad: frozenset[str], report: Report) -> Table:
    """A role's values, as `Role` holds them, with the inherited ones filled in.

    A source of the role's own replaces an inherited one of another kind. What web identity has no parameter
    for is dropped where it is inherited and an error where the role sets it. `bad` are keys already reported.
    """
    at: KeyPath = ("roles", index)
    check_table(own, at, report)
    replaced = SOURCE_KEYS if not own.keys().isdisjoint(SOURCE_KEYS) else ()
    values = {**{name: value for name, value in inherited.items() if name not in replaced}, **own}
    for name in sorted({"profile", "role_arn"} - values.keys() - bad):
        report.add((*at, name), f"is missing; add {name} = {ROLE[name].example}")
    if not bad.union(values).intersection(SOURCE_KEYS):
        report.add(at, f'has no source; set source_profile = "default", or {listed(SOURCE_KEYS[1:])}')
    if "web_identity_token_file" in values:
        for name in NOT_WITH_WEB_IDENTITY:
            if name in own and "web_identity_token_file" not in own:
                report.add((*at, name), "cannot be combined with web_identity_token_file of [defaults]; remove one")
            elif name not in own:
                values.pop(name, None)
    if values.get("deliver") == "process" and "%" in values.get("profile", ""):
        # cmd.exe expands it, so `credentials.process` lets no % through
        report.add((*at, "profile"), 'contains %, which no credential_process may; rename it, or deliver = "keys"')
    _check_policies(values, own, at, report)
    _check_transitive(values, own, bad, at, report)
    return values


def _check_policies(values: Table, own: Table, at: KeyPath, report: Report) -> None:
    policy = values.get("policy", "")
    total = sum(map(len, [policy, *values.get("policy_arns", ())]))
    if total > (ROLE["policy"].most or 0):
        name = "policy" if "policy" in own or "policy_arns" not in own else "policy_arns"
        hint = "; a table instead of text leaves out the spaces" if '": ' in policy else ""
        what = f"has, with policy_arns, a length of {total}; {ROLE['policy'].most} characters are allowed"
        report.add((*at, name), what + hint)


def _check_transitive(values: Table, own: Table, bad: frozenset[str], at: KeyPath, report: Report) -> None:
    """STS: "The specified transitive tag key must be included in the requested tags", in any case."""
    tags = {name.casefold() for name, _ in values.get("tags", ())}
    for key in values.get("transitive_tag_keys", ()):
        if key.casefold() not in tags and "tags" not in bad:
            name = "transitive_tag_keys" if "transitive_tag_keys" in own else "tags"
            report.add((*at, name), f"transitive tag {show(key)} is not a tag of this role; add it to tags")
