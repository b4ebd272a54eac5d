"""One section that we own: what it should say, and its lines changed so that it does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from assumed.model import Deliver, Session

from .ini import Section, profile_of
from .ownership import (
    MANAGED_KEYS,
    OWNER_KEY,
    TOKENS,
    Refusal,
    Unfit,
    check_adoptable,
    check_long_term_keys,
    check_tails,
)

MARK = "# kept by assumed"
COMMENT = f"{MARK}: these keys are replaced before they expire; other lines of this profile stay as you write them"
_VALUE = re.compile(r"[!$-:<-~][!-~]*")
"""Printable ASCII without spaces, and no quote, # or ; at the front: read alike by every SDK."""
_COMMAND = re.compile(r'["/][^\x00-\x1f\x7f\ud800-\udfff]*[!-~]')
_WORDS = re.compile(r"[!-~]+( [!-~]+)*")


@dataclass(frozen=True, slots=True)
class Kind:
    """What is ours in the sections of one of the two AWS files."""

    managed: frozenset[str]
    comment: str


CREDENTIALS = Kind(MANAGED_KEYS, COMMENT)
CONFIG = Kind(
    frozenset({"credential_process", OWNER_KEY}),
    f"{MARK}: for SDKs that look for credential_process in this file alone; other lines of this profile stay",
)


@dataclass(frozen=True, slots=True)
class KeptProfile:
    """What a section should say: `session` None takes our keys out, `command` is for `deliver = "process"`.

    `refusal`: why it cannot be written at all; the section then stays as it is. `header`: the text in brackets,
    where that is not the profile's name.
    """

    profile: str
    deliver: Deliver
    session: Session | None
    region: str | None = None
    command: str | None = field(default=None, repr=False)
    refusal: Refusal | None = None
    header: str = ""

    @property
    def section(self) -> str:
        """The text in brackets."""
        return self.header or self.profile


Extras = Sequence[str]
"""The owner's words behind profile and configuration: `region`, `header` (see OWNER_KEY)."""


def extras_of(section: Section, config_id: str, kind: Kind = CREDENTIALS) -> Extras | None:
    """What else in the section is ours or is not; None when the section itself is not ours."""
    owner = profile_of(section.name) if kind is CONFIG else section.name
    words = section.values().get(OWNER_KEY, "").split()
    return words[2:] if words[:2] == [owner, config_id] else None


def new_text(role: KeptProfile, config_id: str, carriage: str, kind: Kind = CREDENTIALS) -> tuple[str, dict[str, str]]:
    """A section's text, with the one empty line behind it, and what a reader must find. Raises Unfit."""
    wanted = _signed(wanted_of(role), role, config_id, _region(role))
    _check_values(wanted)
    lines = [f"[{role.section}]", kind.comment, *_lines(wanted), ""]
    return "\n".join(line + carriage for line in lines), wanted


def says_so(section: Section, role: KeptProfile, config_id: str, kind: Kind = CREDENTIALS) -> bool:
    """Whether the section is word for word what we would write anew: the short way, for nearly all of them."""
    wanted = _signed(wanted_of(role), role, config_id, _region(role))
    expected = "\n".join([f"[{role.section}]", kind.comment, *_lines(wanted)])
    return section.text.startswith(expected) and section.text[len(expected) :].strip() == ""


def rewritten(
    section: Section, role: KeptProfile, config_id: str, carriage: str, kind: Kind = CREDENTIALS
) -> tuple[str | None, dict[str, str]]:
    """The text of an owned or an adopted section that says what is wanted; None when it does already.

    Each line is replaced in place; new ones go where the others are. Raises Unfit.
    """
    values = section.values()
    _check_hands_off(section, role.session, kind)
    extras = extras_of(section, config_id, kind)
    if extras is None and kind is CREDENTIALS:
        check_adoptable(section, values)
    ours = _ours(section, extras, kind)
    words: list[str] = []
    if role.region and ("region" in ours or "region" not in section.keys):
        words.append("region")
    if "header" in (extras or ()) or (extras is None and not section.keys):
        words.append("header")
    wanted = _signed(wanted_of(role), role, config_id, words)
    _check_values(wanted)

    lines = section.text.split("\n")
    edits = Edits(lines, carriage)
    for key, number in ours.items():
        if key in wanted:
            edits.replace(number, f"{_indent(lines[number])}{key} = {wanted[key]}")
        else:
            edits.delete(number)
    first, behind, beside = _place(section, ours)
    marks = _marks(lines)
    if not marks:
        edits.insert(first - 1, [kind.comment])
    for number in marks[:1]:
        edits.replace(number, kind.comment)
    for number in marks[1:]:
        edits.delete(number)
    # as deep as the line beside it: deeper would make it part of that line's value, less would swallow the next
    indent = _indent(lines[beside]) if section.keys else ""
    missing = {key: value for key, value in wanted.items() if key not in ours}
    edits.insert(behind, [indent + line for line in _lines(missing)])
    return "\n".join(edits.result()) if edits else None, wanted


@dataclass(frozen=True, slots=True)
class Released:
    """What is left of a section when our lines are out of it."""

    lines: list[str] = field(repr=False)
    whole: bool
    """The header is out, too: what is left belongs to the section before."""
    closed: bool
    """The empty line that came with the section went from behind it; if not, it may be in front."""


