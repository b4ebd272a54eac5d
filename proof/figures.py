"""The figures that tests handed in (tests/world/scores.py), and how many of one name become one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path


class NotMeasured(LookupError):
    """No test handed this figure in: it was skipped here, or it failed before."""


class Figures:
    """Name → every value that was handed in. Each method raises NotMeasured where there is none."""

    def __init__(self, values: Mapping[str, list[float]]) -> None:
        self._values = values

    @classmethod
    def of(cls, directory: Path) -> Figures:
        """Those of one proof: a line of JSON each."""
        values: dict[str, list[float]] = {}
        for path in sorted(directory.glob("*.jsonl")):
            for line in path.read_text().splitlines():
                entry = json.loads(line)
                values.setdefault(entry["name"], []).append(float(entry["value"]))
        return cls(values)

    def all(self, name: str) -> list[float]:
        """Sorted."""
        if not self._values.get(name):
            raise NotMeasured(name)
        return sorted(self._values[name])

    def total(self, name: str) -> int:
        """The sum, of counts."""
        return round(sum(self.all(name)))

    def most(self, name: str) -> float:
        """The largest."""
        return self.all(name)[-1]

    def least(self, name: str) -> float:
        """The smallest."""
        return self.all(name)[0]

    def within(self, name: str, share: float) -> float:
        """What so large a share of the values stays below: 0.99 for p99."""
        values = self.all(name)
        return values[min(len(values) - 1, int(share * len(values)))]

    def named(self, prefix: str) -> dict[str, float]:
        """The rest of the name → the first value, of all names that begin so."""
        found = {
            name.removeprefix(prefix): values[0] for name, values in self._values.items() if name.startswith(prefix)
        }
        if not found:
            raise NotMeasured(prefix)
        return dict(sorted(found.items()))
