"""Sessions on disk: what comes back is what was put in, or nothing."""

from __future__ import annotations

import json
import os
import shutil
import stat
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assumed.errors import FileRefused
from assumed.model import Instant, Session
from assumed.paths import safe_name, state_dir
from assumed.store import Store, iso
from engine.make import START, session

SECONDS = st.floats(0, 5e9, allow_nan=False)
KEY = st.from_regex(r"[A-Za-z0-9_]{1,128}", fullmatch=True)
SECRET = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="\"'"), min_size=1)
TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
SESSIONS = st.builds(
    Session,
    profile=st.from_regex(r"[A-Za-z0-9_.@/%:+-]{1,30}", fullmatch=True),
    access_key_id=KEY,
    secret_access_key=SECRET,
    session_token=SECRET,
    expiration=SECONDS,
    issued_at=SECONDS.map(lambda seconds: seconds + 5e9),
    life=SECONDS,
    received=st.builds(Instant, SECONDS, SECONDS, st.text(max_size=10)),
    principal_arn=TEXT,
    identity=TEXT,
    request=TEXT,
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "assumed")


def only_file(store: Store) -> Path:
    (path,) = (store.directory / "sessions").iterdir()
    return path


@given(SESSIONS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
def test_a_session_comes_back_as_it_was(store: Store, one: Session) -> None:
    store.save(one)

    assert store.load(one.profile) == one


def test_another_profile_of_almost_that_name_has_a_file_of_its_own(store: Store) -> None:
    names = ["prod", "Prod", "PROD", "pro/d", "pro=2Fd", "pro.d"]
    for number, name in enumerate(names):
        store.save(session(profile=name, access_key_id=f"ASIA{number}"))

    assert [store.load(name).access_key_id for name in names] == [f"ASIA{n}" for n in range(len(names))]  # type: ignore[union-attr]


def test_a_file_that_folds_case_onto_another_profile_is_not_taken_for_it(store: Store) -> None:
    store.save(session(profile="prod"))
    only_file(store).rename(store.directory / "sessions" / f"{safe_name('Prod')}.json")

    assert store.load("Prod") is None


def test_files_and_directories_are_the_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        store = Store(tmp_path / "assumed")
        store.save(session())
        store.keep_config("x = 1")
    finally:
        os.umask(mask)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [store.directory, *store.directory.rglob("*")]}
    files = ("p.json", "config.last-good.toml", ".gitignore", ".assumed")
    assert modes == {"assumed": 0o700, "sessions": 0o700, **dict.fromkeys(files, 0o600)}


