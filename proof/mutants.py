"""`python -m proof.mutants [--seed N] [--count N]`: how good is the black-box net?

A mutant is the package with one decision broken: a comparison, a condition, a dropped call. It lives in a copy, with an
interpreter of its own that finds the copy first, also under `-I`; tests and daemons run by that interpreter. A mutant
that no black-box test notices is equivalent (`equivalent.toml` names those, with reasons) or a hole in the net.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from .mutator import Mutant, sample

ROOT = Path(__file__).parents[1]
PACKAGE = Path("daemon/assumed")
MEMORY = ROOT / ".pytest_cache" / "mutants.json"
Memory = dict[str, Counter[str]]
"""File of the package → how often each test file killed in it."""

NOT_MUTATED = (
    "demo/*", "doctor/*", "service/*", "*/service/*", "*/service.py", "*/samples.py", "*/units.py", "*schema*",
    "*/unit_settings.py", "*/surroundings.py", "cli/render*", "cli/screen*", "cli/watch*", "cli/demo*", "cli/follow*",
    "cli/terminal*", "cli/completion*", "cli/app.py", "*words.py",
)  # fmt: skip
"""Texts, screens, installers and advice: what decides is all the rest."""

BLACK_BOX = ("process", "outside", "rivals", "fault", "canary", "units", "test_walkthrough.py")
NET = tuple(f"tests/{name}" for name in BLACK_BOX)

LIKELY = {
    "*aws/*": (
        "process/test_sources.py",
        "process/test_identity.py",
        "process/test_helpers.py",
        "outside/test_3_w*.py",
    ),
    "files/*|credentials/*|*credentials_file*|core/[ips]*": ("process/test_*edits.py", "process/test_r*.py", "rivals"),
    "config/*": (
        "process/test_net_*.py",
        "process/test_bad_edits.py",
        "outside/test_3_ch*.py",
        "outside/test_5_trust.py",
    ),
    "jobs/*|*endpoint*|cli/*": ("process/test_[nwbe]*.py", "outside/test_5_s*.py", "outside/test_1_st*.py"),
    "*": ("process/test_[ino]*.py", "process/test_s*.py", "process/test_edits.py"),
}
"""Where a mutant probably dies first, until `MEMORY` knows better."""


def files() -> list[str]:
    """What decides, relative to the package."""
    every = sorted(str(path.relative_to(ROOT / PACKAGE)) for path in (ROOT / PACKAGE).rglob("*.py"))
    return [file for file in every if not any(fnmatch.fnmatch(file, glob) for glob in NOT_MUTATED)]


def equivalent(one: Mutant) -> str:
    """Why nobody could feel it, by content and not by line, so that it outlives a move; else empty."""
    for known in tomllib.loads((ROOT / "proof" / "equivalent.toml").read_text()).get("mutant", []):
        if (known["function"], known["before"], known["after"]) == (one.function, one.before, one.after):
            return str(known["reason"])
    return ""


class Bench:
    """A copy of the package, and an interpreter that finds it before the checkout's."""

    def __init__(self, directory: Path, workers: int) -> None:
        self.directory, self.workers, self.tree = directory, workers, directory / "tree"
        directory.chmod(0o755)  # tests run the program as other users, too
        self.tree.mkdir()
        for entry in ROOT.iterdir():  # in a checkout the program looks for units and examples beside itself
            if entry.name == "daemon":
                shutil.copytree(entry, self.tree / "daemon", ignore=shutil.ignore_patterns("__pycache__"))
            elif not entry.name.startswith("."):
                (self.tree / entry.name).symlink_to(entry)
        venv.EnvBuilder(symlinks=True).create(directory / "venv")
        self.python = directory / "venv" / "bin" / "python"
        ours = Path(self._say("import sysconfig; print(sysconfig.get_path('purelib'))"))
        theirs = next(path for path in sys.path if path.endswith("site-packages"))
        (ours / "mutant.pth").write_text(f"{self.tree / 'daemon'}\nimport site; site.addsitedir({theirs!r})\n")
        for tool in Path(sys.executable).parent.iterdir():
            if not (self.python.parent / tool.name).exists():
                (self.python.parent / tool.name).symlink_to(tool)
        script = self.python.parent / "assumed"
        script.unlink(missing_ok=True)
        script.write_text(f"#!{self.python}\nimport sys\nfrom assumed.cli import main\nsys.exit(main())\n")
        script.chmod(0o755)
        found = self._say("import assumed; print(assumed.__file__)")
        if not Path(found).is_relative_to(self.tree):
            sys.exit(f"the interpreter of the mutants would run {found}")

    def _say(self, program: str) -> str:
        command = [str(self.python), "-I", "-c", program]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def write(self, file: str, source: bytes) -> None:
        """Make that the file's source; compiled before within the same second, it could look unchanged."""
        path = self.tree / PACKAGE / file
        path.write_bytes(source)
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            compiled.unlink()

    def killer(self, tests: Sequence[str], limit: float) -> str:
        """The first test that fails, "hung" after `limit` seconds, or empty: all are green."""
        command = [
            str(self.python),
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:randomly",
            "--tb=no",
        ]
        command += ["-n", str(self.workers), "--dist", "worksteal", "-m", "not slow", *tests]
        environ = {**os.environ, "ASSUMED_PYTHON": str(self.python)}
        with (
            tempfile.TemporaryFile("w+") as output,
            subprocess.Popen(
                command, cwd=ROOT, env=environ, stdout=output, stderr=output, start_new_session=True
            ) as run,
        ):
            try:
                run.wait(limit)
            except subprocess.TimeoutExpired:
                os.killpg(run.pid, signal.SIGKILL)
                return "hung"
            finally:
                self._sweep()
            output.seek(0)
            said = output.read()
        failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", said, re.MULTILINE)
        return "" if run.returncode in {0, 5} else failed[1] if failed else said.strip().splitlines()[-1]

    def _sweep(self) -> None:
        """End what a mutant left running: its interpreter is in the command line."""
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if str(self.directory).encode() in (process / "cmdline").read_bytes():
                    os.kill(int(process.name), signal.SIGKILL)


