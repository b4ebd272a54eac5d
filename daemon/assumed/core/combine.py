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
    """`gone`: the profiles that the edit has taken out."""

    text: bytes = field(repr=False)
    gone: frozenset[str]


def combine(base: bytes, edited: bytes, standing: bytes, ours: Container[str] = ()) -> Combined:
    """`edited`, with what `standing` has made of `base` since.

    Where both have changed a section, `standing` is the newer one; but of a profile in `ours`, which the merge that
    follows rewrites anyhow, the edit may have lines that are not ours. Raises FileRefused when botocore could not read
    one of the three.
    """
    old, edit, now = (scan(decode(text)) for text in (base, edited, standing))
    gone = frozenset(old.sections.keys() - edit.sections.keys())
    if standing == base:
        return Combined(edited, gone)
    was, said, stands = _pieces(old), _pieces(edit), _pieces(now)
    result: list[str] = []
    for place, text in said.items():
        before, after = was.get(place), stands.get(place)
        if _same(after, before) or (place[0] in ours and not _same(text, before)):
            result.append(text)
        elif after is not None:
            result.append(after)
    result += [text for place, text in stands.items() if place not in said and not _same(text, was.get(place))]
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