def released(section: Section, extras: Extras, kind: Kind = CREDENTIALS) -> Released:
    """A section that we own, without our lines, and without its header when no key is left in it. Raises Unfit.

    An empty section is worse than none: SDKs would go on to the instance's role.
    """
    _check_hands_off(section, None, kind)
    lines = section.text.split("\n")
    ours = _ours(section, extras, kind)
    edits = Edits(lines, "")
    numbers = [*ours.values(), *_marks(lines)]
    for number in numbers:
        edits.delete(number)
    whole = len(ours) == len(section.keys) and "header" not in extras
    behind = max(numbers) + 1
    closed = whole and behind < len(lines) and is_blank(lines[behind])
    if whole:
        edits.delete(0)
    if closed:
        edits.delete(behind)
    return Released(edits.result(), whole, closed)


def is_blank(line: str) -> bool:
    """Whether there is nothing in the line at all."""
    return line in ("", "\r")


def _check_hands_off(section: Section, session: Session | None, kind: Kind) -> None:
    check_tails(section, kind.managed)
    if kind is CREDENTIALS:
        check_long_term_keys(section, section.values(), session)


def _region(role: KeptProfile) -> list[str]:
    return ["region"] if role.region else []


def _signed(wanted: dict[str, str], role: KeptProfile, config_id: str, extras: Extras) -> dict[str, str]:
    """Adds the region, if that line is to be ours, and the owner, always last."""
    if role.region and "region" in extras:
        wanted["region"] = role.region
    wanted[OWNER_KEY] = " ".join([role.profile, config_id, *extras])
    return wanted


def _marks(lines: Sequence[str]) -> list[int]:
    return [number for number, line in enumerate(lines) if line.startswith(MARK)]


def wanted_of(role: KeptProfile) -> dict[str, str]:
    """The managed keys and their values, but for the owner."""
    session = role.session
    wanted: dict[str, str] = {}
    if role.deliver == "process":
        if role.command is None:
            raise ValueError(f'{role.profile}: deliver = "process" needs a command')
        wanted["credential_process"] = role.command
    elif session is not None:
        wanted["aws_access_key_id"] = session.access_key_id
        wanted["aws_secret_access_key"] = session.secret_access_key
        wanted["aws_session_token"] = session.session_token
    if session is not None:
        wanted["x_security_token_expires"] = _instant(int(session.expiration))
        if role.deliver == "keys" and session.principal_arn:
            wanted["x_principal_arn"] = session.principal_arn
    return wanted


@lru_cache(maxsize=8192)
def _instant(seconds: int) -> str:
    """The one form that every SDK reads. Cached, because every write needs those of all sessions."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _check_values(wanted: Mapping[str, str]) -> None:
    """Raises Unfit for what must not get into a file: a line break in a value would write a line of its own."""
    shapes = {"credential_process": _COMMAND, OWNER_KEY: _WORDS}
    for key, value in wanted.items():
        if not shapes.get(key, _VALUE).fullmatch(value):
            raise Unfit(
                f"its {key} is empty or holds a space, a line break or another character that has no place in the file",
                "Look at what issues it: an STS-compatible server or a proxy may have changed the answer",
            )


def _lines(values: Mapping[str, str]) -> list[str]:
    return [f"{key} = {value}" for key, value in values.items()]


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _ours(section: Section, extras: Extras | None, kind: Kind) -> dict[str, int]:
    """The keys, and their lines, that we replace or take out."""
    more = {"region"} & set(extras or ())
    if extras is None and not section.keys.keys().isdisjoint(TOKENS):
        more = {"aws_account_id"}  # of the session that was there: botocore picks endpoints by it
    return {key: number for key, number in section.keys.items() if key in kind.managed or key in more}


def _place(section: Section, ours: Mapping[str, int]) -> tuple[int, int, int]:
    """Where our lines belong: the first one's line, the line new ones go behind, the line whose indent they take."""
    if OWNER_KEY in ours:
        return min(ours.values()), ours[OWNER_KEY] - 1, ours[OWNER_KEY]
    if ours:
        return min(ours.values()), max(ours.values()), max(ours.values())
    beside = max(section.keys.values(), default=0)
    return section.last() + 1, section.last(), beside


class Edits:
    """Replaced, deleted and inserted lines."""

    def __init__(self, lines: Sequence[str], carriage: str) -> None:
        """`carriage` is what new lines end in before their newline."""
        self.lines = lines
        self._carriage = carriage
        self._replaced: dict[int, str | None] = {}
        self._inserted: dict[int, list[str]] = {}

    def __bool__(self) -> bool:
        """Whether anything changes."""
        return bool(self._replaced or self._inserted)

    def replace(self, number: int, line: str) -> None:
        """Puts `line` in the place of another; nothing is recorded when it says the same."""
        old = self.lines[number]
        if old.removesuffix("\r") != line:
            self._replaced[number] = line + ("\r" if old.endswith("\r") else "")

    def delete(self, number: int) -> None:
        """Takes a line out."""
        self._replaced[number] = None

    def insert(self, after: int, lines: Iterable[str]) -> None:
        """Puts `lines` behind line `after` and behind what was put there before."""
        if lines := [line + self._carriage for line in lines]:
            self._inserted.setdefault(after, []).extend(lines)

    def result(self) -> list[str]:
        """The lines as changed."""
        out: list[str] = []
        for number, line in enumerate(self.lines):
            changed = self._replaced.get(number, line)
            if changed is not None:
                out.append(changed)
            out += self._inserted.get(number, ())
        return out
