"""Where there can be no service, and how that is said."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path

import pytest

from assumed.service.manager import BOOTED
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
        (["install", "--system", "--user", ""], "--system needs --user NAME"),
        (["uninstall", "--system", "--user", "nobody-of-that-name"], "no account nobody-of-that-name"),
        (["install", "--system"], "--system needs --user NAME"),
        (["install", "--user", "root"], "--user NAME needs --system"),
        (["print", "--system", "--user", "nobody-of-that-name"], "no account nobody-of-that-name"),
        (["instal"], "Did you mean 'install'?"),
    ],
)
def test_a_contradiction_is_said_in_words(user: Home, arguments: list[str], message: str) -> None:
    result = user.assumed("service", *arguments)
    assert result.returncode == 2
    assert message in result.stderr


def test_print_needs_no_service_manager_and_writes_nothing(user: Home) -> None:
    before = sorted(user.path.rglob("*"))
    result = user.assumed("service", "print", https_proxy="http://alice:hunter2-hunter2@proxy:3128")
    assert result.returncode == 0
    assert "hunter2" not in result.stdout + result.stderr
    assert "[hidden]" in result.stdout
    assert "passwords are masked" in result.stderr
    assert sorted(user.path.rglob("*")) == before


def test_print_for_an_account_takes_its_real_home(user: Home) -> None:
    """root's is not /home/root."""
    result = user.assumed("service", "print", "--system", "--user", "root", "--config", str(user.config))
    home = pwd.getpwnam("root").pw_dir
    assert "# ---- /etc/systemd/system/assumed@root.service (mode 0644)" in result.stdout
    assert f"ReadWritePaths=-{home}/.aws" in result.stdout
    assert "ReadWritePaths=" in result.stdout
    assert f"ASSUMED_CONFIG={user.config}" in result.stdout


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has other people's files to lose")


@needs_root
@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_root_with_another_users_home_is_sent_away(user: Home, command: str, tmp_path: Path) -> None:
    """`sudo -E`, `su -m`: the record there names whatever its owner wants to have removed."""
    victim = tmp_path / "victim.conf"
    victim.touch()
    record = {"version": "0.1.0", "config": "/x", "credentials_file": "/y", "files": {str(victim): ""}}
    user.config.with_name("service.json").write_text(json.dumps({**record, "directories": [], "lingering": False}))
    os.chown(user.path, 12345, 12345)
    result = user.assumed("service", command)
    assert (result.returncode, result.stdout) == (1, "")
    assert f"$HOME is {user.path}, owned by uid 12345" in result.stderr
    assert victim.exists()


def test_roots_own_files_are_not_taken_along_for_an_account(user: Home) -> None:
    roots = {"AWS_CONFIG_FILE": "/root/.aws/config", "AWS_SHARED_CREDENTIALS_FILE": "/root/.aws/credentials"}
    more = {**roots, "ASSUMED_CONFIG": "/root/assumed.toml", "NO_PROXY": "x.example"}
    arguments = ("service", "print", "--system", "--user", "root", "--config", str(user.config))
    result = user.assumed(*arguments, **more)
    assert result.returncode == 0, result.stderr
    assert "NO_PROXY=x.example" in result.stdout
    assert "/root/.aws/config" not in result.stdout
    assert "/root/assumed.toml" not in result.stdout


def test_what_is_not_utf8_is_refused_in_words(user: Home) -> None:
    result = user.assumed("service", "print", HTTPS_PROXY="http://pr\udcffoxy:1")
    assert (result.returncode, result.stdout) == (1, "")
    assert "$HTTPS_PROXY is not UTF-8" in result.stderr
    assert "HTTPS_PROXY= assumed service install" in result.stderr


def test_what_an_earlier_install_took_along_is_kept_until_it_is_set_to_nothing(user: Home) -> None:
    environment = user.config.with_name("service.env")
    environment.write_text('AWS_REGION="eu-central-1"\nHTTPS_PROXY="http://proxy:1"\nPATH="/old"\n')
    result = user.assumed("service", "print", HTTPS_PROXY="http://proxy:2")
    assert "AWS_REGION=eu-central-1" in result.stdout
    assert "HTTPS_PROXY=http://proxy:2" in result.stdout
    assert "PATH=/old" not in result.stdout
    said = " ".join(result.stderr.split())
    assert "kept from the last install: AWS_REGION (to drop one: AWS_REGION= assumed service install)" in said
    result = user.assumed("service", "print", HTTPS_PROXY="", AWS_REGION="")
    assert "AWS_REGION=" not in result.stdout
    assert "HTTPS_PROXY=" not in result.stdout
    assert "kept" not in result.stderr
