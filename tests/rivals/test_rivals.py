"""Other programs of each kind beside a daemon that renews all the time: no edit is lost, no read is torn."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rivals.editors import KINDS, TEARING
from rivals.kit import PROFILES, Outcome, contest, renewing
from world.fake_sts import FakeSts
from world.scores import Record


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory in memory, where there is one: no disk slows the contest down."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="rivals-", dir=shared if shared.is_dir() else None) as path:
        yield Path(path)


def fought(kind: str, directory: Path, *, edits: int, pause: float, every: float) -> Outcome:
    """A contest, and what has to be so in any."""
    with FakeSts() as sts, renewing(directory, sts, every) as daemon:
        path = daemon.home.credentials
        outcome = contest(kind, path, batches=1, edits=edits, pause=pause)
        issued = [sts.key(call.issued) for call in sts.calls if call.issued]
    known = {(key.access_key_id, key.secret_access_key, key.session_token) for key in issued}
    assert {tuple(session) for session in outcome.sessions} <= known, "half of one session, half of another"
    assert len(outcome.sessions) > PROFILES
    assert outcome.destroyed == 0
    assert sorted(one.name for one in path.parent.iterdir()) == ["assumed", "credentials"]
    if kind not in TEARING:
        assert outcome.torn == 0
    return outcome


def test_an_editor_that_renames_loses_nothing(memory: Path) -> None:
    """Half a second of both as fast as they can."""
    assert fought("renaming", memory, edits=25, pause=0.002, every=0.1).lost == 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_at_human_speed_no_edit_is_lost(memory: Path, record: Record) -> None:
    """An edit every half second, of each kind of program on a file of its own."""

    def fight(kind: str) -> Outcome:
        (memory / kind).mkdir()
        return fought(kind, memory / kind, edits=50, pause=0.5, every=0.3)

    with ThreadPoolExecutor(len(KINDS)) as pool:
        outcomes = list(pool.map(fight, KINDS))
    record("rivals.edits_human", sum(outcome.edits for outcome in outcomes))
    record("rivals.lost_human", sum(outcome.lost for outcome in outcomes))
    record("rivals.destroyed", sum(outcome.destroyed for outcome in outcomes))
    assert [outcome.lost for outcome in outcomes] == [0] * len(KINDS)
