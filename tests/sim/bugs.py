"""Check the checker: each planted bug is applied to a copy of the daemon, and the simulator must find it there.

`python tests/sim/bugs.py [NAME…] [--seeds N]`. A patch's first line describes the bug.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PATCHES = HERE / "bugs"


@dataclass(frozen=True, slots=True)
class Found:
    """The result for one planted bug. `seed` is None if it was not found."""

    name: str
    title: str
    seed: int | None
    what: str
    seconds: float


def hunt(patch: Path, seeds: int) -> Found:
    """Plant one bug in a copy and run seeds until one fails. Raises RuntimeError if it cannot be planted."""
    began = time.perf_counter()
    title = patch.read_text().partition("\n")[0]
    with tempfile.TemporaryDirectory(prefix="assumed-bug-") as copy:
        shutil.copytree(ROOT / "daemon", Path(copy) / "daemon", ignore=shutil.ignore_patterns("__pycache__"))
        planted = subprocess.run(
            ["patch", "-p1", "--fuzz=3", "-i", patch], cwd=copy, capture_output=True, text=True, check=False
        )
        if planted.returncode:
            raise RuntimeError(f"{patch.name} does not apply any more:\n{planted.stdout}{planted.stderr}")
        environ = {**os.environ, "PYTHONPATH": str(Path(copy) / "daemon"), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, HERE / "run.py", "--until-broken", "--seeds", str(seeds)]
        ran = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    match = re.search(r"^seed (\d+): (.*)", ran.stdout, re.MULTILINE)
    if match is None and ran.returncode:
        raise RuntimeError(f"{patch.name}: the simulator did not run:\n{ran.stderr}")
    seed, what = (int(match[1]), match[2]) if match else (None, "")
    return Found(patch.stem, title, seed, what, round(time.perf_counter() - began, 1))


def main() -> int:
    """Hunt them all. Returns 1 if one was not found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    patches = [p for p in sorted(PATCHES.glob("*.patch")) if not options.names or p.stem in options.names]
    found = []
    for patch in patches:
        one = hunt(patch, options.seeds)
        found.append(one)
        how = f"found by seed {one.seed}" if one.seed is not None else "NOT FOUND"
        print(f"{one.name}: {how} in {one.seconds} s: {one.what[:150]}", flush=True)
    caught = sum(one.seed is not None for one in found)
    print(f"planted bugs found: {caught} of {len(found)} ({len(found)} of {len(found)})")
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in found], indent=1, ensure_ascii=False) + "\n")
    return 0 if caught == len(found) else 1


if __name__ == "__main__":
    sys.exit(main())
