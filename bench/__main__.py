"""`python -m bench [--quick] [--only FAMILY] [--json FILE] [--compare FILE]`."""

from __future__ import annotations

import argparse
import compileall
import json
import sys
import time
from pathlib import Path

from . import endpoint, helper, memory, rewrite, running, start
from .kit import ROOT, say
from .machine import machine
from .rows import Row, compared, table

FAMILIES = {"start": start.rows, "rewrite": rewrite.rows, "helper": helper.rows, "memory": memory.rows} | {
    "running": running.rows,
    "endpoint": endpoint.rows,
}


def main() -> int:
    """Measure, print the table, and say which targets were missed."""
    parser = argparse.ArgumentParser(prog="bench", description="What assumed costs, beside floors and peers.")
    parser.add_argument("--quick", action="store_true", help="fewer roles and runs: under a minute, figures are rough")
    parser.add_argument("--only", choices=FAMILIES, action="append", help="one family of rows (may be repeated)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there, too")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="an earlier --json: print old and new")
    arguments = parser.parse_args()
    if not sys.platform.startswith("linux"):
        print("bench: reads /proc for CPU, memory and wake-ups, and so runs on Linux only", file=sys.stderr)
        return 2
    # An installed package is compiled; a working copy on a machine that writes no .pyc would be measured without.
    compileall.compile_dir(ROOT / "daemon", quiet=1)
    began = time.monotonic()
    rows: list[Row] = []
    for name in arguments.only or FAMILIES:
        rows += FAMILIES[name](arguments.quick)
    facts = machine() | {"seconds": round(time.monotonic() - began, 1), "quick": arguments.quick}
    say(f"done in {facts['seconds']} s")
    print("\n".join(f"{name}: {value}" for name, value in facts.items()), "", table(rows), sep="\n")
    if arguments.compare:
        print("", compared(json.loads(arguments.compare.read_text())["rows"], rows), sep="\n")
    if arguments.json:
        document = {"machine": facts, "rows": [row.document() for row in rows]}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
