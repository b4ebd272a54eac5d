"""`python -m bench` runs and prints what it measured. Figures are not asserted: machines differ."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads /proc")

ROOT = Path(__file__).resolve().parents[2]
FAMILIES = {"start", "renewal", "memory", "idle", "load", "rewrite", "commands", "endpoint"}
FACTS = {"family", "figure", "unit", "ours", "before", "beside", "theirs", "ratio", "target", "reached", "runs", "note"}


def bench(tmp_path: Path, *arguments: str) -> tuple[str, dict[str, Any]]:
    """Its text and its JSON."""
    document = tmp_path / "bench.json"
    argv = [sys.executable, "-m", "bench", "--quick", "--json", str(document), *arguments]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(document.read_text())


def test_a_row_says_what_was_measured_beside_what_and_whether_the_target_was_met(tmp_path: Path) -> None:
    text, document = bench(tmp_path, "--only", "rewrite")
    assert {row["figure"] for row in document["rows"]} == {"rewrite, 10 profiles", "rewrite, 100 profiles"}
    for row in document["rows"]:
        assert set(row) == FACTS
        assert row["ratio"] == pytest.approx(row["ours"] / row["theirs"])
        missed = row["ratio"] > row["target"]["at_most"]
        assert (row["reached"] == "missed") is missed
        assert row["figure"] in text
    assert {"kernel", "cpu", "cores", "python", "seconds"} <= set(document["machine"])

    again, _ = bench(tmp_path, "--only", "rewrite", "--compare", str(tmp_path / "bench.json"))
    (line,) = (line for line in again.splitlines() if line.startswith("rewrite, 10 profiles") and "%" in line)
    (before,) = (line for line in text.splitlines() if line.startswith("rewrite, 10 profiles"))
    assert re.findall(r"[\d.,]+ ms", before)[0] in line


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_quick_bench_has_every_family_of_rows(tmp_path: Path) -> None:
    _, document = bench(tmp_path)
    assert {row["family"] for row in document["rows"]} == FAMILIES
    assert all(row["ours"] > 0 for row in document["rows"] if row["unit"] not in {"s/h", "/h", "%"})
