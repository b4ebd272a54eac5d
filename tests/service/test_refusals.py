"""Where there can be no service, and how that is said."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest

from assumed.edge.service.manager import BOOTED
from world.daemon import Home, role


@pytest.fixture
def user(home: Path) -> Home:
    user = Home(home)
    user.configure(role("my-role", "arn:aws:iam::123456789012:role/MyApp"))
    return user


@pytest.mark.skipif(BOOTED.exists(), reason="systemd runs here")
@pytest.mark.parametrize("command", ["install", "uninstall", "status"])
def test_a_container_is_told_what_to_do_instead(user: Home, command: str) -> None:
    result = user.assumed("service", command)
    assert (result.returncode, result.stdout) == (1, "")
    assert "neither systemd nor launchd (a container?)" in result.stderr
    assert "`assumed run`" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["install", "--system"], "--system needs --user NAME"),
        (["install", "--user", "root"], "--user NAME needs --system"),
        (["print", "--system", "--user", "nobody-of-that-name"], "no account nobody-of-that-name"),
        (["instal"], "Did you mean 'install'?"),
    ],
)
def test_a_contradiction_is_said_in_words(user: Home, arguments: list[str], message: str) -> None:
    result = user.assumed("service", *arguments)
    assert result.returncode in (1, 2)
    assert message in result.stderr


def test_print_needs_no_service_manager_and_writes_nothing(user: Home) -> None:
    before = sorted(user.path.rglob("*"))
    result = user.assumed("service", "print", https_proxy="http://alice:hunter2-hunter2@proxy:3128")
    assert result.returncode == 0
    assert "hunter2" not in result.stdout + result.stderr
    assert "[hidden]" in result.stdout
    assert "passwords are not shown" in result.stderr
    assert sorted(user.path.rglob("*")) == before


def test_print_for_an_account_takes_its_real_home(user: Home) -> None:
    """root's is not /home/root."""
    result = user.assumed("service", "print", "--system", "--user", "root", "--config", str(user.config))
    home = pwd.getpwnam("root").pw_dir
    assert "# ---- /etc/systemd/system/assumed@root.service (mode 0644)" in result.stdout
    assert f"ReadWritePaths=-{home}/.aws" in result.stdout
    assert f'ASSUMED_CONFIG="{user.config}"' in result.stdout
