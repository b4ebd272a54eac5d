"""A contest: our writer, another program and a reader, each a process of its own, on one credentials file."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from process.kit import arn
from rivals.editors import OWN
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts

TESTS = Path(__file__).parents[1]
PROFILES = 8
NAMES = [f"p{i}" for i in range(PROFILES)]
OWNED = [f"[own{i}]\nkey = canary{i}\nother = {i}\n" for i in range(OWN)]
"""Profiles that nobody touches."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the edits, of the profiles that nobody touches, and of the reader."""

    edits: int
    lost: int
    destroyed: int
    reads: int
    torn: int
    sessions: list[list[str]]
    """Key, secret and token of each session that the reader has found."""


@contextlib.contextmanager
def running(module: str, *words: object) -> Iterator[subprocess.Popen[str]]:
    """A process that runs until its stdin is closed, or by itself; killed when nobody waits for it any more."""
    environ = {**os.environ, "PYTHONPATH": str(TESTS), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", module, *map(str, words)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[str], within: float) -> dict[str, Any]:
    """What it printed at its end. Raises TimeoutExpired, ValueError when it died without a word."""
    out, _ = process.communicate(timeout=within)
    return dict(json.loads(out.splitlines()[-1]))


def contest(kind: str, path: Path, *, batches: int, edits: int, pause: float) -> Outcome:
    """Have another program make its edits, and a reader read, while our profiles are written by somebody."""
    with running("rivals.reader", path, PROFILES) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()  # it takes longer to import its parser than some contests last
        with running("rivals.editors", kind, path, batches, edits, pause) as editor:
            rival = ended(editor, 280)
        read = ended(reader, 30)
    text = path.read_text()
    destroyed = sum(section not in text for section in OWNED)
    return Outcome(**{**rival, "destroyed": rival["destroyed"] + destroyed}, **read)


@contextlib.contextmanager
def renewing(directory: Path, sts: FakeSts, every: float) -> Iterator[Daemon]:
    """A daemon that renews its profiles all the time."""
    sts.rule("*", session_seconds=900)
    home = Home(directory)
    home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
    with home.credentials.open("a") as file:
        file.writelines(OWNED)
    home.configure(*(role(name, arn(name)) for name in NAMES))
    stop = threading.Event()

    def renew() -> None:
        while not stop.wait(every):
            daemon.ask("refresh", profiles=NAMES)

    with Daemon(home, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        daemon.wait_until_fresh(*NAMES)
        thread = threading.Thread(target=renew, name="renews", daemon=True)
        thread.start()
        try:
            yield daemon
        finally:
            stop.set()
            thread.join()
