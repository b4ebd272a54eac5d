"""The README is checked where it shows commands, configuration and a picture."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from assumed.cli.app import COMMANDS
from assumed.config import HostFacts, load

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
CONSOLE = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
]
TABLE = re.findall(r"^\| `assumed ([a-z-]+)", README, re.MULTILINE)


def test_its_configuration_is_valid() -> None:
    """What a newcomer copies has to work."""
    toml = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    config = load("\n".join(toml), ROOT / "config.toml", {"HOME": "/home/natan"}, host=HostFacts("natan", "laptop"))
    assert [role.profile for role in config.enabled()] == ["my-role", "prod-admin"]
    assert config.roles[1].parent == "my-role"
    assert set(config.hooks.commands()) == {"after_renewal", "when_needed"}


@pytest.mark.parametrize("command", [c for c in CONSOLE if c.startswith("make ")])
def test_its_make_targets_exist(command: str) -> None:
    """`make -n` knows the target."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    target = command.split()[1]
    result = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("command", sorted({*TABLE, *(c.split()[1] for c in CONSOLE if c.startswith("assumed "))}))
def test_its_commands_exist(command: str) -> None:
    """Each command shown has help of its own."""
    result = subprocess.run(
        [sys.executable, "-m", "assumed", command, "--help"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "Usage:" in result.stdout


def test_it_shows_every_command() -> None:
    """A command that the README does not show is one that nobody finds."""
    assert sorted(set(TABLE)) == sorted(COMMANDS)


def test_its_links_lead_somewhere() -> None:
    """Relative links only: a picture, an example, directories."""
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("name", ["status.svg", "watch.svg"])
def test_its_pictures_are_what_status_prints_today(name: str) -> None:
    """docs/picture.py draws them through the real renderer."""
    spec = importlib.util.spec_from_file_location("picture", ROOT / "docs" / "picture.py")
    assert spec is not None
    assert spec.loader is not None
    picture = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(picture)
    assert (ROOT / "docs" / name).read_text() == picture.pictures()[name], "run: python docs/picture.py"
