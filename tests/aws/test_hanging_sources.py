"""A source whose thread nothing can end (name resolution, a dead network file system)."""

from __future__ import annotations

import queue
import threading
from pathlib import Path

import pytest

from assumed.aws.source import SourceProfile
from assumed.aws.sources import MOST_ABANDONED, Resolved, Sources
from assumed.model import Instant
from aws.kit import role
from world.waiting import eventually

PROFILE = SourceProfile(exists=True, values=(), endpoint=None, asking=None, token_files=())


def test_it_is_tried_again_a_limited_number_of_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that hangs is abandoned: another attempt may begin, and what the thread brings is dropped."""
    released = threading.Event()
    monkeypatch.setattr("assumed.aws.chain.Chain.keys", lambda _: released.wait(30) and None)
    posted: queue.SimpleQueue[Resolved] = queue.SimpleQueue()
    (tmp_path / "credentials").write_text("[source]\naws_access_key_id = AKIAXXXXXXXXXXXXXXXX\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setattr("assumed.aws.sources.DEADLINE", 0.05)
    sources = Sources(tmp_path / "credentials", {}, lambda: Instant(0, 0), posted.put)
    for _ in range(MOST_ABANDONED):
        assert sources.resolve(role(), PROFILE)
        failure = posted.get(timeout=30).failure
        assert failure is not None
        assert failure.code == "SourceTimeout"

    assert not sources.resolve(role(), PROFILE)

    monkeypatch.setattr("assumed.aws.sources.DEADLINE", 30.0)
    released.set()
    eventually(lambda: sources.resolve(role(), PROFILE), within=30)
    assert posted.get(timeout=30).failure is None
    assert posted.empty()
