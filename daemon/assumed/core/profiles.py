"""The surgery: credentials-file bytes and kept profiles in, bytes out, every byte that is not ours unchanged.

A section is ours when its `x_assumed` names this very profile and this configuration: comments do not survive
other tools, and a copied section must not pass as ours. Lines are replaced where they stand; a new section goes to
the end, with the one line ending before it that taking it out again removes. So adding and then removing gives
back the bytes that were there, with or without a newline at their end.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .command import process_command
from .edits import Edits
from .ini import Document, Section, check_columns, decode, scan
from .model import Deliver, Session
from .names import is_profile_name
from .ownership import (
    MANAGED_KEYS,
    OWNER_KEY,
    TOKENS,
    Refusal,
    Unfit,
    check_adoptable,
    check_defaults,
    check_hands_off,
    check_preferred,
)
from .reading import read_section, read_sections

__all__ = [
    "KeptProfile",
    "Merge",
    "Refusal",
    "merge",
    "misread",
    "process_command",
    "read_section",
    "read_sections",
]

MARK = "# kept by assumed"
COMMENT = f"{MARK}: these keys are replaced before they expire; other lines of this profile stay as you write them"
_VALUE = re.compile(r"[!$-:<-~][!-~]*")
"""Printable ASCII without spaces, and no quote, # or ; at the front: read alike by every SDK."""
_COMMAND = re.compile(r'["/][ -~]*[!-~]')
_WORDS = re.compile(r"[!-~]+( [!-~]+)*")
_TIME = "%04d-%02d-%02dT%02d:%02d:%02dZ"
"""The one form of an instant that every SDK reads (aws-contract §3.1)."""
_SEPARATOR = re.compile(r"[=:]")


@dataclass(frozen=True, slots=True)
class KeptProfile:
    """What a section should say: `session` None takes our keys out, `command` is for `deliver = "process"`."""

    profile: str
    deliver: Deliver
    session: Session | None
    region: str | None = None
    command: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Merge:
    """`text` is the very object that came in when nothing changes."""

    text: bytes = field(repr=False)
    adopted: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    removed: tuple[str, ...] = ()
    """Profiles whose keys were taken out: orphans, and kept ones without a session."""
    before: frozenset[str] = frozenset()
    """Names of the sections that came in."""
    after: frozenset[str] = frozenset()
    """Names of the sections of `text`."""
    meant: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    """Changed profile → the managed keys that a reader must find now, no others (see `readback.misread`)."""


def merge(text: bytes, kept: Sequence[KeptProfile], config_id: str, remove_orphans: bool) -> Merge:
    """`text` with every kept profile saying what it should.

    `config_id` is the configuration that owns them; with `remove_orphans` its sections that are in `kept` no longer
    lose our keys. A refusal concerns one profile and stops no other. Raises FileRefused when botocore would not
    read the file, ValueError for a name that is none or comes twice: the configuration has checked them.
    """
    names = {role.profile for role in kept}
    if len(names) != len(kept) or not all(map(is_profile_name, names)):
        raise ValueError("kept profiles need valid names, each once")
    document = scan(decode(text))
    check_columns(document)
    surgery = _Surgery(document, config_id)
    for role in kept:
        try:
            surgery.keep(role)
        except Unfit as unfit:
            surgery.refused.append(Refusal(role.profile, unfit.reason, unfit.advice))
    if remove_orphans:
        surgery.remove_all_but(names)
    return Merge(
        text=surgery.edits.text().encode() if surgery.edits else text,
        adopted=tuple(surgery.adopted),
        refused=tuple(surgery.refused),
        removed=tuple(surgery.removed),
        before=frozenset(document.sections),
        after=frozenset((document.sections.keys() | surgery.meant.keys()) - surgery.gone),
        meant=surgery.meant,
    )


def misread(merged: Merge) -> str | None:
    """The first changed profile of which a reader of `merged.text` does not get what was meant; None when all is well.

    Raises FileRefused where botocore would not even read the file.
    """
    for profile, found in read_sections(merged.text, merged.meant).items():
        meant = merged.meant[profile]
        if {key: value for key, value in (found or {}).items() if key in MANAGED_KEYS or key in meant} != meant:
            return profile
    return None


