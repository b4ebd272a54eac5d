"""The AWS config file's part of a delivery by process: when it is written, and what it never costs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from assumed.credentials.file import CredentialsFile
from assumed.credentials.ownership import QUIET
from assumed.credentials.process import ConfigFile
from assumed.engine.state import RoleState
from assumed.model import Role
from assumed.paths import state_dir
from assumed.runtime.config_lines import ConfigLines
from assumed.runtime.delivery import Delivery
from engine.make import role, session

OWNER = "0123456789ab"


@dataclass
class Desk:
    """A delivery over two real files; `now` is the boot clock."""

    home: Path
    now: float = 1000.0
    roles: list[Role] = field(default_factory=lambda: [replace(role("p"), deliver="process")])
    said: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    order: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.credentials, self.config = self.home / "credentials", self.home / "config"
        file = self.noted("credentials", CredentialsFile(self.credentials, state_dir(self.credentials)))
        config = self.noted("config", ConfigFile(self.config, self.credentials, state_dir(self.credentials)))
        self.lines = ConfigLines(config, OWNER, self.say)
        self.delivery = Delivery(
            file, OWNER, lambda _: None, lambda r: f"/bin/x {r.profile}", self.say, lambda: 0.0, self.lines
        )

    def noted(self, name: str, file: Any) -> Any:
        """The file, which notes each of its writes that changed something."""
        write = file.write

        def noting(*arguments: Any, **more: Any) -> Any:
            result = write(*arguments, **more)
            if result.written:
                self.order.append(name)
            return result

        file.write = noting
        return file

    def say(self, _level: str, event: str, **facts: Any) -> None:
        self.said.append((event, facts))

    def write(self) -> None:
        states = {r.profile: RoleState(session=session(profile=r.profile)) for r in self.roles}
        assert self.delivery.write(self.roles, states, lambda: self.now)

    def take_the_line_out(self) -> None:
        """Another program does."""
        self.config.write_text("[profile p]\nregion = eu-west-1\n")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_towards_process_the_config_file_comes_first_and_back_to_keys_it_comes_last(desk: Desk) -> None:
    desk.write()
    desk.roles = [replace(desk.roles[0], deliver="keys")]
    desk.write()
    desk.roles = [replace(desk.roles[0], deliver="process")]
    desk.write()
    assert desk.order == ["config", "credentials", "credentials", "config", "config", "credentials"]


def test_a_write_that_changes_nothing_reads_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.write()
    monkeypatch.setattr(desk.lines.file, "write", pytest.fail)
    desk.write()


def test_a_line_that_another_program_removes_again_and_again_comes_back_later_each_time(desk: Desk) -> None:
    """On the schedule of the credentials file."""
    desk.write()
    assert [put_back_after(desk) for _ in range(4)] == [1, 5, 25, 125]
    desk.now += QUIET
    assert put_back_after(desk) == 1


def put_back_after(desk: Desk) -> float:
    """Seconds until a line that another program removes is there again."""
    desk.take_the_line_out()
    began = desk.now
    desk.write()
    assert "/bin/x p" not in desk.config.read_text()
    assert desk.delivery.due_at is not None
    desk.now = desk.delivery.due_at
    desk.write()
    assert "/bin/x p" in desk.config.read_text()
    return desk.now - began


def test_one_file_for_both_is_a_notice_and_nothing_is_written_twice(desk: Desk) -> None:
    desk.config.symlink_to(desk.credentials)
    for _ in range(3):
        desk.write()
    assert desk.order == ["credentials"]
    assert desk.lines.notices.keys() == {"p"}


@pytest.mark.parametrize("count", [1, 3])
def test_a_reason_is_said_once_however_many_profiles_it_concerns(desk: Desk, count: int) -> None:
    desk.roles = [replace(role(f"p{number}"), deliver="process") for number in range(count)]
    desk.config.mkdir()
    for _ in range(2):
        desk.write()
    assert [event for event, _ in desk.said].count("config_file.line_missing") == 1
    assert len(desk.lines.notices) == count
    desk.config.rmdir()
    desk.write()
    assert desk.lines.notices == {}


def test_a_profile_that_the_credentials_file_refuses_gets_no_line(desk: Desk) -> None:
    desk.credentials.write_text("[p]\naws_access_key_id = AKIAMINE\naws_secret_access_key = s\n")
    desk.write()
    assert desk.delivery.refused.keys() == {"p"}
    assert not desk.config.exists()
