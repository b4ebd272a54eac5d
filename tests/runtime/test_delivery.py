"""What is written when, and what stands in the way: a real credentials file, in a time of our own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from botocore.configloader import raw_config_parse

from assumed.credentials import ownership as conflicts
from assumed.credentials.file import CredentialsFile
from assumed.engine.state import RoleState
from assumed.model import Role, Session
from assumed.paths import state_dir
from assumed.runtime.delivery import GATHER, QUIET, RETRY, WRITE_SHARE, Delivery, patience
from engine.make import at, role, session

OWN = "[mine]\naws_access_key_id = AKIAMINE\naws_secret_access_key = m\n"
THEIRS = "aws_access_key_id = ASIATHEIRS\naws_secret_access_key = t\naws_session_token = t\n"


@dataclass
class Desk:
    """A delivery over a real file; `now` is the boot clock."""

    path: Path
    now: float = 1000.0
    said: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    roles: list[Role] = field(default_factory=lambda: [role("p")])
    states: dict[str, RoleState] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.path.write_text(OWN)
        self.path.chmod(0o600)
        self.states = {r.profile: RoleState(session=session(profile=r.profile)) for r in self.roles}
        self.delivery = Delivery(
            CredentialsFile(self.path, state_dir(self.path), monotonic=lambda: self.now),
            "0123456789ab",
            lambda r: r.region,
            lambda r: f"/usr/bin/helper {r.profile}",
            lambda level, event, **facts: self.said.append((event, facts)),
            lambda: 5000.0,
        )

    def write(self) -> bool:
        return self.delivery.write(self.roles, self.states, lambda: self.now)

    def beat(self) -> None:
        """What the keeper does whenever it wakes: look, and write if a write is due."""
        self.delivery.look(self.now)
        if self.delivery.due_at is not None and self.now >= self.delivery.due_at:
            self.write()

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while self.delivery.due_at is not None and self.delivery.due_at <= end:
            self.now = max(self.now, self.delivery.due_at)
            self.beat()
        self.now = end

    def overwrite(self, text: str) -> None:
        """Another program replaces the file."""
        new = self.path.with_name("theirs")
        new.write_text(text)
        new.chmod(0o600)
        new.replace(self.path)

    def read(self) -> dict[str, Any]:
        return dict(raw_config_parse(str(self.path)))

    def events(self, name: str) -> list[dict[str, Any]]:
        return [facts for event, facts in self.said if event == name]

    def renew(self, key: str, profile: str = "p") -> Session:
        new = session(profile=profile, access_key_id=key)
        self.states[profile] = replace(self.states[profile], session=new)
        self.delivery.want(self.now)
        return new


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "credentials")


def test_sessions_are_written_beside_what_is_not_ours(desk: Desk) -> None:
    assert desk.write()

    assert desk.read()["p"]["aws_access_key_id"] == "ASIATEST1"
    assert desk.path.read_text().startswith(OWN)
    assert (desk.delivery.due_at, desk.delivery.error, desk.delivery.written_at) == (None, None, 5000.0)


def test_what_stands_there_already_is_not_written_again(desk: Desk) -> None:
    desk.write()
    before = desk.path.stat()
    desk.delivery.written_at = None
    assert desk.write()

    assert desk.path.stat().st_ino == before.st_ino
    assert desk.delivery.written_at is None


def test_sessions_that_arrive_together_share_a_write_and_a_slow_disk_is_left_alone_for_longer(desk: Desk) -> None:
    desk.delivery.want(desk.now)
    assert desk.delivery.due_at == desk.now
    desk.delivery._cost, desk.delivery._ended = 0.5, desk.now
    desk.delivery.due_at = None

    desk.delivery.want(desk.now + 0.1)
    desk.delivery.want(desk.now + 0.2)
    assert desk.delivery.due_at == desk.now + 0.5 * WRITE_SHARE
    desk.delivery.want(desk.now + 0.3, at_once=True)
    assert desk.delivery.due_at == desk.now + 0.3


def test_a_renewal_that_nobody_waits_for_shares_the_next_write_and_one_that_somebody_does_goes_at_once(
    desk: Desk,
) -> None:
    desk.write()
    desk.now += 0.01
    desk.delivery.want(desk.now, patience=GATHER)
    desk.delivery.want(desk.now + 0.1, patience=GATHER)
    assert desk.delivery.due_at == pytest.approx(desk.now - 0.01 + GATHER)
    desk.delivery.want(desk.now + 0.1, patience=0.0)
    assert desk.delivery.due_at == desk.now + 0.1

    desk.now += 10
    desk.write()
    desk.now += GATHER
    desk.delivery.want(desk.now, patience=GATHER)
    assert desk.delivery.due_at == desk.now, "the first one after a pause waits for nothing"


def test_a_write_that_changes_nothing_keeps_no_renewal_waiting(tmp_path: Path) -> None:
    """`assumed refresh` has the file compared first: its renewal came a quarter of a second later for that."""
    desk = Desk(tmp_path / "credentials")
    desk.write()
    desk.now += GATHER
    desk.write()
    desk.delivery.want(desk.now, patience=GATHER)
    assert desk.delivery.due_at == pytest.approx(desk.now)


@pytest.mark.parametrize(
    ("life", "age", "expected"),
    [(3600, 1900, GATHER), (10, 6, 0.2), (2, 1.2, 0.04), (3600, 3601, 0.0)],
    ids=["an hour", "ten seconds", "two seconds", "expired"],
)
def test_who_still_has_a_session_can_wait_for_a_twentieth_of_what_is_left(
    life: float, age: float, expected: float
) -> None:
    assert patience(session(life), at(age)) == pytest.approx(expected)
    assert patience(None, at(age)) == 0.0


def test_a_file_that_cannot_be_written_is_tried_again_said_once_and_said_to_be_well(desk: Desk) -> None:
    desk.path.unlink()
    desk.path.mkdir()
    for _ in range(3):
        assert not desk.write()
        assert desk.delivery.due_at == desk.now + RETRY
        desk.now += RETRY
    assert desk.delivery.error is not None
    assert len(desk.events("file.refused")) == 1

    desk.path.rmdir()
    assert desk.write()

    assert desk.delivery.error is None
    assert len(desk.events("file.accepted")) == 1
    assert desk.read()["p"]


def test_a_directory_in_its_place_does_not_raise_where_nobody_expects_it(desk: Desk) -> None:
    desk.write()
    desk.path.unlink()
    desk.path.mkdir()

    desk.beat()
    desk.wait(60)

    assert desk.delivery.error is not None
    desk.path.rmdir()
    desk.wait(10)
    assert desk.delivery.error is None


def test_a_profile_that_is_not_ours_to_take_is_said_once_and_does_not_stop_the_others(desk: Desk) -> None:
    desk.roles = [role("mine"), role("p")]
    desk.states["mine"] = RoleState(session=session(profile="mine"))
    desk.write()
    desk.write()

    assert list(desk.delivery.refused) == ["mine"]
    assert len(desk.events("profile.refused")) == 1
    assert desk.read()["mine"]["aws_access_key_id"] == "AKIAMINE"
    assert desk.read()["p"]["aws_access_key_id"] == "ASIATEST1"

    desk.overwrite(desk.path.read_text().replace("[mine]", "[renamed]"))
    desk.beat()
    desk.wait(5)
    assert desk.delivery.refused == {}
    assert desk.read()["mine"]["aws_access_key_id"] == "ASIATEST1"


def test_an_overwritten_profile_is_ours_again_when_the_other_has_had_time_to_finish(desk: Desk) -> None:
    desk.write()
    desk.overwrite(f"{OWN}[p]\n{THEIRS}")
    desk.beat()
    assert desk.read()["p"]["aws_access_key_id"] == "ASIATHEIRS"
    desk.wait(QUIET + 0.1)

    assert desk.read()["p"]["aws_access_key_id"] == "ASIATEST1"
    assert [facts["profile"] for facts in desk.events("profile.overwritten")] == ["p"]


def test_a_change_that_a_write_finds_first_is_one_for_the_next_look_too(desk: Desk) -> None:
    """Sources are read again after it: their keys may be in the same file."""
    desk.write()
    desk.delivery.look(desk.now)
    assert not desk.delivery.look(desk.now)
    desk.overwrite(f"{OWN}[new]\nregion = x\n")
    assert not desk.write(), "the other program is left to finish"
    assert desk.delivery.look(desk.now)


def test_an_edit_of_something_else_is_no_conflict_and_is_kept(desk: Desk) -> None:
    desk.write()
    desk.overwrite(desk.path.read_text() + "[new]\nregion = x\n")
    desk.beat()
    desk.wait(5)

    assert desk.events("profile.overwritten") == []
    assert desk.read()["new"] == {"region": "x"}


def overwritten(desk: Desk, extra: str = "") -> None:
    """Another program writes the file, without our section but for its own session there."""
    desk.overwrite(f"{OWN}[p]\n{THEIRS}{extra}")
    desk.beat()


def key(desk: Desk, profile: str = "p") -> str:
    return str(desk.read()[profile]["aws_access_key_id"])


def put_back_after(desk: Desk) -> float:
    """Seconds until the profile is ours again, by the desk's clock."""
    began = desk.now
    while key(desk) == "ASIATHEIRS":
        assert desk.now - began < 10_000
        desk.wait(0.5)
    return desk.now - began


