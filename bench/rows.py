"""One figure beside one other, and how it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Reached = Literal["missed", "met", "moonshot"]


@dataclass(frozen=True, slots=True)
class Target:
    """The most that the ratio (`of="ratio"`) or our own figure (`of="ours"`) may be, and should be one day."""

    limit: float
    moonshot: float | None = None
    of: Literal["ratio", "ours"] = "ratio"

    def reached(self, ours: float, ratio: float | None) -> Reached | None:
        """How far it is met; None when there is nothing to compare with."""
        value = ours if self.of == "ours" else ratio
        if value is None:
            return None
        if self.moonshot is not None and value <= self.moonshot:
            return "moonshot"
        return "met" if value <= self.limit else "missed"


@dataclass(frozen=True, slots=True)
class Row:
    """`ours` and `theirs` are in `unit`; `theirs` None: there is nothing beside it, or the note says why not."""

    figure: str
    unit: str
    ours: float
    before: float | None
    """Of the version that it is compared with, from the same run."""
    beside: str
    theirs: float | None
    target: Target | None
    runs: int
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours by theirs."""
        return self.ours / self.theirs if self.theirs else None

    @property
    def reached(self) -> Reached | None:
        """How far the target is met; None where there is none, or nothing to compare with."""
        return self.target.reached(self.ours, self.ratio) if self.target else None

    def document(self) -> dict[str, object]:
        """The row for `--json`."""
        target = self.target
        return {
            "figure": self.figure,
            "unit": self.unit,
            "ours": self.ours,
            "before": self.before,
            "beside": self.beside,
            "theirs": self.theirs,
            "ratio": self.ratio,
            "target": {"of": target.of, "at_most": target.limit, "moonshot": target.moonshot} if target else None,
            "reached": self.reached,
            "runs": self.runs,
            "note": self.note,
        }


HEAD = ("figure", "ours", "before", "change", "beside", "theirs", "ratio", "target", "moonshot", "", "runs")
WORDS = {"figure", "beside", ""}
"""The columns of words; figures are aligned to the right."""


def table(rows: Sequence[Row]) -> str:
    """The rows as text, a line each, notes below."""
    notes = list(dict.fromkeys(row.note for row in rows if row.note))
    columns = dict(zip(HEAD, zip(*(_cells(row, notes) for row in rows), strict=True), strict=True))
    if all(row.before is None for row in rows):
        del columns["before"], columns["change"]
    aligned = []
    for head, cells in columns.items():
        width = max(map(len, (head, *cells)))
        aligned.append([cell.ljust(width) if head in WORDS else cell.rjust(width) for cell in (head, *cells)])
    shown = ["  ".join(line).rstrip() for line in zip(*aligned, strict=True)]
    shown.insert(1, "-" * max(map(len, shown)))
    return "\n".join([*shown, "", *(f"[{number}] {note}" for number, note in enumerate(notes, 1))])


def compared(before: Sequence[Mapping[str, Any]], rows: Sequence[Row]) -> str:
    """The rows that were measured before, too: both figures, and both ratios, for machines have better days."""
    old = {(row["figure"], row["beside"]): row for row in before}
    lines = [("figure", "beside", "before", "now", "change", "ratio before", "ratio now")]
    for row in rows:
        was = old.get((row.figure, row.beside))
        if was is not None:
            ratios = (_times(ratio) if ratio else "-" for ratio in (was["ratio"], row.ratio))
            figures = (_value(was["ours"], row.unit), _value(row.ours, row.unit), _change(was["ours"], row.ours))
            lines.append((row.figure, row.beside, *figures, *ratios))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _change(before: float, now: float) -> str:
    return f"{now / before - 1:+.0%}" if before else "-"


def _cells(row: Row, notes: list[str]) -> tuple[str, ...]:
    theirs = "-" if row.theirs is None else _value(row.theirs, row.unit)
    ratio = "-" if row.ratio is None else _times(row.ratio)
    reached = {"missed": "MISSED", "met": "met", "moonshot": "moonshot", None: ""}[row.reached]
    mark = f" [{notes.index(row.note) + 1}]" if row.note else ""
    goals = (_goal(row, row.target.limit), _goal(row, row.target.moonshot)) if row.target else ("-", "-")
    was = ("-", "-") if row.before is None else (_value(row.before, row.unit), _change(row.before, row.ours))
    ours = _value(row.ours, row.unit)
    return (row.figure + mark, ours, *was, row.beside or "-", theirs, ratio, *goals, reached, str(row.runs))


def _goal(row: Row, limit: float | None) -> str:
    """A limit, in the unit or as a ratio; `≤` is understood."""
    if row.target is None or limit is None:
        return "-"
    return _value(limit, row.unit) if row.target.of == "ours" else _times(limit)


def _times(ratio: float) -> str:
    if ratio < 0.5:
        return f"{1 / ratio:.0f} x less"
    return f"{ratio:.2f} x" if ratio < 10 else f"{ratio:.0f} x"


def _value(value: float, unit: str) -> str:
    digits = 0 if value >= 1000 or unit == "/h" else 1 if value >= 100 else 2
    return f"{value:,.{digits}f} {unit}"