class _Surgery:
    """One merge under way."""

    def __init__(self, document: Document, config_id: str) -> None:
        self.document = document
        self.config_id = config_id
        self.edits = Edits(document.lines)
        self.adopted: list[str] = []
        self.refused: list[Refusal] = []
        self.removed: list[str] = []
        self.gone: set[str] = set()
        self.meant: dict[str, dict[str, str]] = {}

    def keep(self, role: KeptProfile) -> None:
        section = self.document.sections.get(role.profile)
        if role.deliver == "keys" and role.session is None:
            if section is not None:
                self._release(section)
            return
        wanted = _wanted(role)
        check_defaults(role.deliver, self.document.defaults)
        if section is None:
            self._add(role, wanted)
            return
        check_preferred(section)
        if self._says_so(section, role, wanted):
            return
        values = self._values(section)
        check_hands_off(section, values, role.session)
        extras = self._extras(section, values)
        if extras is None:
            check_adoptable(section, values)
        self._rewrite(section, extras, role, wanted)
        if extras is None:
            self.adopted.append(role.profile)

    def _add(self, role: KeptProfile, wanted: dict[str, str]) -> None:
        self._sign(role, wanted, ["region"] if role.region else [])
        _check_values(wanted)
        self.edits.append([f"[{role.profile}]", COMMENT, *_lines(wanted)])
        self.meant[role.profile] = wanted

    def _sign(self, role: KeptProfile, wanted: dict[str, str], extras: list[str]) -> None:
        """Adds the region, if that line is to be ours, and the owner, always last."""
        if role.region and "region" in extras:
            wanted["region"] = role.region
        wanted[OWNER_KEY] = " ".join([role.profile, self.config_id, *extras])

    def _says_so(self, section: Section, role: KeptProfile, wanted: Mapping[str, str]) -> bool:
        """Whether the section is word for word what we would write anew: the short way for nearly all of them."""
        signed = dict(wanted)
        self._sign(role, signed, ["region"] if role.region else [])
        lines = [COMMENT, *_lines(signed)]
        return (
            self.document.lines[section.start + 1 : section.start + 1 + len(lines)] == lines
            and not section.tails
            and len(MANAGED_KEYS & section.keys.keys()) == len(signed) - ("region" in signed)
        )

    def remove_all_but(self, names: set[str]) -> None:
        for name, section in self.document.sections.items():
            if OWNER_KEY in section.keys and name not in names:
                try:
                    self._release(section)
                except Unfit:
                    continue  # somebody has put keys of his own under our mark: they are his

    def _rewrite(self, section: Section, extras: list[str] | None, role: KeptProfile, wanted: dict[str, str]) -> None:
        """Makes an owned (`extras` is a list) or adopted section say what is wanted, line by line."""
        changes = len(self.edits)
        ours = _ours(section, extras)
        words: list[str] = []
        if role.region and ("region" in ours or "region" not in section.keys):
            words.append("region")
        if "header" in (extras or ()) or (extras is None and not section.keys):
            words.append("header")
        self._sign(role, wanted, words)
        _check_values(wanted)

        lines = self.document.lines
        for key, number in ours.items():
            if key in wanted:
                self.edits.replace(number, f"{_indent(lines[number])}{key} = {wanted[key]}")
            else:
                self.edits.delete(number)
        first, behind, beside = _place(section, ours)
        marks = self._marks(section)
        if not marks:
            self.edits.insert(first - 1, [COMMENT])
        for number in marks[:1]:
            self.edits.replace(number, COMMENT)
        for number in marks[1:]:
            self.edits.delete(number)
        # as deep as the line beside it: deeper would make it part of that line's value, less would swallow the next
        indent = _indent(lines[beside]) if section.keys else ""
        missing = {key: value for key, value in wanted.items() if key not in ours}
        self.edits.insert(behind, [indent + line for line in _lines(missing)])
        if len(self.edits) != changes:
            self.meant[role.profile] = wanted

    def _release(self, section: Section) -> None:
        """Takes our keys out of a section that is ours, and the section with them when no key is left in it.

        An empty section is worse than none: SDKs would go on to the instance's role.
        """
        values = self._values(section)
        extras = self._extras(section, values)
        if extras is None:
            return
        check_hands_off(section, values, None)
        ours = _ours(section, extras)
        numbers = [*ours.values(), *self._marks(section)]
        whole = len(ours) == len(section.keys) and "header" not in extras
        if whole:
            numbers.append(section.start)
        for number in numbers:
            self.edits.delete(number)
        if whole:
            self.edits.close_gap(section.start, max(numbers))
            self.gone.add(section.name)
        self.removed.append(section.name)
        self.meant[section.name] = {}

    def _extras(self, section: Section, values: Mapping[str, str]) -> list[str] | None:
        """What in the section is ours besides the managed keys (`region`) or not ours (`header`); None: not ours."""
        words = values.get(OWNER_KEY, "").split()
        return words[2:] if words[:2] == [section.name, self.config_id] else None

    def _values(self, section: Section) -> dict[str, str]:
        """The managed keys' values; one that goes on over several lines is not ours, and shows only its first."""
        lines = self.document.lines
        return {
            key: _SEPARATOR.split(lines[number], maxsplit=1)[1].strip()
            for key, number in section.keys.items()
            if key in MANAGED_KEYS
        }

    def _marks(self, section: Section) -> list[int]:
        lines = self.document.lines
        return [number for number in range(section.start + 1, section.end) if lines[number].startswith(MARK)]


def _wanted(role: KeptProfile) -> dict[str, str]:
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
        wanted["x_security_token_expires"] = _TIME % time.gmtime(session.expiration)[:6]
        if role.deliver == "keys" and session.principal_arn:
            wanted["x_principal_arn"] = session.principal_arn
    return wanted


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


def _ours(section: Section, extras: list[str] | None) -> dict[str, int]:
    """The keys, and their lines, that we replace or take out."""
    more = {"region"} & set(extras or ())
    if extras is None and not section.keys.keys().isdisjoint(TOKENS):
        more = {"aws_account_id"}  # of the session that was there: botocore picks endpoints by it
    return {key: number for key, number in section.keys.items() if key in MANAGED_KEYS or key in more}


def _place(section: Section, ours: Mapping[str, int]) -> tuple[int, int, int]:
    """Where our lines belong: the first one's line, the line new ones go behind, the line whose indent they take."""
    if OWNER_KEY in ours:
        return min(ours.values()), ours[OWNER_KEY] - 1, ours[OWNER_KEY]
    if ours:
        return min(ours.values()), max(ours.values()), max(ours.values())
    beside = max(section.keys.values(), default=section.start)
    return section.last() + 1, section.last(), beside