@pytest.mark.parametrize(("life", "early"), [(3600.0, 60.0), (43200.0, 60.0), (900.0, 45.0), (899.3, 45.0), (6.0, 1.0)])
def test_who_reads_the_file_is_told_an_earlier_end(store: Store, life: float, early: float) -> None:
    """Go and Java renew only once the end has passed: requests in flight would cross it."""
    store.save(session(life=life, expiration=float(int(START + life))))

    document = json.loads(only_file(store).read_text())
    told = datetime.strptime(document["Expiration"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    assert told == int(START + life) - early
    assert document["Version"] == 1
    assert store.load("p").expiration == int(START + life)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("arn", "account"),
    [
        ("arn:aws:sts::123456789012:assumed-role/r/s", "123456789012"),
        ("arn:aws-cn:sts::123456789012:assumed-role/r/s", "123456789012"),
        ("arn:minio:iam:::role/idmp", None),
        ("dummy", None),
    ],
)
def test_the_account_is_told_where_there_is_one(store: Store, arn: str, account: str | None) -> None:
    store.save(session(principal_arn=arn))

    assert json.loads(only_file(store).read_text()).get("AccountId") == account


DAMAGES: dict[str, Any] = {
    "empty": b"",
    "half": b'{"Version": 1, "AccessKeyId": "AS',
    "NULs": b"\0" * 300,
    "no text": b"\xff\xfe",
    "a list": b"[]",
    "a word": b'"session"',
    "nothing": b"null",
    "brackets without end": b"[" * 100_000,
    "another program's": b'{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "S", "SessionToken": "T"}',
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_file_counts_as_none(store: Store, what: str) -> None:
    store.save(session())
    only_file(store).write_bytes(DAMAGES[what])

    assert store.load("p") is None


FACTS = [field.name for field in fields(Session) if field.name not in ("access_key_id", "secret_access_key",
                                                                        "session_token", "received")]  # fmt: skip
FACTS += ["received_wall", "received_boot", "boot_id"]


@pytest.mark.parametrize("wrong", [None, [], {}, True, "", float("nan"), 1e300], ids=str)
@pytest.mark.parametrize("fact", ["AccessKeyId", "SecretAccessKey", "SessionToken", *FACTS])
def test_a_value_of_the_wrong_kind_is_no_session_rather_than_a_crash_later(
    store: Store, fact: str, wrong: object
) -> None:
    store.save(session())
    path = only_file(store)
    document = json.loads(path.read_text())
    (document if fact in document else document["Assumed"])[fact] = wrong
    path.write_text(json.dumps(document))

    found = store.load("p")

    # a system may have no boot id, a server may name no principal
    assert found is None or (fact, wrong) in [("boot_id", ""), ("principal_arn", "")]


@pytest.mark.parametrize("fact", ["AccessKeyId", "SecretAccessKey", "SessionToken", "Assumed", *FACTS])
def test_a_value_that_is_missing_is_no_session(store: Store, fact: str) -> None:
    store.save(session())
    path = only_file(store)
    document = json.loads(path.read_text())
    del (document if fact in document else document["Assumed"])[fact]
    path.write_text(json.dumps(document))

    assert store.load("p") is None


def test_what_a_later_version_adds_is_no_hindrance(store: Store) -> None:
    store.save(session())
    path = only_file(store)
    document = json.loads(path.read_text())
    document["New"] = document["Assumed"]["new"] = 1
    path.write_text(json.dumps(document))

    assert store.load("p") == session()


def test_pruning_leaves_what_is_kept_and_what_is_not_ours(store: Store) -> None:
    for name in ("keep", "Keep", "go"):
        store.save(session(profile=name))
    other = store.directory / "sessions" / "notes.txt"
    other.write_text("mine")

    store.prune({"keep", "Keep"})

    assert (store.load("keep"), store.load("Keep")) != (None, None)
    assert store.load("go") is None
    assert other.exists()


def test_forgetting_twice_is_no_error(store: Store) -> None:
    store.save(session())

    store.forget("p")
    store.forget("p")

    assert store.load("p") is None


def test_a_directory_that_somebody_tidied_away_is_made_again(store: Store) -> None:
    store.save(session())
    shutil.rmtree(store.directory)

    store.save(session())
    store.keep_config("x = 1")

    assert store.load("p") == session()
    assert store.last_good.read_text() == "x = 1"


def test_the_last_good_configuration_is_not_written_again_for_nothing(store: Store) -> None:
    store.keep_config("x = 1")
    before = store.last_good.stat()
    store.keep_config("x = 1")
    assert store.last_good.stat().st_ino == before.st_ino

    store.keep_config("x = 2")

    assert store.last_good.read_text() == "x = 2"


def test_a_file_in_the_place_of_the_directory_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "assumed").write_text("")

    with pytest.raises(FileRefused, match="not a directory"):
        Store(tmp_path / "assumed").save(session())


def test_the_state_lies_beside_the_file_that_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    (tmp_path / "credentials").symlink_to(tmp_path / "dotfiles" / "aws")

    assert state_dir(tmp_path / "credentials") == tmp_path / "dotfiles" / "assumed-aws"


@pytest.mark.parametrize(("wall", "text"), [(0, "1970-01-01T00:00:00Z"), (1800000000.9, "2027-01-15T08:00:00Z")])
def test_an_instant_is_written_as_every_sdk_reads_it(wall: float, text: str) -> None:
    assert iso(wall) == text


def test_no_secret_is_in_the_name_of_a_file(store: Store) -> None:
    store.save(replace(session(), profile="p"))

    assert only_file(store).name == "p.json"
