"""Changes to the lines of one section, collected first and applied once: what is not named comes out as it went in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


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