def test_a_profile_that_is_overwritten_again_and_again_is_put_back_later_each_time(desk: Desk) -> None:
    desk.write()
    waited = []
    for _ in range(4):
        overwritten(desk)
        waited.append(put_back_after(desk))

    assert waited == pytest.approx([1, 5, 25, 125], abs=0.6)
    assert desk.delivery.conflicts.overwritten_by == {"p": "another program"}


def test_the_other_program_is_named_from_the_second_time_on_and_forgotten_when_it_is_quiet(desk: Desk) -> None:
    desk.write()
    overwritten(desk, "aws_expiration = 2999-01-01T00:00:00Z\n")
    put_back_after(desk)
    assert desk.delivery.conflicts.overwritten_by == {}
    overwritten(desk, "aws_expiration = 2999-01-01T00:00:00Z\n")
    desk.wait(2)
    assert desk.delivery.conflicts.overwritten_by == {"p": "aws-session-daemon"}
    (contest,) = desk.events("profile.contested")
    assert (contest["profile"], contest["overwritten_by"], contest["times"]) == ("p", "aws-session-daemon", 2)
    put_back_after(desk)

    desk.now += conflicts.QUIET - 30
    desk.beat()
    assert desk.delivery.conflicts.overwritten_by
    desk.now += 30
    desk.beat()
    assert desk.delivery.conflicts.overwritten_by == {}
    overwritten(desk)
    assert put_back_after(desk) == pytest.approx(1, abs=0.6)


