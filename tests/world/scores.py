"""Figures measured by the long tests, for the scoreboard of `make proof`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

SCORES = "PROOF_SCORES"
"""The variable with the directory for the figures of a proof; without it they are discarded."""

Record = Callable[[str, float], None]


def recorder(test: str) -> Record:
    """A function that records a figure of this test."""
    directory = os.environ.get(SCORES)

    def record(name: str, value: float) -> None:
        if directory is None:
            return
        line = json.dumps({"name": name, "value": value, "test": test})
        # One file per process: the workers of pytest-xdist write concurrently.
        with (Path(directory) / f"{os.getpid()}.jsonl").open("a") as file:
            file.write(line + "\n")

    return record


def collected(directory: Path) -> dict[str, list[float]]:
    """Name → every figure recorded under it."""
    figures: dict[str, list[float]] = {}
    for path in sorted(directory.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            figures.setdefault(entry["name"], []).append(float(entry["value"]))
    return figures
