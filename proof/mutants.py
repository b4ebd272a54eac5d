"""`python -m proof.mutants [--seed N] [--count N]`: how good is the black-box net?

A mutant is the package with one decision broken: a comparison, a condition, a dropped call. It lives in a copy, with an
interpreter of its own that finds the copy first, also under `-I`; tests and daemons run by that interpreter. First the
whole net runs without a mutant and notes which test comes by which place; a mutant is then shown to those tests alone.
One that none of them notices is equivalent (`equivalent.toml` names those, with reasons) or a hole in the net.
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
from typing import Any

from .mutator import Mutant, sample, watched

ROOT = Path(__file__).parents[1]
PACKAGE = Path("daemon/assumed")

NOT_MUTATED = (
    "demo/*", "doctor/*", "service/*", "cli/service*", "*/samples.py", "*schema*", "cli/render*", "cli/screen*",
    "cli/watch*", "cli/demo*", "cli/follow*", "cli/terminal*", "cli/completion*", "cli/app.py", "*words.py",
)  # fmt: skip
"""Texts, screens, installers and advice: what decides is all the rest."""

BLACK_BOX = ("process", "outside", "rivals", "fault", "canary", "units")
NET = (*(f"tests/{name}" for name in BLACK_BOX), "--ignore-glob=*test_upgrade*.py")
"""The tests of upgrades replace the package themselves."""

NOTE = """
import os, sys
hit = (number, os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0])
known = sys.__dict__.setdefault("_reached", set())
if hit not in known:
    known.add(hit)
    try:
        descriptor = os.open(f"{hits}/{number}", os.O_WRONLY | os.O_APPEND)
        os.write(descriptor, f"{hit[1]}\\n".encode())
        os.close(descriptor)
    except OSError:
        pass  # a sandbox
"""
"""Run where a mutant will be: notes the test that started the process. Daemons inherit the variable from it."""
NOBODY = ""
"""What comes by at import, or in an environment that a test made from nothing."""


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

    def watch(self, chosen: Sequence[Mutant], sources: dict[str, bytes]) -> tuple[list[str], list[list[str]]]:
        """The tests that fail without a mutant, and for each mutant those that come by its place."""
        hits, note = self.directory / "hits", self.directory / "note.py"
        hits.mkdir()
        note.write_text(NOTE)
        notes: dict[str, dict[Mutant, str]] = {one.file: {} for one in chosen}
        for number, one in enumerate(chosen):
            (hits / str(number)).touch()
            (hits / str(number)).chmod(0o666)  # other users' processes come by, too
            notes[one.file][one] = f"exec(open({str(note)!r}).read(), {{'number': {number}, 'hits': {str(hits)!r}}})"
        for file, places in notes.items():
            self.write(file, watched(sources[file], places))
        failed = self.failed(NET, 3600, "--maxfail=1000")
        for file in notes:
            self.write(file, sources[file])
        reached = [list(dict.fromkeys((hits / str(n)).read_text().splitlines())) for n in range(len(chosen))]
        return [test for test in failed if self.failed([test], 3600)], reached

    def failed(self, tests: Sequence[str], limit: float, *more: str) -> list[str]:
        """The tests that fail, at most one unless `more` says so; "hung" after `limit` seconds."""
        workers = self.workers if len(tests) > 2 else 0
        command = [str(self.python), "-m", "pytest", "-q", "-x", "--tb=no", "--dist", "worksteal", "-n", str(workers)]
        command += ["-p", "no:cacheprovider", "-p", "no:randomly", "-m", "not slow", *more, *tests]
        options: dict[str, Any] = {"cwd": ROOT, "env": {**os.environ, "ASSUMED_PYTHON": str(self.python)}}
        with tempfile.TemporaryFile("w+") as output:
            run = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True, **options)
            try:
                run.wait(limit)
            except subprocess.TimeoutExpired:
                return ["hung"]
            finally:
                self._sweep()
                run.wait()
            output.seek(0)
            said = output.read()
        failed = re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", said, re.MULTILINE)
        return [] if run.returncode in {0, 5} else failed or [said.strip().splitlines()[-1]]

    def _sweep(self) -> None:
        """End what still runs, also what a mutant left behind: the interpreter is in the command line."""
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if str(self.directory).encode() in (process / "cmdline").read_bytes():
                    os.kill(int(process.name), signal.SIGKILL)


def fate(one: Mutant, bench: Bench, source: bytes, tests: Sequence[str], limit: float) -> str:
    """The test that kills it, twice: one that fails once and then passes alone proves nothing. Empty: it lived."""
    bench.write(one.file, one.applied(source))
    flaky: list[str] = []
    if tests == [NOBODY]:
        tests = NET
    try:
        while left := [test for test in tests if test not in (NOBODY, *flaky)]:
            killers = bench.failed(left, limit)
            if not killers or "::" not in killers[0] or bench.failed(killers[:1], limit):
                return killers[0] if killers else ""
            flaky += killers
        return ""
    finally:
        bench.write(one.file, source)


def main() -> int:
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--per-file", type=int, default=2)
    parser.add_argument("--only", default="*", metavar="GLOB", help="files of the package, such as 'config/*'")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=float, default=240, help="seconds after which a mutant counts as hung")
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
    entry = (ROOT / PACKAGE / "__main__.py").read_bytes()
    bench.write("__main__.py", b"raise SystemExit(9)\n")
    if not bench.failed(["tests/process/test_once.py"], options.limit):
        sys.exit("the tests do not run the copy")
    bench.write("__main__.py", entry)
    failed, reached = bench.watch(chosen, sources)
    if failed:
        sys.exit(f"the net is not green without a mutant: {', '.join(failed)}")
    print(f"without a mutant: {time.monotonic() - began:.0f} s", flush=True)
    rows = []
    for number, (one, tests) in enumerate(zip(chosen, reached, strict=True), 1):
        reason, began = equivalent(one), time.monotonic()
        killer = "" if reason else fate(one, bench, sources[one.file], tests, options.limit)
        verdict = "equivalent" if reason else "killed" if killer else "LIVED"
        print(f"{number:3} {verdict} {one.file}:{one.line} {one.operator} {reason or killer}")
        print(f"      - {one.before}\n      + {one.after}")
        print(f"      {len(tests)} tests come by; {time.monotonic() - began:.0f} s", flush=True)
        rows.append(asdict(one) | {"verdict": verdict.lower(), "killer": killer, "reason": reason})
    sums = Counter(row["verdict"] for row in rows)
    felt = len(rows) - sums["equivalent"]
    print(f"{sums['killed']} of {felt} killed, {sums['lived']} lived, {sums['equivalent']} equivalent")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
