"""A contest: our writer, a rival and a reader, each a process of its own, on one credentials file."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rivals.editors import OWN
from world.waiting import eventually

TESTS = Path(__file__).parents[1]
PROFILES = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the edits, of the profiles that nobody touched, and of the readers."""

    edits: int
    lost: int
    destroyed: int
    written: int
    waited: int
    trades: int
    reads: int
    torn: int
    left_over: tuple[str, ...]


@contextlib.contextmanager
def running(module: str, *words: object) -> Iterator[subprocess.Popen[str]]:
    """A process that runs until its stdin is closed, or by itself; killed when nobody waits for it any more."""
    paths = [os.environ.get("RIVALS_DAEMON"), str(TESTS)]  # another copy of the daemon, to compare it with
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", f"rivals.{module}", *map(str, words)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[str], within: float) -> dict[str, int]:
    """What it printed at its end. Raises TimeoutExpired, ValueError when it died without a word."""
    out, _ = process.communicate(timeout=within)
    return dict(json.loads(out.splitlines()[-1]))


def fresh(directory: Path) -> Path:
    """A credentials file with profiles that nobody will touch."""
    (directory / "aws").mkdir(0o700)
    path = directory / "aws" / "credentials"
    path.write_text("".join(f"[own{i}]\nkey = canary{i}\nother = {i}\n" for i in range(OWN)))
    path.chmod(0o600)
    return path


def contest(
    kind: str, directory: Path, *, batches: int, edits: int, pause: float, way: str = "tight", our_pause: float = 0.001
) -> Outcome:
    """Have a rival make its edits while we rewrite our profiles every `our_pause` seconds."""
    path = fresh(directory)
    with running("ours", way, path, directory / "state", PROFILES, our_pause) as ours:
        eventually(lambda: b"[p0]" in path.read_bytes() or ours.poll() is not None, 30, saying="our writer never began")
        with contextlib.ExitStack() as stack:
            reader = stack.enter_context(running("reader", path, PROFILES))
            assert reader.stdout is not None
            reader.stdout.readline()  # it takes longer to import its parser than some contests last
            editor = stack.enter_context(running("editors", kind, path, batches, edits, pause))
            rival = ended(editor, 280)
            read = ended(reader, 30)
            us = ended(ours, 30)
    text = path.read_text()
    destroyed = sum(f"[own{i}]\nkey = canary{i}\nother = {i}\n" not in text for i in range(OWN))
    left = tuple(sorted(p.name for p in path.parent.iterdir() if p != path))
    return Outcome(
        **{**rival, "destroyed": rival["destroyed"] + destroyed}, **us, reads=read["reads"], torn=read["torn"],
        left_over=left,
    )  # fmt: skip
