"""2.3: a role that cannot be delivered in its home affects no other role, and `check` reports it first."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from world.control import NotRunning
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

ARN = "arn:aws:iam::123456789012:role/"
QUOTED_ALIKE = ["José", "o'brien", "with space", "R&D (old) 50%"]
MORE_ALIKE = ["日本語", "Jose\u0301", "a*b?", "~me! [x]{y}|z"]
"""Directory names that every SDK reads alike in double quotes."""
READ_APART = ["$x", "new\nline", 'quo"ted', b"latin-\xe9"]
MORE_APART = ["$(id)", "back\\slash", "`tick`", "a #b", "a;b", "bell\a"]
"""Directory names that some shell, shlex or SDK reads differently."""


def some(names: Sequence[str | bytes], more: Sequence[str | bytes]) -> list[Any]:
    """The first; the rest only in `make proof`."""
    return [*names, *(pytest.param(name, marks=pytest.mark.slow) for name in more)]


PRINT_KEY = "import botocore.session as b; print(b.Session(profile='p').get_credentials().access_key)"


@pytest.fixture
def sts() -> Any:
    with FakeSts() as sts:
        yield sts


Build = Callable[[str | bytes], tuple[Home, Daemon]]


@pytest.fixture
def home_at(tmp_path_factory: pytest.TempPathFactory, sts: FakeSts) -> Any:
    """A home in a directory of a given name, and its daemon, which is stopped at the end."""
    daemons = []

    def build(name: str | bytes) -> tuple[Home, Daemon]:
        home = Home(tmp_path_factory.mktemp("h") / (name if isinstance(name, str) else os.fsdecode(name)))
        home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
        daemons.append(Daemon(home, AWS_ENDPOINT_URL_STS=sts.url))
        return home, daemons[-1]

    yield build
    for daemon in daemons:
        daemon.stop()


def keep(home: Home, deliver: str) -> None:
    """Two roles; the second is delivered in this way."""
    home.configure(role("k", f"{ARN}k"), role("p", f"{ARN}p", deliver=deliver))


def after_the_edit(daemon: Daemon, took_effect: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """The first status that shows the edit; {} if the daemon has ended."""
    seen: list[dict[str, Any]] = []

    def shows() -> bool:
        if not daemon.is_running():
            return True
        try:
            seen.append(daemon.status())
        except NotRunning:
            return False
        return bool(took_effect(seen[-1]))

    eventually(shows, 30, saying="the edit taking effect")
    return seen[-1] if daemon.is_running() and seen else {}


def is_by_process(status: dict[str, Any]) -> bool:
    """Whether readers of the second role get it through a process."""
    entry = {entry["profile"]: entry for entry in status["roles"]}["p"]
    return bool(entry["deliver"] == "process" and entry["delivered"])


def states(status: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """Each role's state, and whether readers get it."""
    return {entry["profile"]: (entry["state"], entry["delivered"]) for entry in status.get("roles", [])}


@pytest.mark.parametrize("name", ["plain", *some(QUOTED_ALIKE, MORE_ALIKE)], ids=ascii)
def test_a_profile_in_a_home_with_that_name_is_delivered_by_process(name: str, home_at: Build) -> None:
    """Shell and shlex split the line alike, and botocore gets the session through it."""
    home, daemon = home_at(name)
    keep(home, "keys")
    daemon.start().wait_until_fresh()
    keep(home, "process")

    status = after_the_edit(daemon, is_by_process)
    assert states(status) == {"k": ("fresh", True), "p": ("fresh", True)}
    line = (home.profile("p") or {})["credential_process"]
    by_shell = subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=False, env={"LC_ALL": "C"})
    by_words = subprocess.run(shlex.split(line), capture_output=True, check=False, env=home.environment())
    assert (by_shell.returncode, by_words.returncode) == (0, 0), by_shell.stderr + by_words.stderr
    key = json.loads(by_shell.stdout)["AccessKeyId"]
    assert json.loads(by_words.stdout)["AccessKeyId"] == key
    sdk = subprocess.run(
        [sys.executable, "-c", PRINT_KEY], capture_output=True, text=True, check=False, env=home.environment()
    )
    assert sdk.stdout.strip() == key, sdk.stderr
    assert home.assumed("check").returncode == 0


