"""What comes with the package."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from assumed.config import HostFacts, load
from assumed.errors import ConfigError
from assumed.service import texts

ROOT = Path(__file__).parents[2]
SHIPPED = [texts.UNIT, texts.TEMPLATE, texts.SANDBOX, texts.AGENT, texts.EXAMPLE]


@pytest.mark.parametrize("name", SHIPPED)
def test_it_is_the_file_that_people_read(name: str) -> None:
    assert texts.text_of(name) == (ROOT / name).read_text(encoding="utf-8")


def configuration(text: str) -> list[str]:
    """The problems of a configuration; none when it can be used."""
    try:
        load(text, Path("/home/alice/.config/assumed/config.toml"), {"HOME": "/home/alice"}, host=HostFacts("a", "h"))
    except ConfigError as error:
        return error.problems
    return []


def test_the_commented_configuration_lacks_roles_and_nothing_else() -> None:
    (problem,) = configuration(texts.commented_configuration())
    assert "there are no roles" in problem


def test_it_names_no_role_of_anybody_but_in_comments() -> None:
    said = [line for line in texts.commented_configuration().splitlines() if line and not line.startswith("#")]
    assert said == ["[defaults]", 'source_profile = "default"']


def test_a_role_that_is_uncommented_as_it_says_can_be_used() -> None:
    text = texts.commented_configuration()
    for line in ("[[roles]]", 'profile = "my-role"', "role_arn = "):
        text, found = re.subn(rf"^# ({re.escape(line)})", r"\1", text, count=1, flags=re.MULTILINE)
        assert found == 1
    assert configuration(text) == []


def test_it_keeps_every_line_of_the_example() -> None:
    lines = texts.commented_configuration().splitlines()
    example = [line for line in texts.text_of(texts.EXAMPLE).splitlines() if not line.startswith("#:schema")]
    assert [line for line in example if line not in lines and f"# {line}" not in lines] == []


def test_its_schema_is_where_an_editor_finds_it() -> None:
    directive = texts.commented_configuration().splitlines()[0]
    assert Path(directive.removeprefix("#:schema ")).is_file()
