"""What `assumed check` and `service status` say of a service on a real systemd."""

from __future__ import annotations

import re

import pytest

from service.shell import ASSUMED, Shell
from units.machine import USER, needs_machine
from world.daemon import DEFAULTS, role
from world.waiting import eventually

pytestmark = [needs_machine, pytest.mark.slow]

ARN = "arn:aws:iam::123456789012:role/MyApp"
DEEP = "/".join(["a-long-name"] * 9)
"""Beneath it no path has room for a socket."""


def with_a_long_path(shell: Shell) -> None:
    keys = shell.home.path / DEEP / "credentials"
    keys.parent.mkdir(parents=True)
    shell.home.credentials.rename(keys)
    named = f'credentials_file = "/home/{USER}/{DEEP}/credentials"\n'
    shell.home.configure(role("my-role", ARN), defaults=named + DEFAULTS)
    shell.machine.hand_over()


def drop_in(shell: Shell, *settings: str) -> None:
    path = shell.home.path / ".config/systemd/user/assumed.service.d/override.conf"
    path.write_text("\n".join(["[Service]", *settings, ""]))
    shell.machine.hand_over()
    shell.machine.alice("systemctl", "--user", "daemon-reload")
    shell.machine.alice("systemctl", "--user", "restart", "assumed")


def test_a_service_whose_socket_lies_in_tmp_is_reached(shell: Shell) -> None:
    """In a /tmp of its own it would be out of reach."""
    with_a_long_path(shell)
    said = shell.assumed("service", "install")
    assert re.search(r"^my-role +fresh ", said, re.MULTILINE)
    assert shell.show("PrivateTmp") == "no"
    assert "with the sandbox" in shell.assumed("service", "status")
    assert re.search(r"^my-role +fresh ", shell.assumed("status"), re.MULTILINE)
    assert "socket" not in shell.assumed("check")
    drop_in(shell, "PrivateTmp=yes")
    assert shell.type(ASSUMED, "status").returncode == 3
    said = " ".join(shell.assumed("check", status=1).split())
    assert "writes its control socket into a private /tmp" in said
    drop_in(shell, "ReadWritePaths=", f"ReadWritePaths=/home/{USER}/{DEEP}")
    assert shell.type(ASSUMED, "status").returncode == 3
    said = " ".join(shell.assumed("check", status=1).split())
    assert "may not write in /tmp, the directory of its control socket" in said
    shell.assumed("service", "uninstall", "--purge")


def test_so_is_the_machines_own(shell: Shell) -> None:
    """And `service status` names it to who asks for a service of her own."""
    with_a_long_path(shell)
    variables = [f"{name}={value}" for name, value in shell.exported.items()]
    root = ["env", *variables, ASSUMED, "service"]
    done = shell.machine.root(*root, "install", "--system", "--user", USER)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^my-role +fresh ", shell.assumed("status"), re.MULTILINE)
    assert "socket" not in shell.assumed("check")
    said = " ".join(shell.assumed("service", "status", status=3).split())
    assert "assumed.service: is not installed" in said
    assert f"✓ assumed@{USER}.service: is installed" in said
    assert shell.machine.root(*root, "uninstall", "--system", "--user", USER).returncode == 0


def test_a_credentials_file_in_the_home_itself_is_told_by_install_and_by_check(shell: Shell) -> None:
    shell.home.credentials.rename(shell.home.path / "credentials")
    shell.home.configure(role("my-role", ARN), defaults=f'credentials_file = "~/credentials"\n{DEFAULTS}')
    shell.machine.hand_over()
    wide = f"assumed.service: may write in all of /home/{USER}, as the credentials file lies directly in it"
    assert f"! {wide}" in " ".join(shell.assumed("service", "install").split())
    assert f"! {wide}" in " ".join(shell.assumed("check").split())


def test_check_says_that_the_service_does_not_run(shell: Shell) -> None:
    shell.assumed("service", "install")
    assert "not running" not in shell.assumed("check")
    shell.machine.alice("systemctl", "--user", "stop", "assumed")
    said = " ".join(shell.assumed("check").split())
    assert "! assumed.service: is installed but not running (inactive)" in said
    assert "→ systemctl --user restart assumed.service" in said
    drop_in(shell, "ExecStart=", "ExecStart=/bin/sh -c 'exit 7'", "RestartSec=60")
    eventually(lambda: shell.show("SubState") == "auto-restart", within=30, saying="the wait for the next try")
    said = " ".join(shell.assumed("check", status=1).split())
    assert "✗ assumed.service: is installed but not running (ends again and again (exit status 7))" in said
    assert "see its log: assumed service logs -n 20" in said
    drop_in(shell, "ExecStart=", "ExecStart=/bin/sh -c 'exit 2'")
    eventually(lambda: shell.show("ActiveState") == "failed", within=30, saying="the end for good")
    assert "is installed but not running (failed: exit-code)" in " ".join(shell.assumed("check", status=1).split())


def test_a_developer_with_localstack_and_direnv_sees_no_alarm_of_a_healthy_service(shell: Shell) -> None:
    shell.assumed("service", "install")
    more = {"AWS_ENDPOINT_URL": "http://localhost:4566", "AWS_ENDPOINT_URL_S3": "http://localhost:4566"}
    regions = {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"}
    said = shell.assumed("check", **more, **regions)
    assert "!" not in said
    assert "✗" not in said


def test_a_source_that_systemd_passes_to_the_service_is_no_error(shell: Shell) -> None:
    """`LoadCredential=`: the key lies in neither AWS file."""
    source = shell.home.config.with_name("source-credentials")
    shell.home.credentials.rename(source)
    shell.machine.hand_over()
    assert "source_profile default" in shell.assumed("service", "install", status=1)
    drop_in(shell, f"LoadCredential=aws-credentials:%h/.config/assumed/{source.name}")
    eventually(lambda: shell.type(ASSUMED, "status").returncode == 0, within=30, saying="a session")
    shell.assumed("check")
