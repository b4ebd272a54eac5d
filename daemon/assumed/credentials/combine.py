"""Two changes to one file made into one, section by section: another program's, and what has become of the file since.

Needed where another program has written the file in the moment in which ours took its place (docs/decisions/0007): of
its edit only the file that it came from and the file that it made are known.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

from .ini import DEFAULTS, Document, decode, scan
from .ownership import OWNER_KEY

_Place = tuple[str, int]
"""A section's name, and how many of that name stand before it: `[DEFAULT]` may come twice."""
_PREAMBLE: _Place = ("", -1)


@dataclass(frozen=True, slots=True)
class Combined:
    """`text` is the very object that stands when it says already what the edit does, or something newer."""

    text: bytes = field(repr=False)
    gone: frozenset[str] = frozenset()
    """The profiles that the edit takes out."""


def combine(base: bytes, edited: bytes, standing: bytes, ours: Container[str] = ()) -> Combined:
    """`standing` with the change that has made `edited` of `base`.

    What has become another section since is left as it is, for it is newer; but of a profile in `ours`, which the merge
    that follows rewrites anyhow, the edit may have lines that are not ours. Raises FileRefused when botocore could not
    read one of the three.
    """
    edit = scan(decode(edited))
    was, said, stands = _pieces(scan(decode(base))), _pieces(edit), _pieces(scan(decode(standing)))
    changed = {place for place in {**was, **said} if not _same(said.get(place), was.get(place))}
    taken = {place for place in changed if place[0] in ours or _same(stands.get(place), was.get(place))}
    if not taken:
        return Combined(standing)
    gone = frozenset(place[0] for place in taken if place not in said and place != _PREAMBLE)
    if standing == base:
        return Combined(edited, gone)
    result: list[str] = []
    for place, text in said.items():
        if place in taken or _same(text, stands.get(place)):
            result.append(text)
        elif place in stands:
            result.append(stands[place].rstrip() + text[len(text.rstrip()) :])
    result += [text for place, text in stands.items() if place not in said and place not in taken]
    whole = "\n".join(result).removesuffix(edit.carriage)
    if edited.endswith(b"\n") and not whole.endswith("\n"):
        whole += f"{edit.carriage}\n"
    return Combined(whole.encode(), gone)


def is_contained(text: bytes, standing: bytes) -> bool:
    """Whether all that `text` holds of others is in `standing` as well. Raises FileRefused as `combine`."""
    stands = {piece.rstrip() for piece in _pieces(scan(decode(standing))).values()}
    document = scan(decode(text))
    ours = {part.text for part in document.parts if OWNER_KEY in part.keys}
    return all(piece in ours or piece.rstrip() in {"", *stands} for piece in _pieces(document).values())


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
