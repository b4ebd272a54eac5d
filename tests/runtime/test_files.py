"""The loop in a world whose time we move: edits, signals, sources, the end of a role."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from freezegun import freeze_time

from assumed.engine.events import Ask, Refresh
from assumed.runtime.inbox import Reload
from assumed.store import Store
from days.world import Signs, World

TOML = 'credentials_file = "credentials"\n[defaults]\nregion = "us-west-2"\nsource_profile = "default"\n' + "".join(
    f'[[roles]]\nprofile = "{n}"\nrole_arn = "arn:aws:iam::123456789012:role/{n}"\n' for n in "ab"
)
SOURCE = "[default]\naws_access_key_id = AKIA1\naws_secret_access_key = one\n"


@dataclass
class Remembers(Signs):
    """Sources that note which of them were forgotten."""

    forgotten: list[str] = field(default_factory=list)

    def forget(self, name: str) -> None:
        self.forgotten.append(name)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    (tmp_path / "credentials").write_text(SOURCE)
    with freeze_time("2026-11-24", tick=False) as frozen:
        world = World(frozen, tmp_path, TOML)
        world.loop.engine.outside.sources = Remembers()  # type: ignore[assignment]
        world.run(10)
        yield world


def edit(world: World, old: str, new: str) -> None:
    """Another program's atomic edit of the credentials file."""
    path = world.home / "credentials"
    text = path.read_text()
    assert old in text
    new_path = path.with_name("new")
    new_path.write_text(text.replace(old, new))
    new_path.replace(path)


def forgotten(world: World) -> list[str]:
    sources = world.loop.engine.outside.sources
    assert isinstance(sources, Remembers)
    return sources.forgotten


def names(world: World) -> list[str]:
    return [event for _, event in world.events]


def last_good(world: World) -> str:
    return (world.home / "assumed" / "config.last-good.toml").read_text()


def test_an_edit_that_nobody_hinted_at_takes_effect_within_a_heartbeat(world: World) -> None:
    world.config_path.write_text(TOML + '[[roles]]\nprofile = "c"\nrole_arn = "arn:aws:iam::123456789012:role/c"\n')
    world.run(32)

    assert world.left("c") > 3500


def test_a_signal_takes_effect_at_once(world: World) -> None:
    world.config_path.write_text(TOML + '[[roles]]\nprofile = "c"\nrole_arn = "arn:aws:iam::123456789012:role/c"\n')
    world.loop.engine.inbox.put(Reload())
    world.run(0.01)

    assert world.left("c") > 3500


def test_log_level_and_form_are_those_of_the_file_as_it_is_now(world: World) -> None:
    told: list[tuple[str, str]] = []
    world.loop.engine.outside.reconfigure = lambda level, form: told.append((level, form))
    world.config_path.write_text('log_level = "debug"\nlog_format = "json"\n' + TOML)
    world.loop.engine.inbox.put(Reload())
    world.run(1)

    assert told == [("debug", "json")]


def test_a_rejected_edit_is_said_once_and_keeps_everything_going(world: World) -> None:
    world.config_path.write_text("[[roles]\n")
    world.run(4 * 3600)

    assert names(world).count("config.rejected") == 1
    assert min(world.left("a"), world.left("b")) > 1200
    assert not (world.home / "assumed" / "config.last-good.toml").exists(), "the bad one is not remembered"


def test_an_edit_that_lets_a_role_go_is_the_last_good_one_only_when_it_has_gone(world: World) -> None:
    shorter = TOML[: TOML.index('[[roles]]\nprofile = "b"')]
    world.config_path.write_text(shorter)
    world.loop.engine.inbox.put(Reload())
    world.run(1)
    assert not (world.home / "assumed" / "config.last-good.toml").exists() or last_good(world) != shorter
    assert world.left("b") > 0

    world.run(6)

    assert last_good(world) == shorter
    assert world.left("b") == -1
    assert Store(world.home / "assumed").load("b") is None
    assert "[b]" not in (world.home / "credentials").read_text()
    assert world.left("a") > 3500


def test_a_rotated_source_is_read_anew_and_its_roles_failures_are_forgotten(world: World) -> None:
    world.denied = {"a"}
    world.loop.engine.inbox.put(Refresh(("a",)))
    world.run(1)
    assert world.loop.engine.state.states["a"].failure is not None
    world.denied = set()
    edit(world, "AKIA1", "AKIA2")
    world.run(33)

    assert set(forgotten(world)) == {"profile:default"}
    assert world.loop.engine.state.states["a"].failure is None
    assert names(world).count("source.changed") == 1


def test_a_source_that_changes_in_the_same_moment_as_the_configuration_is_read_anew_too(world: World) -> None:
    """One look at the files serves both: what it finds must not be lost on the way."""
    edit(world, "AKIA1", "AKIA2")
    world.config_path.write_text(TOML.replace("us-west-2", "eu-west-1"))
    world.loop.engine.inbox.put(Reload())
    world.run(40)

    assert forgotten(world) == ["profile:default"]


def test_a_configuration_with_a_new_source_forgets_none(world: World) -> None:
    path = world.home / "credentials"
    path.write_text(path.read_text() + SOURCE.replace("default", "other"))
    world.run(35)
    world.config_path.write_text(
        TOML + '[[roles]]\nprofile = "c"\nrole_arn = "arn:aws:iam::123456789012:role/c"\nsource_profile = "other"\n'
    )
    world.run(35)

    assert world.left("c") > 3000
    assert forgotten(world) == []
    assert "source.changed" not in names(world)


def test_a_role_that_is_another_one_now_loses_its_session_before_a_new_one_is_asked_for(world: World) -> None:
    seen: list[tuple[bool, bool]] = []
    renew = world.loop.engine.outside.renew

    def look(ask: Ask) -> None:
        section = "[a]" in (world.home / "credentials").read_text()
        seen.append((section, (world.home / "assumed" / "sessions" / "a.json").exists()))
        renew(ask)

    world.loop.engine.outside.renew = look
    world.config_path.write_text(TOML.replace("role/a", "role/another"))
    world.run(40)

    assert seen[0] == (False, False)
    assert world.left("a") > 3000


def test_a_restart_asks_for_nothing_that_is_still_good_and_takes_away_what_is_another_roles(
    world: World, tmp_path: Path
) -> None:
    asked = len(world.calls)
    again = World(world.frozen, tmp_path, TOML.replace("role/b", "role/other"), mono=world.mono)
    again.run(5)

    assert [profile for _, profile, _ in again.calls] == ["b"]
    assert names(again).count("role.restored") == 1
    assert names(again).count("role.withdrawn") == 1
    assert asked == 2


def test_a_damaged_session_is_asked_for_again(world: World, tmp_path: Path) -> None:
    path = tmp_path / "assumed" / "sessions" / "a.json"
    document = json.loads(path.read_text())
    document["Assumed"]["life"] = "long"
    path.write_text(json.dumps(document))
    again = World(world.frozen, tmp_path, TOML, mono=world.mono)
    again.run(5)

    assert [profile for _, profile, _ in again.calls] == ["a"]


def test_a_switched_off_role_leaves_its_readers_and_comes_back(world: World) -> None:
    off = TOML.replace('profile = "b"\n', 'profile = "b"\nenabled = false\n')
    world.config_path.write_text(off)
    world.run(45)
    assert world.left("b") == -1
    assert "[b]" not in (world.home / "credentials").read_text()

    world.config_path.write_text(TOML)
    world.run(45)
    assert world.left("b") > 3000
