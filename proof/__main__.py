"""`python -m proof [--json FILE] [pytest's arguments]`: the long tests, and then the scoreboard."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.machine import machine

from .figures import Figures
from .scoreboard import document, planted, scores, table

ROOT = Path(__file__).parents[1]


def main() -> int:
    """Run, print, and return pytest's exit status: what is promised the tests assert, targets beyond it they do not."""
    parser = argparse.ArgumentParser(prog="proof", description="Every promise as a figure.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the scoreboard there, too")
    arguments, more = parser.parse_known_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="assumed-proof-") as directory:
        # The tests that only wait are not in each other's way, so there are more workers than cores.
        command = [sys.executable, "-m", "pytest", "-n", str((os.cpu_count() or 2) + 1), "--dist", "worksteal"]
        environ = {**os.environ, "PROOF_SCORES": directory}
        command += ["-m", "(slow or proof) and not interop", *more]
        status = subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode
        figures = Figures.of(Path(directory))
    board = scores(figures)
    facts = machine() | {"seconds": round(time.monotonic() - began)}
    print(
        "\n".join(f"{name}: {value}" for name, value in facts.items()), "", table(board), "", planted(figures), sep="\n"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": facts, "rows": document(board)}, indent=1) + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
