"""The surgery: credentials-file bytes and kept profiles in, bytes out, every byte that is not ours unchanged.

A section is ours when its `x_assumed` names this very profile and this configuration: comments do not survive
other tools, and a copied section must not pass as ours. Lines are replaced in place; a new section goes to
the end, with the one line ending before it that taking it out again removes. So adding and then removing gives
back the bytes that were there, with or without a newline at their end.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace

from .ini import (
    DEFAULTS,
    Document,
    Section,
    carriage_of,
    check_columns,
    decode,
    is_profile_name,
    parser_of,
    read_section,
    read_sections,
    scan,
    section_of,
    values_of,
)
from .ownership import OWNER_KEY, Refusal, Unfit, check_defaults, check_preferred
from .sections import (
    CREDENTIALS,
    KeptProfile,
    Kind,
    Released,
    extras_of,
    is_blank,
    new_text,
    released,
    rewritten,
    says_so,
)

__all__ = [
    "KeptProfile",
    "Merge",
    "Refusal",
    "merge",
    "misread",
    "read_section",
    "read_sections",
]


@dataclass(frozen=True, slots=True)
class Merge:
    """`text` is the very object that came in when nothing changes."""

    text: bytes = field(repr=False)
    document: Document = field(repr=False)
    """`text`, scanned."""
    adopted: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    removed: tuple[str, ...] = ()
    """Profiles whose keys were taken out: orphans, and kept ones without a session."""
    before: frozenset[str] = frozenset()
    """Names of the sections that came in."""
    meant: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    """Changed profile → the managed keys that a reader must find now, no others (see `misread`)."""
    config_id: str = ""
    settled: Mapping[str, KeptProfile] = field(default_factory=dict, repr=False)
    """Kept profiles of which `text` says what it should."""
    kind: Kind = CREDENTIALS


def merge(
    text: bytes,
    kept: Sequence[KeptProfile],
    config_id: str,
    remove_orphans: bool,
    known: Merge | None = None,
    *,
    held: Collection[str] = (),
    kind: Kind = CREDENTIALS,
) -> Merge:
    """`text` with every kept profile saying what it should. Those of `held` stay as they are, whatever they say.

    `known` is an earlier merge: when the file is still what came out of it, it need not be scanned again, nor what has
    not changed since be looked at.
    `config_id` is the configuration that owns them; with `remove_orphans` its sections that are in `kept` no longer
    lose our keys. A refusal concerns one profile and stops no other. Raises FileRefused when botocore would not
    read the file, ValueError for a name that is none or comes twice: the configuration has checked them.
    """
    same = known if known is not None and known.text == text else None
    unchanged = same.settled if same is not None and same.config_id == config_id else {}
    settled: dict[str, KeptProfile] = {}
    names = {role.section for role in kept}
    new = (role.profile for role in kept if role.section not in unchanged)
    if len(names) != len(kept) or not all(map(is_profile_name, new)):
        raise ValueError("kept profiles need valid names, each once")
    document = same.document if same is not None else scan(decode(text))
    check_columns(document)
    before = frozenset(document.sections)
    surgery = _Surgery(document, config_id, kind)
    for role in kept:
        if role.refusal is not None:
            surgery.refused.append(role.refusal)
            continue
        settled[role.section] = role
        if unchanged.get(role.section) == role:
            continue
        try:
            surgery.keep(role)
        except Unfit as unfit:
            del settled[role.section]
            surgery.refused.append(Refusal(role.profile, unfit.reason, unfit.advice))
    if remove_orphans:
        surgery.remove_all_but(names.union(held))
    if surgery.meant:
        document, text = _written(surgery.outcome())
    return Merge(
        text=text,
        document=document,
        adopted=tuple(surgery.adopted),
        refused=tuple(surgery.refused),
        removed=tuple(surgery.removed),
        before=before,
        meant=surgery.meant,
        config_id=config_id,
        settled=settled,
        kind=kind,
    )


def _written(document: Document) -> tuple[Document, bytes]:
    """The document as scanning its text would give it, and the text. Raises FileRefused as `scan`."""
    text = document.text()
    # Scanned again when the lines that decided the line ending are gone, and when [DEFAULT] holds keys: botocore parses
    # the indented lines under those only in a section that does not set them, which may be the one that was added.
    same = document.carriage == carriage_of(text) and not document.defaults
    return document if same else scan(text), text.encode()


def misread(merged: Merge) -> str | None:
    """The first changed profile of which a reader of `merged.text` does not get what was meant; None if all is well."""
    parser = parser_of(merged.document)
    for profile, meant in merged.meant.items():
        found = values_of(merged.document, profile, parser) or {}
        if {key: value for key, value in found.items() if key in merged.kind.managed or key in meant} != meant:
            return profile
    return None


class _Surgery:
    """One merge under way."""

    def __init__(self, document: Document, config_id: str, kind: Kind) -> None:
        self.document = document
        self.config_id = config_id
        self.kind = kind
        self.adopted: list[str] = []
        self.refused: list[Refusal] = []
        self.removed: list[str] = []
        self.meant: dict[str, dict[str, str]] = {}
        self._rewritten: dict[str, str] = {}
        self._released: dict[str, Released] = {}
        self._added: list[str] = []

    def keep(self, role: KeptProfile) -> None:
        """Makes a profile say what it should. Raises Unfit where it must not be touched."""
        section = self.document.sections.get(role.section)
        if role.deliver == "keys" and role.session is None:
            if section is not None:
                self._release(section)
            return
        check_defaults(role.deliver, self.document.defaults)
        carriage = self.document.carriage
        if section is None:
            text, self.meant[role.section] = new_text(role, self.config_id, carriage, self.kind)
            self._added.append(text)
            return
        check_preferred(section)
        if says_so(section, role, self.config_id, self.kind):
            return
        changed, meant = rewritten(section, role, self.config_id, carriage, self.kind)
        if changed is None:
            return
        self._rewritten[role.section] = changed
        self.meant[role.section] = meant
        if extras_of(section, self.config_id, self.kind) is None:
            self.adopted.append(role.profile)

    def remove_all_but(self, names: set[str]) -> None:
        """Takes our keys out of every section of ours that is not among `names`."""
        for name, section in self.document.sections.items():
            if OWNER_KEY in section.keys and name not in names:
                try:
                    self._release(section)
                except Unfit:
                    continue  # keys that a person has put under our mark are the person's

    def _release(self, section: Section) -> None:
        extras = extras_of(section, self.config_id, self.kind)
        if extras is None:
            return
        self._released[section.name] = released(section, extras, self.kind)
        self.removed.append(section.name)
        self.meant[section.name] = {}

    def outcome(self) -> Document:
        """The document with everything done. Sections that did not change are the same objects as before."""
        preamble = self.document.preamble
        parts: list[Section] = []
        for part in self.document.parts:
            gone = self._released.get(part.name)
            if gone is None:
                text = self._rewritten.get(part.name)
                parts.append(part if text is None else section_of(text))
            elif not gone.whole:
                parts.append(section_of("\n".join(gone.lines)))
            elif parts:
                # never empty: it has its header
                parts[-1] = replace(parts[-1], text=_followed_by(parts[-1].text, gone) or parts[-1].text)
            else:
                preamble = _followed_by(preamble, gone)
        if self._added and not parts and preamble is not None and is_blank(preamble):
            preamble = None  # an empty file
        parts += map(section_of, self._added)
        return Document(preamble, tuple(parts), self.document.carriage)


def _followed_by(text: str | None, gone: Released) -> str | None:
    """The text before a section that is gone, and what is left of that one; None when that is nothing.

    With the section goes the one line ending that came with it: the empty line behind it, which the next one's header
    follows; where another program has appended right behind it, the one before it; and where there is none either, the
    file had no newline at its end and needs one now.
    """
    lines = [] if text is None else text.split("\n")
    if not gone.closed and lines and is_blank(lines[-1]):
        lines.pop()
    lines += gone.lines
    return "\n".join(lines) if lines else None


_Place = tuple[str, int]
"""A section's name, and how many of that name precede it: `[DEFAULT]` may come twice."""
_PREAMBLE: _Place = ("", -1)


