"""A contest: our writer, a rival and a reader, each a process of its own, on one credentials file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rivals.editors import OWN

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
    reads: int
    torn: int
    left_over: tuple[str, ...]


def start(module: str, *words: object) -> subprocess.Popen[str]:
    """A process that runs until its stdin is closed, or by itself."""
    return subprocess.Popen(
        [sys.executable, "-m", f"rivals.{module}", *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([*filter(None, [os.environ.get("RIVALS_DAEMON")]), str(TESTS)]),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )


def ended(process: subprocess.Popen[str], within: float) -> dict[str, int]:
    """What it printed at its end. Raises TimeoutExpired, ValueError when it died without a word."""
    out, _ = process.communicate(timeout=within)
    return dict(json.loads(out))


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
    processes = [start("ours", way, path, directory / "state", PROFILES, our_pause)]
    try:
        begun = time.monotonic() + 20
        while b"[p0]" not in path.read_bytes():
            if time.monotonic() > begun or processes[0].poll() is not None:
                raise AssertionError("our writer never began")
            time.sleep(0.01)
        processes.append(start("reader", path, PROFILES))
        processes.append(start("editors", kind, path, batches, edits, pause))
        ours, reader, editor = processes
        rival = ended(editor, 600)
        read = ended(reader, 20)
        us = ended(ours, 20)
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.communicate()
    text = path.read_text()
    destroyed = sum(f"[own{i}]\nkey = canary{i}\nother = {i}\n" not in text for i in range(OWN))
    left = tuple(sorted(p.name for p in path.parent.iterdir() if p != path))
    return Outcome(
        **{**rival, "destroyed": rival["destroyed"] + destroyed}, **us, reads=read["reads"], torn=read["torn"],
        left_over=left,
    )  # fmt: skip
