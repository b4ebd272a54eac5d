"""Two configurations for two credentials files in one directory are independent."""

from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from world.control import NotRunning
from world.daemon import DEFAULTS, Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

ROLES = {name: f"arn:aws:iam::123456789012:role/{name}" for name in ("RoleA", "RoleB")}
NAMES = ["credentials-acme", "work.ini", "Credentials of Acme", "credentials.bak"]


@dataclass(frozen=True, slots=True)
class Named(Home):
    """A home whose own configuration manages `~/.aws/FILE`."""

    file: str = "credentials"

    @property
    def credentials(self) -> Path:
        return self.path / ".aws" / self.file

    @property
    def config(self) -> Path:
        return self.path / ".config" / f"{self.file}.toml"

    def keep(self, role_name: str, **keys: str) -> None:
        """One role, `prod`."""
        defaults = f'credentials_file = "{self.credentials}"\n\n{DEFAULTS}'
        self.configure(role("prod", ROLES[role_name], **keys), defaults=defaults)


@pytest.fixture(params=NAMES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, sts: FakeSts) -> tuple[Named, Named]:
    """`prod` is RoleA in `~/.aws/credentials`, and RoleB in another file beside it."""
    home = tmp_path_factory.mktemp("h")
    homes = (Named(home), Named(home, file=request.param))
    for one, role_name in zip(homes, ROLES, strict=True):
        one.add_source(sts.source.access_key_id, sts.source.secret_access_key)
        one.keep(role_name)
    return homes


def issued(sts: FakeSts, role_name: str) -> set[str | None]:
    """The access key ids of the sessions of a role."""
    return {call.issued for call in sts.calls_for(ROLES[role_name])}


def run(home: Named, sts: FakeSts, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command with the configuration of that home."""
    return home.assumed(command, "--config", str(home.config), *arguments, AWS_ENDPOINT_URL_STS=sts.url)


def key_in(home: Named, sts: FakeSts) -> str:
    """The access key id that `assumed env prod` prints."""
    done = run(home, sts, "env", "prod")
    assert done.returncode == 0, done.stderr
    words = (word for line in done.stdout.splitlines() for word in shlex.split(line))
    return next(word.partition("=")[2] for word in words if word.startswith("AWS_ACCESS_KEY_ID="))


def test_each_configuration_returns_its_own_role(pair: tuple[Named, Named], sts: FakeSts) -> None:
    """After `once` with each; neither removes the other's session."""
    for home in pair:
        assert run(home, sts, "once").returncode == 0
    assert key_in(pair[0], sts) in issued(sts, "RoleA")
    assert key_in(pair[1], sts) in issued(sts, "RoleB")
    assert len(sts.calls) == 2


@pytest.mark.slow
def test_each_file_has_its_own_credential_process_line(pair: tuple[Named, Named], sts: FakeSts) -> None:
    """What SDKs run for `prod` prints the role of that file."""
    lines = []
    for home, role_name in zip(pair, ROLES, strict=True):
        home.keep(role_name, deliver="process")
        assert run(home, sts, "once").returncode == 0
        lines.append(shlex.split((home.profile("prod") or {})["credential_process"]))
    printed = [
        json.loads(subprocess.run(line, capture_output=True, check=True).stdout)["AccessKeyId"] for line in lines
    ]
    assert lines[0] != lines[1]
    assert (printed[0] in issued(sts, "RoleA"), printed[1] in issued(sts, "RoleB")) == (True, True)


@pytest.mark.slow
def test_each_configuration_has_its_own_daemon(pair: tuple[Named, Named], sts: FakeSts) -> None:
    """Both run, and commands reach only the daemon of their own configuration."""
    first, second = (Daemon(home, AWS_ENDPOINT_URL_STS=sts.url) for home in pair)
    with first:
        first.wait_until_fresh("prod")
        second.start(answering=False)

        def settled() -> bool:
            try:
                return not second.is_running() or second.role("prod")["state"] == "fresh"
            except NotRunning:
                return False

        try:
            eventually(settled, 30)
            assert second.is_running()
            for home, daemon in zip(pair, (first, second), strict=True):
                status = json.loads(run(home, sts, "status", "--json").stdout)
                assert (status["daemon"]["pid"], status["daemon"]["config"]) == (daemon.pid, str(home.config))
        finally:
            second.stop()


def test_a_second_daemon_for_a_file_exits_and_names_the_file(aws_home: Home, sts: FakeSts, daemon: Daemon) -> None:
    """The exit status is for scripts; the message says which file is taken."""
    aws_home.configure(role("prod", ROLES["RoleA"]))
    daemon.start().wait_until_fresh("prod")
    done = aws_home.assumed("run", AWS_ENDPOINT_URL_STS=sts.url)
    assert done.returncode == 4
    assert str(daemon.pid) in done.stderr
    assert str(aws_home.credentials) in done.stderr


@pytest.mark.parametrize("link", ["credentials-link", "elsewhere/credentials", "elsewhere/other"])
def test_a_link_to_a_credentials_file_has_the_same_lock(
    link: str, aws_home: Home, sts: FakeSts, daemon: Daemon
) -> None:
    """A link to the file leads to the same lock."""
    aws_home.configure(role("prod", ROLES["RoleA"]))
    daemon.start().wait_until_fresh("prod")
    path = aws_home.path / link
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(aws_home.credentials)
    other = aws_home.path / "other.toml"
    other.write_text(f'credentials_file = "{path}"\n{aws_home.config.read_text()}')
    assert aws_home.assumed("once", "--config", str(other), AWS_ENDPOINT_URL_STS=sts.url).returncode == 4