@dataclass(frozen=True, slots=True)
class Combined:
    """`text` is the very object `current` when that says already what the edit does, or something newer."""

    text: bytes = field(repr=False)
    gone: frozenset[str] = frozenset()
    """The profiles that the edit takes out."""


def combine(base: bytes, edited: bytes, current: bytes, ours: Container[str] = ()) -> Combined:
    """`current` with the change that has made `edited` of `base`.

    What has become another section since is left as it is, because it is newer; but of a profile in `ours`, which the
    merge that follows rewrites anyhow, the edit may have lines that are not ours. Raises FileRefused when botocore
    could not read one of the three.
    """
    edit = scan(decode(edited))
    before, after, now = _pieces(scan(decode(base))), _pieces(edit), _pieces(scan(decode(current)))
    changed = {place for place in {**before, **after} if not _same(after.get(place), before.get(place))}
    taken = {place for place in changed if place[0] in ours or _same(now.get(place), before.get(place))}
    if not taken:
        return Combined(current)
    gone = frozenset(place[0] for place in taken if place not in after and place != _PREAMBLE)
    if current == base:
        return Combined(edited, gone)
    result: list[str] = []
    for place, text in after.items():
        if place in taken or _same(text, now.get(place)):
            result.append(text)
        elif place in now:
            result.append(now[place].rstrip() + text[len(text.rstrip()) :])
    result += [text for place, text in now.items() if place not in after and place not in taken]
    whole = "\n".join(result).removesuffix(edit.carriage)
    if edited.endswith(b"\n") and not whole.endswith("\n"):
        whole += f"{edit.carriage}\n"
    return Combined(whole.encode(), gone)


def is_contained(text: bytes, current: bytes) -> bool:
    """Whether all that `text` holds of others is in `current` as well. Raises FileRefused as `combine`."""
    now = {piece.rstrip() for piece in _pieces(scan(decode(current))).values()}
    document = scan(decode(text))
    ours = {part.text for part in document.parts if OWNER_KEY in part.keys}
    return all(piece in ours or piece.rstrip() in {"", *now} for piece in _pieces(document).values())


def _pieces(document: Document) -> dict[_Place, str]:
    pieces: dict[_Place, str] = {}
    if document.preamble is not None:
        pieces[_PREAMBLE] = document.preamble
    for part in document.parts:
        number = sum(place[0] == part.name for place in pieces) if part.name == DEFAULTS else 0
        pieces[part.name, number] = part.text
    return pieces


def _same(one: str | None, other: str | None) -> bool:
    """Empty lines at the end do not count: the last section of a file has others than those before it."""
    return one == other or (one is not None and other is not None and one.rstrip() == other.rstrip())
