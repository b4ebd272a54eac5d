"""Changes to the lines of a file, collected first and applied once: what is not named comes out as it went in.

Lines are those of `text.split("\\n")`: a file that ends in a newline has an empty last line, and a section that is
put at the end adds its lines and one empty one. Hence "one line ending before it" is what a new section costs,
whether the file ended in a newline or not, and what taking it out gives back.
"""

from __future__ import annotations

from collections.abc import Iterable


class Edits:
    """Replaced, deleted, inserted and appended lines of one file. `lines` itself is not changed."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self._carriage = "\r" if lines[0].endswith("\r") else ""
        self._replaced: dict[int, str | None] = {}
        self._inserted: dict[int, list[str]] = {}
        self._appended: list[str] = []

    def __len__(self) -> int:
        """How many changes there are."""
        return len(self._replaced) + len(self._inserted) + len(self._appended)

    def replace(self, number: int, line: str) -> None:
        """Puts `line` in the place of another; nothing is recorded when it says the same."""
        old = self.lines[number]
        if old.removesuffix("\r") != line:
            self._replaced[number] = line + ("\r" if old.endswith("\r") else "")

    def delete(self, number: int) -> None:
        self._replaced[number] = None

    def insert(self, after: int, lines: Iterable[str]) -> None:
        """Puts `lines` behind line `after` and behind what was put there before."""
        if lines := [line + self._carriage for line in lines]:
            self._inserted.setdefault(after, []).extend(lines)

    def append(self, lines: Iterable[str]) -> None:
        """Puts a block at the end of the file, one line ending away from what is there."""
        self._appended += [line + self._carriage for line in lines]
        self._appended.append(self._carriage)

    def close_gap(self, first: int, last: int) -> None:
        """Takes away the line ending that `append` put before a block, whose lines `first` to `last` are deleted.

        It is the empty line behind the block, for that is where the next block's stands. Where none is (another
        program has appended right behind it), it is the one before the block; where none is there either, the file
        had no newline at its end and needs one now.
        """
        if last + 1 < len(self.lines) and self._blank(last + 1):
            self.delete(last + 1)
            return
        before = first - 1
        while before in self._replaced and self._replaced[before] is None:
            before -= 1
        if before >= 0 and self._blank(before):
            self.delete(before)

    def _blank(self, number: int) -> bool:
        return self.lines[number] in ("", "\r")

    def text(self) -> str:
        """The changed file."""
        lines = self.lines.copy()
        lines[-1] += self._carriage  # as if every line ended alike; the last one's is taken off again below
        out: list[str] = []
        done = 0
        for number in sorted(self._replaced.keys() | self._inserted.keys()):
            out += lines[done:number]
            line = self._replaced.get(number, lines[number])
            if line is not None:
                out.append(line if number < len(lines) - 1 else line.removesuffix("\r") + self._carriage)
            out += self._inserted.get(number, ())
            done = number + 1
        out += lines[done:]
        if out in ([""], ["\r"]) and self._appended:
            out.clear()
        return "\n".join(out + self._appended).removesuffix("\r")