@pytest.mark.parametrize("name", some(READ_APART, MORE_APART), ids=ascii)
def test_an_edit_that_cannot_be_delivered_changes_no_role(name: str | bytes, home_at: Build) -> None:
    """The last good configuration stays in effect, also across a restart; `check` names file, line and key."""
    home, daemon = home_at(name)
    keep(home, "keys")
    daemon.start().wait_until_fresh()
    keep(home, "process")

    status = after_the_edit(daemon, lambda s: s["daemon"]["config_error"])
    assert states(status) == {"k": ("fresh", True), "p": ("fresh", True)}
    assert "deliver" in status["daemon"]["config_error"]
    assert daemon.stop() == 0
    status = daemon.start().wait_until_fresh()
    assert "deliver" in status["daemon"]["config_error"]
    checked = home.assumed("check", "--json")
    assert checked.returncode == 2
    (problem,) = json.loads(checked.stdout)["problems"]
    line = home.config.read_text().splitlines().index('deliver = "process"') + 1
    assert f"config.toml:{line}: " in problem
    assert '"p" key deliver' in problem

    keep(home, "keys")
    status = after_the_edit(daemon, lambda s: not s["daemon"]["config_error"])
    assert states(status) == {"k": ("fresh", True), "p": ("fresh", True)}


@pytest.mark.parametrize("name", some(READ_APART[:3], MORE_APART), ids=ascii)
def test_without_a_last_good_configuration_every_other_role_works(
    name: str | bytes, home_at: Build, sts: FakeSts
) -> None:
    """Only that role is refused, with reason and next step; a foreign section of its name stays."""
    home, daemon = home_at(name)
    keep(home, "process")
    daemon.start(answering=False)

    status = after_the_edit(daemon, lambda s: states(s)["k"] == ("fresh", True))
    assert states(status) == {"k": ("fresh", True), "p": ("failing", False)}
    error = next(entry["last_error"] for entry in status["roles"] if entry["profile"] == "p")
    assert error["code"] == "ProfileRefused"
    assert error["advice"]
    assert home.profile("p") is None
    assert daemon.stop() == 0

    once = home.assumed("once", AWS_ENDPOINT_URL_STS=sts.url)
    assert once.returncode == 1
    assert "aws_access_key_id" in (home.profile("k") or {})


@pytest.mark.parametrize("name", ["$x", "new\nline", "plain"], ids=ascii)
def test_delivered_keys_stay_while_their_role_cannot_be_delivered(name: str, home_at: Build) -> None:
    """A restart without a last good configuration and without a way to write the line removes nothing."""
    home, daemon = home_at(name)
    keep(home, "keys")
    daemon.start().wait_until_fresh()
    assert daemon.stop() == 0
    before = home.profile("p")
    keep(home, "process" if name != "plain" else "keys")
    Path(home.state, "config.last-good.toml").unlink()
    daemon.start(answering=False)

    status = after_the_edit(daemon, lambda s: states(s)["k"] == ("fresh", True))
    assert states(status).get("k") == ("fresh", True)
    assert home.profile("p") == before


SOURCES = {
    "a token of an account that does not exist": "web_identity_token_file = ~no-such-user/token",
    "a token in an account's home that does not exist": "web_identity_token_file = ~no-such-user",
    "a token of a name that is no account's": "web_identity_token_file = ~-/token",
    "twin: a token that does not exist": "web_identity_token_file = /nowhere/token",
}
"""The profile that signs for the second role."""


@pytest.mark.parametrize("line", SOURCES.values(), ids=SOURCES)
def test_a_source_that_refers_to_something_missing_fails_only_its_role(line: str, home_at: Build) -> None:
    """The AWS config file is edited while the daemon runs."""
    home, daemon = home_at("plain")
    keep(home, "keys")
    daemon.start().wait_until_fresh()
    home.aws_config.write_text(f"[profile odd]\nrole_arn = {ARN}odd\n{line}\n")
    home.configure(role("k", f"{ARN}k"), role("p", f"{ARN}p", source_profile="odd"))

    status = after_the_edit(daemon, lambda s: states(s)["p"][0] == "failing")
    assert states(status) == {"k": ("fresh", True), "p": ("failing", False)}
