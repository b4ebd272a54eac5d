"""STATUS, the one line of `systemctl status`: it follows what happens, and says nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from freezegun import freeze_time

from assumed import redact
from assumed.engine.events import Refresh
from assumed.runtime.inbox import Hint, Reload
from days.world import World

TOML = 'credentials_file = "credentials"\n[defaults]\nregion = "us-west-2"\nsource_profile = "default"\n' + "".join(
    f'[[roles]]\nprofile = "{n}"\nrole_arn = "arn:aws:iam::123456789012:role/{n}"\n' for n in "ab"
)
WELL = "2 of 2 roles have a session"


@dataclass
class Listened:
    """A world with a service manager that listens."""

    world: World
    lines: list[tuple[float, str]]
    """When, by the boot clock, and what was told."""

    def last(self) -> str:
        return self.lines[-1][1]


@pytest.fixture
def listened(tmp_path: Path) -> Iterator[Listened]:
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = AKIA1\naws_secret_access_key = one\n")
    with freeze_time("2026-11-24", tick=False) as frozen:
        world = World(frozen, tmp_path, TOML)
        lines: list[tuple[float, str]] = []
        outside = world.loop.engine.outside
        outside.is_watched = True
        outside.manager = lambda *said: lines.extend(
            (world.now().boot, line.removeprefix("STATUS="))
            for line in said
            if line.startswith("STATUS=") and said[0] != "WATCHDOG=1"
        )
        world.run(10)
        assert lines[-1][1] == WELL
        lines.clear()
        yield Listened(world, lines)


def test_hours_in_which_all_goes_well_need_no_word(listened: Listened) -> None:
    listened.world.run(4 * 3600)
    assert not listened.lines


def test_a_failure_is_told_within_a_second_and_its_end_too(listened: Listened) -> None:
    world = listened.world
    world.denied = {"a"}
    begun = world.now().boot
    world.loop.engine.inbox.put(Refresh(("a",)))
    world.run(5)
    assert listened.last() == f"{WELL}; failing: a"
    assert listened.lines[-1][0] - begun <= 1.1

    world.denied = set()
    world.loop.engine.inbox.put(Refresh(("a",)))
    world.run(5)
    assert listened.last() == WELL


@pytest.mark.parametrize("asked", [Reload(), Hint()])
def test_a_rejected_configuration_is_told_with_its_first_problem_until_it_is_mended(
    asked: Reload | Hint, listened: Listened
) -> None:
    world = listened.world
    world.config_path.write_text(TOML.replace('"arn:', '"urn:'))
    world.loop.engine.inbox.put(asked)
    world.run(5)
    assert listened.last().startswith(f"{WELL}; configuration not usable, the last good one stays in use: ")
    assert 'role_arn: "urn:aws:iam::123456789012:role/a"' in listened.last()
    assert listened.last().endswith(" (and 1 more)")

    world.config_path.write_text(TOML)
    world.loop.engine.inbox.put(asked)
    world.run(5)
    assert listened.last() == WELL


def test_what_the_configuration_should_not_hold_is_not_told(listened: Listened) -> None:
    world = listened.world
    secret = "canary-of-a-source-of-no-known-form"
    redact.guard("profile:default", secret)
    world.config_path.write_text(TOML.replace('"arn:aws:iam::123456789012:role/a"', f'"{secret}"'))
    world.loop.engine.inbox.put(Reload())
    world.run(5)
    assert 'role_arn: "' in listened.last()
    assert secret not in listened.last()