def first_tests(file: str, memory: Memory) -> list[str]:
    """The tests that killed in this file before; else those that the table names."""
    if file in memory:
        return [test for test, _ in memory[file].most_common(4) if (ROOT / test).exists()]
    globs = next(
        tests for sources, tests in LIKELY.items() if any(fnmatch.fnmatch(file, a) for a in sources.split("|"))
    )
    return [str(path.relative_to(ROOT)) for glob in globs for path in sorted((ROOT / "tests").glob(glob))]


def fate(one: Mutant, bench: Bench, source: bytes, limit: float, memory: Memory) -> str:
    """The test that kills it, or empty: it lived."""
    first = first_tests(one.file, memory)
    rest = [*(tests for tests in NET if tests not in first), *(f"--ignore={tests}" for tests in first)]
    bench.write(one.file, one.applied(source))
    try:
        killer = (first and _killed_twice(bench, first, limit)) or _killed_twice(bench, rest, limit)
    finally:
        bench.write(one.file, source)
    if "::" in killer:
        memory.setdefault(one.file, Counter())[killer.split("::")[0]] += 1
    return killer


def _killed_twice(bench: Bench, tests: list[str], limit: float) -> str:
    """A test that fails once and then passes alone proves nothing: the others are asked without it."""
    flaky: list[str] = []
    while killer := bench.killer([*tests, *(f"--deselect={test}" for test in flaky)], limit):
        if "::" not in killer or bench.killer([killer], limit):
            return killer
        flaky.append(killer)
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--per-file", type=int, default=2)
    parser.add_argument("--only", default="*", metavar="GLOB", help="files of the package, such as 'config/*'")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=float, default=240, help="seconds after which a mutant counts as hung")
    parser.add_argument("--no-baseline", action="store_true", help="the tests are known to be green without a mutant")
    parser.add_argument("--list", action="store_true", help="print the sample and run nothing")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    sources = {file: (ROOT / PACKAGE / file).read_bytes() for file in files() if fnmatch.fnmatch(file, options.only)}
    chosen = sample(sources, options.seed, options.count, options.per_file)
    if options.list:
        for one in chosen:
            print(f"{one.file}:{one.line} {one.function}: {one.operator} {equivalent(one) and '(equivalent)'}")
            print(f"  - {one.before}\n  + {one.after}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended by that, too
    with tempfile.TemporaryDirectory(prefix="assumed-mutants-") as directory:
        return _run(chosen, sources, Bench(Path(directory), options.workers), options)


def _run(chosen: Sequence[Mutant], sources: dict[str, bytes], bench: Bench, options: argparse.Namespace) -> int:
    """Green without a mutant, red with a program that only exits; then each mutant of the sample."""
    began = time.monotonic()
    if not options.no_baseline and (killer := bench.killer(NET, 3600)):
        sys.exit(f"the net is not green without a mutant: {killer}")
    limit = max(options.limit, 3 * (time.monotonic() - began))
    print(f"without a mutant: {time.monotonic() - began:.0f} s", flush=True)
    entry = (ROOT / PACKAGE / "__main__.py").read_bytes()
    bench.write("__main__.py", b"raise SystemExit(9)\n")
    if not bench.killer(["tests/process/test_once.py"], limit):
        sys.exit("the tests do not run the copy")
    bench.write("__main__.py", entry)
    memory = {file: Counter(known) for file, known in json.loads(MEMORY.read_text()).items()} if MEMORY.exists() else {}
    rows = []
    for number, one in enumerate(chosen, 1):
        reason, began = equivalent(one), time.monotonic()
        killer = "" if reason else fate(one, bench, sources[one.file], limit, memory)
        verdict = "equivalent" if reason else "killed" if killer else "LIVED"
        print(f"{number:3} {verdict} {one.file}:{one.line} {one.operator} {reason or killer}", flush=True)
        print(f"      - {one.before}\n      + {one.after}\n      {time.monotonic() - began:.0f} s", flush=True)
        rows.append(asdict(one) | {"verdict": verdict.lower(), "killer": killer, "reason": reason})
        MEMORY.parent.mkdir(exist_ok=True)
        MEMORY.write_text(json.dumps(memory, indent=1))
    sums = Counter(row["verdict"] for row in rows)
    felt = len(rows) - sums["equivalent"]
    print(f"{sums['killed']} of {felt} killed, {sums['lived']} lived, {sums['equivalent']} equivalent")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
