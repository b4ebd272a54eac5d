"""`python -m bench [--quick] [--only FAMILY] [--against PYTHON] [--json FILE] [--compare FILE]`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from . import ROOT, daemon
from .commands import commands
from .endpoint import endpoint
from .kit import Bench, say
from .machine import machine
from .rewrite import rewrite
from .rows import compared, table

FAMILIES = {
    family.__name__: family
    for family in (
        daemon.start,
        daemon.renewal,
        daemon.memory,
        daemon.idle,
        daemon.load,
        rewrite,
        commands,
        endpoint,
    )
}


def main() -> int:
    """Measure, and print the table: a target is met or missed there, and never the exit status."""
    parser = argparse.ArgumentParser(prog="bench", description="What assumed costs, beside floors and peers.")
    parser.add_argument("--quick", action="store_true", help="fewer roles and runs: a minute, figures are rough")
    parser.add_argument("--only", choices=FAMILIES, action="append", help="one family of rows (may be repeated)")
    parser.add_argument(
        "--against", metavar="PYTHON", help="measure another version in turns: its environment's interpreter"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there, too")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="an earlier --json: print its figures, too")
    arguments = parser.parse_args()
    if not sys.platform.startswith("linux"):
        print("bench: reads /proc for CPU, memory and wake-ups, so it runs on Linux only", file=sys.stderr)
        return 2
    bench = Bench(arguments.quick, arguments.against)
    for python in bench.versions:
        _compile(python)
    began = time.monotonic()
    measured = {name: list(FAMILIES[name](bench)) for name in arguments.only or FAMILIES}
    rows = [row for family in measured.values() for row in family]
    facts = machine() | {"seconds": round(time.monotonic() - began, 1), "quick": arguments.quick}
    say(f"done in {facts['seconds']} s")
    print("\n".join(f"{name}: {value}" for name, value in facts.items()), "", table(rows), sep="\n")
    if arguments.compare:
        print("", compared(json.loads(arguments.compare.read_text())["rows"], rows), sep="\n")
    if arguments.json:
        documents = [{"family": name, **row.document()} for name, family in measured.items() for row in family]
        document = {"machine": facts, "rows": documents}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0


def _compile(python: str) -> None:
    """An installed package is compiled; a working copy on a machine that writes no .pyc would be measured without."""
    program = "import assumed, compileall; compileall.compile_dir(assumed.__path__[0], quiet=1)"
    subprocess.run([python, "-c", program], cwd=ROOT, check=True)


if __name__ == "__main__":
    sys.exit(main())
