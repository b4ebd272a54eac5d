"""The manual pages: in step with the commands and the configuration, and sound for those who show them."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

from assumed.cli.app import app
from assumed.config import HostFacts, load

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs" / "man").glob("*.[1-9]"))


def manual() -> ModuleType:
    """docs/manual.py, which writes the pages."""
    spec = importlib.util.spec_from_file_location("manual", ROOT / "docs" / "manual.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shown(name: str) -> str:
    """A page without roff's own signs."""
    text = (ROOT / "docs" / "man" / name).read_text()
    return re.sub(r"\\f[BRI]|\\&", "", text).replace("\\-", "-")


def commands(context: click.Context) -> Iterator[click.Context]:
    """Every command, at any depth."""
    assert isinstance(context.command, click.Group)
    for name in context.command.list_commands(context):
        command = context.command.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context)
        yield inner
        if isinstance(command, click.Group):
            yield from commands(inner)


def test_the_pages_are_what_their_script_writes_today() -> None:
    """Otherwise: make manual."""
    assert {page.name: page.read_text() for page in PAGES} == manual().pages()


def test_every_command_and_every_option_is_described() -> None:
    """Each command's part names all that it takes."""
    page = shown("assumed.1")
    sections = dict(re.findall(r'^\.SS "([^"]*)"\n(.*?)(?=^\.S[SH])', page, re.DOTALL | re.MULTILINE))
    found = list(commands(click.Context(app, info_name="assumed")))
    assert list(sections) == [context.command_path for context in found]
    for context in found:
        for parameter in context.command.params:
            words = parameter.opts if isinstance(parameter, click.Option) else [parameter.make_metavar(context)]
            assert [word for word in words if word not in sections[context.command_path]] == [], context.command_path


def test_every_option_of_the_configuration_is_described() -> None:
    """In the order of the schema, which has them from the loader's own table."""
    page = shown("assumed-config.5")
    schema = manual().SCHEMA
    tables = [schema, schema["properties"]["roles"]["items"], *schema["properties"].values()]
    names = {name for table in tables for name in table.get("properties", {})}
    assert {"duration_seconds", "log_level"} < names
    assert [name for name in names if name not in page] == []


def test_its_example_is_a_configuration() -> None:
    """What somebody copies from the page has to work."""
    text = manual().WORDS["config_example"]
    config = load(text, ROOT / "config.toml", {"HOME": "/home/natan"}, host=HostFacts("natan", "laptop"))
    assert [role.parent for role in config.enabled()] == [None, "my-role"]


def test_every_variable_that_the_example_speaks_of_is_described() -> None:
    """Those of the environment, and those that a hook finds in its own."""
    words = set(re.findall(r"\b(?:ASSUMED|AWS)_[A-Z_]*[A-Z]\b", (ROOT / "config.example.toml").read_text()))
    assert {"ASSUMED_ADVICE", "ASSUMED_LOG_LEVEL"} < words
    pages = shown("assumed.1") + shown("assumed-config.5")
    assert [word for word in words if word not in pages] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.parametrize("checker", [["mandoc", "-T", "lint", "-W", "warning"], ["groff", "-man", "-ww", "-z"]])
def test_those_who_show_it_find_no_fault(page: Path, checker: list[str]) -> None:
    """mandoc (Alpine, BSD, macOS) and groff (elsewhere)."""
    if shutil.which(checker[0]) is None:
        pytest.skip(f"{checker[0]} is not installed")
    result = subprocess.run([*checker, str(page)], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
