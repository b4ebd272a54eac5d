"""One figure beside one other, and how it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Target:
    """The most that the ratio (`of="ratio"`) or our own figure (`of="ours"`) may be."""

    limit: float
    of: Literal["ratio", "ours"] = "ratio"

    def met(self, ours: float, ratio: float | None) -> bool | None:
        """Whether it is met; None when there is nothing to compare with."""
        value = ours if self.of == "ours" else ratio
        return None if value is None else value <= self.limit


@dataclass(frozen=True, slots=True)
class Row:
    """`ours` and `theirs` are in `unit`; `theirs` None means that what it is called by is not installed."""

    family: str
    figure: str
    unit: str
    ours: float
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
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none, or nothing to compare with."""
        return self.target.met(self.ours, self.ratio) if self.target else None

    def document(self) -> dict[str, object]:
        """The row for `--json`."""
        target = self.target
        return {
            "family": self.family,
            "figure": self.figure,
            "unit": self.unit,
            "ours": self.ours,
            "beside": self.beside,
            "theirs": self.theirs,
            "ratio": self.ratio,
            "target": {"of": target.of, "at_most": target.limit} if target else None,
            "met": self.met,
            "runs": self.runs,
            "note": self.note,
        }


def table(rows: Sequence[Row]) -> str:
    """The rows as text, a line each, notes below."""
    head = ("figure", "ours", "beside", "theirs", "ratio", "target", "", "runs")
    notes = list(dict.fromkeys(row.note for row in rows if row.note))
    lines = [head, *(_cells(row, notes) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    shown = ["  ".join(_aligned(cell, widths[i], i) for i, cell in enumerate(line)).rstrip() for line in lines]
    shown.insert(1, "-" * len(max(shown, key=len)))
    return "\n".join([*shown, "", *(f"[{number}] {note}" for number, note in enumerate(notes, 1))])


def _cells(row: Row, notes: list[str]) -> tuple[str, ...]:
    theirs = "not installed" if row.theirs is None else _value(row.theirs, row.unit)
    if not row.beside:
        theirs = "-"
    ratio = "-" if row.ratio is None else _times(row.ratio)
    met = {True: "met", False: "MISSED", None: ""}[row.met]
    mark = f" [{notes.index(row.note) + 1}]" if row.note else ""
    return (row.figure + mark, _value(row.ours, row.unit), row.beside, theirs, ratio, _goal(row), met, str(row.runs))


def _goal(row: Row) -> str:
    target = row.target
    if target is None:
        return "-"
    if target.of == "ours":
        return f"at most {_value(target.limit, row.unit)}"
    return f"at most {_times(target.limit)}" if target.limit > 0.5 else _times(target.limit)


def _times(ratio: float) -> str:
    if ratio < 0.5:
        return f"{1 / ratio:.0f} x less"
    return f"{ratio:.2f} x" if ratio < 10 else f"{ratio:.0f} x"


def _value(value: float, unit: str) -> str:
    digits = 0 if value >= 1000 or unit == "/h" else 1 if value >= 100 else 2
    return f"{value:,.{digits}f} {unit}"


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if column in {1, 3, 4, 7} else cell.ljust(width)
