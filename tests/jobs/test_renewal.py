"""One role without a daemon: what its process keeps when the disk, the source or we ourselves fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from assumed.aws import sts as sts_module
from assumed.engine.events import ClockJumped, Refresh
from assumed.errors import FileRefused, NotKept, RenewalFailed
from assumed.jobs.renewal import RoleRenewer
from assumed.paths import state_dir
from assumed.runtime.start import usable_config
from assumed.store import Store
from world.daemon import Home, role
from world.fake_sts import FakeSts, Key

ARN = "arn:aws:iam::123456789012:role/a"


@pytest.fixture
def sts() -> Iterator[FakeSts]:
    with FakeSts() as sts:
        sts.rule("*", session_seconds=900)
        yield sts


@pytest.fixture
def kept(sts: FakeSts, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RoleRenewer]:
    """The role `a` of a home."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
    there = Home(home)
    there.add_source(sts.source.access_key_id, sts.source.secret_access_key)
    there.configure(role("a", ARN))
    config, _ = usable_config(there.config)
    with closing(RoleRenewer(config, "a", Store(state_dir(there.credentials)), {})) as renewer:
        yield renewer


@pytest.fixture
def store(home: Path) -> Store:
    """Where readers look."""
    return Store(state_dir(home / ".aws" / "credentials"))


def test_a_session_that_the_disk_did_not_take_is_stored_when_it_does(
    kept: RoleRenewer, store: Store, sts: FakeSts
) -> None:
    """Readers find nothing but what is stored; STS is not asked again for what we have."""
    obstacle = store.directory / "sessions" / "a.json"
    store.directory.mkdir(0o700)
    obstacle.mkdir(parents=True)
    for _ in range(2):
        with pytest.raises(FileRefused):
            kept.renew()
    obstacle.rmdir()
    kept.renew()
    stored = store.load("a")
    assert stored is not None
    assert [call.issued for call in sts.calls] == [stored.access_key_id]


def test_a_session_that_somebody_has_tidied_away_is_stored_again(kept: RoleRenewer, store: Store, sts: FakeSts) -> None:
    kept.renew()
    store.forget("a")
    kept.renew()
    assert store.load("a") is not None
    assert len(sts.calls) == 1


def test_a_fault_of_ours_is_a_failed_renewal_and_not_the_end(
    kept: RoleRenewer, monkeypatch: pytest.MonkeyPatch, sts: FakeSts
) -> None:
    """The thread that keeps the session of a job of days must survive whatever a library raises."""

    def broken(*_: object) -> None:
        raise LookupError("unforeseen")

    with monkeypatch.context() as patch:
        patch.setattr(sts_module, "assume", broken)
        with pytest.raises(RenewalFailed, match="a fault in assumed"):
            kept.renew()
    kept._apply(ClockJumped())  # its backoff is over
    kept.renew()
    assert len(sts.calls) == 1


def test_a_source_that_still_hangs_from_the_last_time_is_not_waited_for(kept: RoleRenewer, home: Path) -> None:
    """A helper that escapes its kill: its failure was told at the deadline, and nothing else will ever be."""
    there = Home(home)
    over = home / "over"
    waits = f"setsid sh -c 'until [ -e {over} ]; do sleep 0.1; done'"
    there.aws_config.write_text(f"[profile hung]\ncredential_process = {waits}\n")
    there.configure(role("a", ARN, source_profile="hung", helper_timeout_seconds=1))
    config, _ = usable_config(there.config)
    with closing(RoleRenewer(config, "a", Store(state_dir(there.credentials)), {})) as renewer:
        with pytest.raises(RenewalFailed, match="HelperTimeout"):
            renewer.renew()
        renewer._apply(ClockJumped())  # its backoff is over
        with pytest.raises(RenewalFailed, match="no session yet"):
            renewer.renew()
        over.touch()


def test_a_profile_that_is_not_kept_is_named_with_those_that_are(kept: RoleRenewer, store: Store) -> None:
    config, _ = usable_config(None)
    with pytest.raises(NotKept, match="b is not a managed profile") as refused:
        RoleRenewer(config, "b", store, {})
    assert refused.value.kept == ["a"]


def test_a_helper_whose_keys_sts_refuses_is_asked_again(kept: RoleRenewer, home: Path, sts: FakeSts) -> None:
    """One that names no Expiration is asked once; a job of days outlives its keys."""
    there = Home(home)
    keys = home / "keys.json"
    there.aws_config.write_text(f"[profile helped]\ncredential_process = cat {keys}\n")
    there.configure(role("a", ARN, source_profile="helped"))
    old, new = (sts.add_key(f"AKIAFAKESOURCE0{n}", f"fake-secret-{n}") for n in (1, 2))

    def prints(key: Key) -> None:
        known = {"Version": 1, "AccessKeyId": key.access_key_id, "SecretAccessKey": key.secret_access_key}
        keys.write_text(json.dumps(known))

    config, _ = usable_config(there.config)
    with closing(RoleRenewer(config, "a", Store(state_dir(there.credentials)), {})) as renewer:
        prints(old)
        renewer.renew()
        prints(new)
        sts.revoke(old.access_key_id)
        for _ in range(2):
            renewer._apply(Refresh(("a",)))
            renewer.renew()
        assert [call.outcome for call in sts.calls] == ["ok", "InvalidClientTokenId", "ok"]
