"""A service that is there already, installed again, broken or looked at: on a real systemd."""

from __future__ import annotations

import json
import re

import pytest

from service.shell import ASSUMED, Shell
from units.machine import needs_machine
from world.waiting import eventually

pytestmark = [needs_machine, pytest.mark.slow]


def test_a_second_install_from_a_poorer_shell_keeps_what_the_first_took_along(shell: Shell) -> None:
    """By SSH, from a playbook: the endpoint, and with it the working session, would be lost."""
    shell.assumed("service", "install", NO_PROXY="127.0.0.1")
    environment = shell.home.config.with_name("service.env")
    before, pid = environment.read_text(), shell.show("MainPID")
    names = "AWS_EC2_METADATA_DISABLED, AWS_ENDPOINT_URL_STS, NO_PROXY"
    shell.exported = {}
    said = " ".join(shell.assumed("service", "install").split())
    assert f"kept from the last install: {names}" in said
    assert "(to drop one: AWS_EC2_METADATA_DISABLED= assumed service install)" in said
    assert "from this shell" not in said
    assert (environment.read_text(), shell.show("MainPID")) == (before, pid)
    assert f"kept from the last install: {names}" in " ".join(shell.assumed("service", "print").split())
    shell.assumed("service", "install", NO_PROXY="")
    assert "NO_PROXY" not in environment.read_text()
    assert "AWS_ENDPOINT_URL_STS" in environment.read_text()


def test_what_is_taken_along_is_said_when_it_is_written(shell: Shell) -> None:
    shell.assumed("service", "install")
    (shell.home.path / ".config/systemd/user/assumed.service.d/10-sandbox.conf").unlink()
    said = shell.assumed("service", "install")
    assert "10-sandbox.conf" in " ".join(said.split())
    assert "from this shell" not in said


def test_another_configuration_than_that_of_the_last_install_is_said(shell: Shell) -> None:
    team = shell.home.config.with_name("team.toml")
    team.write_text(shell.home.config.read_text())
    shell.machine.hand_over()
    shell.assumed("service", "install", "--config", f"/home/alice/.config/assumed/{team.name}")
    assert json.loads(shell.type(ASSUMED, "service", "status", "--json").stdout)["config"].endswith("/team.toml")
    said = " ".join(shell.assumed("service", "install").split())
    assert "replaces /home/alice/.config/assumed/team.toml as the service's configuration" in said
    assert "assumed service install --config /home/alice/.config/assumed/team.toml" in said


def test_a_purge_removes_the_profiles_of_the_configuration_that_the_service_uses(shell: Shell) -> None:
    """Not those of the usual one, whose owner mark they do not carry."""
    team = shell.home.config.with_name("team.toml")
    team.write_text(shell.home.config.read_text())
    shell.machine.hand_over()
    shell.assumed("service", "install", "--config", f"/home/alice/.config/assumed/{team.name}")
    assert shell.home.profile("my-role") is not None
    shell.assumed("service", "uninstall", "--purge")
    assert shell.home.profile("my-role") is None


def test_a_service_that_ends_again_and_again_does_not_count_as_running(shell: Shell) -> None:
    shell.assumed("service", "install")
    drop_in = shell.home.path / ".config/systemd/user/assumed.service.d/mine.conf"
    drop_in.write_text("[Service]\nExecStart=\nExecStart=/bin/sh -c 'exit 7'\nRestartSec=600\n")
    shell.machine.hand_over()
    shell.machine.alice("systemctl", "--user", "daemon-reload")
    shell.machine.alice("systemctl", "--user", "restart", "assumed")
    eventually(lambda: shell.show("SubState") == "auto-restart", within=30, saying="the wait for the next try")
    said = shell.assumed("service", "status", status=3)
    assert "no (ends again and again (exit status 7)" in said
    document = json.loads(shell.type(ASSUMED, "service", "status", "--json").stdout)
    assert (document["running"], document["pid"]) == (False, None)
    drop_in.write_text("[Service]\nRestartSec=600\n")
    shell.machine.hand_over()
    shell.machine.alice("systemctl", "--user", "daemon-reload")
    said = shell.assumed("service", "install")
    assert "started in" in said
    assert re.search(r"^my-role +fresh ", said, re.MULTILINE)


def test_a_bad_configuration_is_a_finding_and_the_running_daemon_is_still_seen(shell: Shell) -> None:
    shell.assumed("service", "install")
    shell.home.config.write_text("[[roles]]\nprofil = 3\n")
    shell.machine.hand_over()
    done = shell.type(ASSUMED, "service", "status", "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 1
    assert document["version"]
    assert document["config"] == "/home/alice/.config/assumed/config.toml"
    assert [finding["subject"] for finding in document["findings"]] == ["the configuration"]
    assert "config.toml:" in document["findings"][0]["message"]


def test_what_is_not_utf8_is_refused_before_anything_is_written(shell: Shell) -> None:
    before = shell.tree()
    said = shell.assumed("service", "install", status=1, HTTPS_PROXY="http://pr\udcffoxy:1")
    assert "$HTTPS_PROXY is not UTF-8" in said
    assert "HTTPS_PROXY= assumed service install" in said
    assert shell.tree() == before


def test_a_purge_of_a_configuration_that_is_not_there_is_wrong_usage(shell: Shell) -> None:
    shell.assumed("service", "install")
    before = shell.tree()
    assert "/nope.toml: does not exist" in shell.assumed(
        "service", "uninstall", "--purge", "--config", "/nope.toml", status=2
    )
    assert (shell.tree(), shell.show("ActiveState")) == (before, "active")
    shell.assumed("service", "uninstall", "--purge")
    assert shell.home.profile("my-role") is None
    assert "/nope.toml" in shell.assumed("service", "uninstall", "--purge", "--config", "/nope.toml", status=2)