def test_a_renewal_puts_it_back_whatever_the_delay(desk: Desk) -> None:
    desk.write()
    for _ in range(3):
        overwritten(desk)
        put_back_after(desk)
    overwritten(desk)
    desk.wait(5)
    assert key(desk) == "ASIATHEIRS"

    desk.renew("ASIATEST2")
    desk.wait(2)
    assert key(desk) == "ASIATEST2"


@pytest.mark.parametrize(
    "theirs", ["", "[p]\n", "[p]\nregion = x\n", f"[p]\n{THEIRS}expiration = 1970-01-01T01:00:00Z\n"], ids=len
)
def test_readers_without_a_session_never_wait_for_the_delay(desk: Desk, theirs: str) -> None:
    """Whoever leaves the section empty, or with a session that has ended, costs them a second each time."""
    desk.write()
    for _ in range(6):
        desk.overwrite(OWN + theirs)
        desk.beat()
        desk.wait(2)
        assert key(desk) == "ASIATEST1"


def test_a_conflict_does_not_stop_the_others_nor_keep_the_keys_of_a_role_that_is_gone(desk: Desk) -> None:
    desk.roles += [role("q"), role("gone")]
    desk.states |= {name: RoleState(session=session(profile=name)) for name in ("q", "gone")}
    desk.write()
    for _ in range(3):
        desk.overwrite(desk.path.read_text().replace(key(desk), "ASIATHEIRS"))
        desk.beat()
        desk.wait(2)
        desk.renew(f"ASIANEW{desk.now}", "q")
        desk.wait(1)
        assert key(desk, "q") == desk.delivery.delivered["q"].access_key_id
        desk.wait(6)
    desk.roles.pop()
    desk.delivery.orphans = True
    desk.delivery.want(desk.now)
    desk.wait(2)

    assert "gone" not in desk.read()
    assert key(desk) == "ASIATHEIRS", "the profile in conflict is not its own orphan"


def test_a_renewal_that_is_not_written_yet_makes_no_conflict_of_an_edit_elsewhere(desk: Desk) -> None:
    """What counts is what was delivered last, not what is to be delivered next."""
    desk.write()
    for n in range(8):
        desk.overwrite(desk.path.read_text() + f"[n{n}]\nregion = x\n")
        desk.renew(f"ASIATEST{n}")
        desk.beat()
        desk.wait(3)

    assert key(desk) == "ASIATEST7"
    assert desk.events("profile.overwritten") == []


def test_a_person_who_asks_for_it_has_it_put_back_at_once(desk: Desk) -> None:
    desk.write()
    for _ in range(3):
        overwritten(desk)
        put_back_after(desk)
    overwritten(desk)
    desk.wait(5)
    desk.delivery.conflicts.forget("p")
    desk.delivery.want(desk.now)
    desk.wait(1)

    assert key(desk) == "ASIATEST1"


def test_the_last_write_puts_everything_back(desk: Desk) -> None:
    """At a stop: nobody would later."""
    desk.write()
    for _ in range(3):
        overwritten(desk)
        put_back_after(desk)
    overwritten(desk)
    desk.wait(2)
    desk.delivery.write(desk.roles, desk.states, lambda: desk.now, last=True)

    assert key(desk) == "ASIATEST1"


def test_a_role_without_a_session_leaves_no_keys_of_ours_behind(desk: Desk) -> None:
    desk.write()
    desk.states["p"] = RoleState()
    desk.write()

    assert "aws_access_key_id" not in desk.read().get("p", {})
    assert desk.path.read_text() == OWN


@pytest.mark.parametrize("confirmed", [False, True])
def test_the_section_of_a_role_that_is_gone_goes_once_that_is_certain(desk: Desk, confirmed: bool) -> None:
    desk.write()
    desk.roles.clear()
    desk.delivery.orphans = confirmed
    desk.write()

    assert ("p" in desk.read()) is not confirmed
    assert len(desk.events("profile.removed")) == confirmed


def test_a_role_with_a_helper_gets_its_command_and_no_keys(desk: Desk) -> None:
    desk.roles = [role("p", deliver="process")]
    desk.write()

    assert desk.read()["p"]["credential_process"] == "/usr/bin/helper p"
    assert "aws_access_key_id" not in desk.read()["p"]
