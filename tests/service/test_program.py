"""The command that a service starts outlives an upgrade of the tool. Each layout as its installer leaves it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from assumed.errors import AssumedError
from assumed.service.site import Account, program, trial
from world.daemon import Home, role

SCRIPT = Path(sys.executable).with_name("assumed")
EXEC_START = re.compile(r"^ExecStart=(.*)$", re.MULTILINE)


@pytest.fixture
def user(home: Path) -> Home:
    user = Home(home)
    user.configure(role("my-role", "arn:aws:iam::123456789012:role/MyApp"))
    return user


def installed(user: Home, environment: str) -> Path:
    """A virtual environment's own `bin/assumed`: a copy of the script that pip has made for this one."""
    tool = user.path / environment / "bin" / "assumed"
    tool.parent.mkdir(parents=True)
    tool.write_bytes(SCRIPT.read_bytes())
    tool.chmod(0o755)
    return tool


def linked(user: Home, tool: Path) -> Path:
    link = user.path / ".local" / "bin" / "assumed"
    link.parent.mkdir(parents=True)
    link.symlink_to(tool)
    return link


def exec_start(user: Home, *typed: str, path: Path | None = None) -> str:
    """The command in the unit that `service print` shows when it is typed so."""
    environ = user.environment(PATH=f"{path}:{os.environ['PATH']}" if path else os.environ["PATH"])
    done = subprocess.run(
        [*typed, "service", "print"], env=environ, cwd=user.path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = EXEC_START.search(done.stdout)
    assert found
    return found[1]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prints another file elsewhere")
@pytest.mark.parametrize(
    "environment", [".local/share/uv/tools/assumed", ".local/share/pipx/venvs/assumed"], ids=["uv tool", "pipx"]
)
def test_the_link_of_a_tool_installer_is_taken_however_it_was_started(user: Home, environment: str) -> None:
    tool = installed(user, environment)
    link = linked(user, tool)
    for typed in ("assumed", str(link), str(tool)):
        assert exec_start(user, typed, path=link.parent) == f"{link} run"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prints another file elsewhere")
def test_a_virtual_environments_own_program_is_taken_as_it_is(user: Home) -> None:
    tool = installed(user, "project/.venv")
    assert exec_start(user, str(tool)) == f"{tool} run"
    assert exec_start(user, "project/.venv/bin/assumed") == f"{tool} run"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prints another file elsewhere")
def test_a_module_is_started_by_its_interpreter_whose_link_stays(user: Home) -> None:
    assert exec_start(user, sys.executable, "-m", "assumed") == f"{sys.executable} -m assumed run"


@pytest.mark.parametrize("place", [".cache/uv/archive-v0/x1/bin/assumed", ".cache/pipx/9a/bin/assumed"])
def test_a_program_in_a_cache_is_not_installed_as_a_service(home: Path, place: str) -> None:
    """uvx and `pipx run`: the next clean-up would take the service's program away."""
    with pytest.raises(AssumedError, match="lies in a cache"):
        program(str(home / place))


def me(home: Path) -> Account:
    return Account("me", os.getuid(), os.getgid(), home)


def test_it_is_tried_outside_of_this_shell(home: Path) -> None:
    trial([sys.executable, "-m", "assumed"], me(home))


def test_one_that_works_only_in_this_shell_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by PYTHONPATH, which a service does not have."""
    lib = home / "lib"
    lib.mkdir()
    (lib / "only_here.py").write_text("print('0.1')")
    monkeypatch.setenv("PYTHONPATH", str(lib))
    words = [sys.executable, "-m", "only_here"]
    assert subprocess.run([*words, "--version"], capture_output=True, check=True).stdout
    with pytest.raises(AssumedError, match=r"fails outside of this shell: .*only_here"):
        trial(words, me(home))


def test_one_that_is_not_there_is_refused(home: Path) -> None:
    with pytest.raises(AssumedError, match="cannot start /nowhere/assumed"):
        trial(["/nowhere/assumed"], me(home))
