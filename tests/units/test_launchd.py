"""The launchd agent: every key and its type, for there is no linter for it outside of macOS."""

from __future__ import annotations

import os
import plistlib
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PLIST = Path(__file__).parents[2] / "launchd" / "assumed.plist"


@pytest.fixture
def agent() -> dict[str, Any]:
    with PLIST.open("rb") as file:
        return dict(plistlib.load(file))


KEYS: dict[str, Any] = {
    "Label": "assumed",
    "RunAtLoad": True,
    "KeepAlive": {"SuccessfulExit": False},
    "ThrottleInterval": 30,
    "ExitTimeOut": 30,
    "ProcessType": "Standard",
    "Umask": 0o077,
    "SoftResourceLimits": {"Core": 0},
    "HardResourceLimits": {"Core": 0},
}


@pytest.mark.parametrize("key", KEYS)
def test_a_key_has_its_value_and_its_type(agent: dict[str, Any], key: str) -> None:
    """`True == 1` in Python, and launchd ignores a value of the wrong type without a word."""
    assert agent[key] == KEYS[key]
    assert type(agent[key]) is type(KEYS[key])


def test_there_is_no_key_that_this_test_does_not_know(agent: dict[str, Any]) -> None:
    """StartInterval above all: it is missed in sleep."""
    assert set(agent) == {*KEYS, "ProgramArguments", "EnvironmentVariables"}


def test_every_path_is_absolute(agent: dict[str, Any]) -> None:
    """launchd expands neither ~ nor $HOME; the shell does."""
    assert agent["ProgramArguments"][:2] == ["/bin/sh", "-c"]
    assert all(part.startswith("/") for part in agent["EnvironmentVariables"]["PATH"].split(":"))


def test_the_command_starts_the_daemon_of_this_home_in_its_own_process(agent: dict[str, Any], home: Path) -> None:
    """A shell that stayed would swallow SIGTERM, and the daemon would be killed instead of stopped."""
    program = home / ".local" / "bin" / "assumed"
    program.parent.mkdir(parents=True)
    (home / "Library" / "Logs").mkdir(parents=True)
    program.write_text(
        f"#!{sys.executable}\n"
        "import os, signal, sys\n"
        "print(os.getpid(), *sys.argv[1:], flush=True)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n",
        encoding="utf-8",
    )
    program.chmod(0o755)
    process = subprocess.Popen(agent["ProgramArguments"], env={**os.environ, "HOME": str(home)}, umask=agent["Umask"])
    assert process.wait(60) == -signal.SIGTERM
    log = home / "Library" / "Logs" / "assumed.log"
    assert log.read_text(encoding="utf-8") == f"{process.pid} run\n"
    assert log.stat().st_mode & 0o777 == 0o600
