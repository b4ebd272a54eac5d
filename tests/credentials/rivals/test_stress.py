"""Other programs of each kind against our writer, both in a loop of milliseconds, as real processes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rivals.editors import KINDS, TEARING
from rivals.kit import OWNED, PROFILES, contest, ended, running
from world.scores import Record
from world.waiting import eventually


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory in memory, where there is one: no disk slows the contest down."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="rivals-", dir=shared if shared.is_dir() else None) as path:
        yield Path(path)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", KINDS)
def test_under_stress_no_edit_is_lost(kind: str, memory: Path, record: Record) -> None:
    """Some programs leave readers half a file themselves; for the others none is torn."""
    path = memory / "aws" / "credentials"
    path.parent.mkdir(0o700)
    path.write_text("".join(OWNED))
    path.chmod(0o600)
    with running("credentials.rivals.ours", path, memory / "state", PROFILES) as ours:
        eventually(lambda: b"[p0]" in path.read_bytes() or ours.poll() is not None, 30, saying="our first write")
        outcome = contest(kind, path, batches=5, edits=100, pause=0.005)
        us = ended(ours, 30)
    record("rivals.edits_stress", outcome.edits)
    record("rivals.rewrites_stress", us["written"])
    record("rivals.slipped_in_stress", us["trades"] - us["written"])
    record("rivals.lost_stress", outcome.lost)
    record("rivals.destroyed", outcome.destroyed)
    assert (outcome.lost, outcome.destroyed) == (0, 0)
    assert us["written"] > 0
    assert {
        key.removeprefix("ASIATEST") == secret.removeprefix("secret-canary-") == token.removeprefix("token-canary-")
        for key, secret, token in outcome.sessions
    } == {True}
    assert [one for one in path.parent.iterdir() if one != path] == []
    if kind not in TEARING:
        record("rivals.reads", outcome.reads)
        record("rivals.torn_reads", outcome.torn)
        assert outcome.torn == 0
