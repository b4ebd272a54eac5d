"""`assumed service` on a machine with a real systemd, journald and logind, typed by alice and by root."""

from __future__ import annotations

import json
import re
import shlex
import sys
import time
from typing import Any

import pytest

from service.shell import ASSUMED, Shell
from units.machine import UID, USER, needs_machine
from world.fake_sts import FakeSts
from world.scores import Record
from world.waiting import eventually

pytestmark = needs_machine

PASSWORD = "hunter2-hunter2"
PROXY = f"http://alice:{PASSWORD}@proxy.example:3128"
KEPT = (".aws/credentials", ".aws/assumed")


@pytest.mark.proof
def test_an_empty_home_has_a_fresh_profile_and_then_the_tree_is_as_it_was(
    shell: Shell, sts: FakeSts, record: Record
) -> None:
    """The whole life of a service, quick enough for every run."""
    before = shell.tree()
    began = time.monotonic()
    said = shell.assumed("service", "install")
    seconds = time.monotonic() - began
    assert shell.home.profile("my-role") is not None
    assert len(sts.calls) == 1
    record("service.first_profile_seconds", seconds)
    assert re.search(r"^my-role +fresh ", said, re.MULTILINE)
    assert "from this shell's environment: AWS_EC2_METADATA_DISABLED, AWS_ENDPOINT_URL_STS" in " ".join(said.split())
    assert (shell.show("ActiveState"), shell.show("UnitFileState")) == ("active", "enabled")
    may_confine = shell.machine.alice("unshare", "--user", "true").returncode == 0
    assert shell.show("PrivateUsers") == ("yes" if may_confine else "no")

    between, pid = shell.tree(), shell.show("MainPID")
    assert "no change needed" in shell.assumed("service", "install")
    assert (shell.tree(), shell.show("MainPID"), len(sts.calls)) == (between, pid, 1)

    shell.assumed("service", "uninstall")
    assert shell.tree(without=KEPT) == {name: one for name, one in before.items() if not name.startswith(KEPT)}
    assert shell.home.profile("my-role") is not None
    assert shell.show("LoadState") == "not-found"
    shell.assumed("service", "uninstall", "--purge")
    assert shell.tree() == before


@pytest.mark.slow
def test_where_there_is_nothing_a_configuration_to_fill_in_is_written(shell: Shell) -> None:
    shell.home.config.unlink()
    shell.home.config.parent.rmdir()
    before = shell.tree()
    said = shell.assumed("service", "install", status=2)
    assert "wrote one to fill in: /home/alice/.config/assumed/config.toml" in said
    assert shell.home.config.stat().st_mode & 0o777 == 0o600
    assert "there are no roles" in shell.assumed("service", "install", status=2)
    assert shell.show("LoadState") == "not-found"
    shell.assumed("service", "uninstall", "--purge")
    assert shell.tree() == before


@pytest.mark.slow
def test_a_bad_configuration_is_told_whole_and_nothing_is_written(shell: Shell) -> None:
    shell.home.config.write_text('[[roles]]\nprofile = "a"\nrole_arn = "b"\n[[roles]]\nprofile = "a"\nduration = 3\n')
    before = shell.tree()
    said = shell.assumed("service", "install", status=2)
    assert len(said.splitlines()) >= 3
    assert shell.tree() == before


@pytest.mark.slow
def test_a_dry_run_shows_all_of_it_and_does_nothing(shell: Shell) -> None:
    before = shell.tree()
    said = shell.assumed("service", "install", "--dry-run", HTTPS_PROXY=PROXY)
    for shown in (
        "# ---- /home/alice/.config/systemd/user/assumed.service (mode 0600)",
        "# ---- /home/alice/.config/systemd/user/assumed.service.d/10-sandbox.conf (mode 0600)",
        "ReadWritePaths=-/home/alice/.aws",
        "HTTPS_PROXY='http://[hidden]@proxy.example:3128'",
        "$ systemctl --user enable assumed.service",
        "$ systemctl --user start assumed.service",
        "no change made",
    ):
        assert shown in said
    assert PASSWORD not in said
    assert shell.tree() == before
    assert shell.show("LoadState") == "not-found"


@pytest.mark.slow
def test_a_proxys_password_is_in_one_file_and_nowhere_else(shell: Shell) -> None:
    said = shell.assumed("service", "install", https_proxy=PROXY, no_proxy="127.0.0.1")
    said += shell.assumed("service", "status", https_proxy=PROXY)
    said += shell.assumed("service", "print", https_proxy=PROXY)
    said += shell.assumed("check", https_proxy=PROXY)
    said += shell.machine.alice("systemctl", "--user", "show", "assumed").stdout
    said += shell.machine.root("ps", "axww").stdout
    said += json.dumps(shell.machine.journal())
    assert PASSWORD not in said
    holding = [name for name, (_, data) in shell.tree().items() if data and PASSWORD.encode() in data]
    assert holding == [".config/assumed/service.env"]
    assert (shell.home.config.with_name("service.env")).stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_what_systemd_reads_in_the_environment_file_is_what_the_shell_had(shell: Shell) -> None:
    odd = {"AWS_CA_BUNDLE": "/a \"b' $HOME `c` \\d/%h.pem", "NO_PROXY": "*.a, b;c # d"}
    shell.assumed("service", "install", "--dry-run", **odd)  # also with these
    shell.assumed("service", "install")
    from assumed.service.units import environment_file

    file = shell.home.path / "odd.env"
    file.write_text(environment_file(odd))
    shell.machine.hand_over()
    shown = shell.machine.alice(
        *("systemd-run", "--user", "--quiet", "--pipe", "--wait", "--property=EnvironmentFile=/home/alice/odd.env"),
        *("python3", "-c", "import os, json; print(json.dumps(dict(os.environ)))"),
    )
    environ: dict[str, Any] = json.loads(shown.stdout)
    assert {name: environ.get(name) for name in odd} == odd


@pytest.mark.slow
def test_an_upgrade_of_the_tool_is_a_restart(shell: Shell, sts: FakeSts) -> None:
    """The old daemon is another version: a copy of the unit's program that says so."""
    shell.assumed("service", "install")
    older = shell.home.path / "older"
    older.write_text(
        f"#!{sys.executable}\nimport sys, assumed\nassumed.__version__ = '0.0.9'\n"
        "from assumed.cli import main\nsys.exit(main())\n"
    )
    older.chmod(0o755)
    unit = shell.home.path / ".config/systemd/user/assumed.service"
    new = unit.read_text()
    unit.write_text(new.replace(f"ExecStart={ASSUMED}", "ExecStart=/home/alice/older"))
    shell.machine.hand_over()
    shell.machine.alice("systemctl", "--user", "daemon-reload")
    shell.machine.alice("systemctl", "--user", "restart", "assumed")
    unit.write_text(new)  # what an upgrade leaves: the file as it was, and the old daemon still running
    shell.machine.hand_over()
    shell.machine.alice("systemctl", "--user", "daemon-reload")
    said = shell.assumed("check") + shell.assumed("service", "status")
    assert said.count("runs assumed 0.0.9;") == 2
    assert "systemctl --user restart assumed.service, or: assumed service install" in said
    pid = shell.show("MainPID")
    assert "restarted in" in shell.assumed("service", "install")
    assert shell.show("MainPID") != pid
    assert "0.0.9" not in shell.assumed("service", "status")
    assert len(sts.calls) == 1


@pytest.mark.slow
def test_a_changed_environment_is_written_and_the_service_started_again(shell: Shell) -> None:
    shell.assumed("service", "install")
    pid = shell.show("MainPID")
    assert "is x.example here, not set for the service" in shell.assumed("check", NO_PROXY="x.example")
    assert "restarted in" in shell.assumed("service", "install", NO_PROXY="x.example")
    assert shell.show("MainPID") != pid
    assert "for the service" not in shell.assumed("check", NO_PROXY="x.example")


@pytest.mark.slow
def test_a_unit_of_another_hand_is_set_aside_and_a_drop_in_stays(shell: Shell) -> None:
    units = shell.home.path / ".config/systemd/user"
    (units / "assumed.service.d").mkdir(parents=True)
    (units / "assumed.service").write_text("[Service]\nExecStart=/bin/false\n")
    (units / "assumed.service.d" / "mine.conf").write_text("[Service]\nNice=5\n")
    shell.machine.hand_over()
    assert "was not written by `assumed service install`" in shell.assumed("service", "uninstall", status=1)
    said = shell.assumed("service", "install")
    assert "existing file backed up to /home/alice/.config/systemd/user/assumed.service.saved" in " ".join(said.split())
    assert shell.show("Nice") == "5"
    shell.assumed("service", "uninstall")
    assert sorted(path.name for path in units.rglob("*")) == ["assumed.service.d", "assumed.service.saved", "mine.conf"]


@pytest.mark.slow
def test_a_credentials_file_behind_a_link_is_written_from_inside_the_sandbox(shell: Shell) -> None:
    vault = shell.home.path / "my vault 100%"
    vault.mkdir()
    shell.home.credentials.rename(vault / "credentials")
    shell.home.credentials.symlink_to(f"/home/{USER}/my vault 100%/credentials")
    shell.machine.hand_over()
    said = shell.assumed("service", "install")
    assert re.search(r"^my-role +fresh ", said, re.MULTILINE)
    assert "[my-role]" in (vault / "credentials").read_text()
    assert shell.machine.alice("sh", "-c", "touch ~/outside").returncode == 0
    assert "may not write" not in shell.assumed("check")
    assert "with the sandbox" in shell.assumed("service", "status")


@pytest.mark.slow
def test_a_home_without_aws_gets_the_directory_that_a_sandbox_cannot_make(shell: Shell) -> None:
    shell.home.credentials.unlink()
    shell.home.credentials.parent.rmdir()
    before = shell.tree()
    said = shell.assumed("service", "install", status=1)
    assert "source_profile default: signs for my-role, but is in neither AWS file" in " ".join(said.split())
    assert shell.home.credentials.parent.stat().st_mode & 0o777 == 0o700
    assert shell.show("ActiveState") == "active"
    shell.assumed("service", "uninstall", "--purge")
    assert shell.tree() == before


@pytest.mark.slow
def test_a_configuration_elsewhere_is_found_by_the_service_and_by_uninstall(shell: Shell) -> None:
    """Of --config, $ASSUMED_CONFIG and $XDG_CONFIG_HOME the service has none."""
    odd = shell.home.path / "my teams" / "100%" / "roles.toml"
    odd.parent.mkdir(parents=True)
    shell.home.config.rename(odd)
    shell.home.config.parent.rmdir()
    shell.machine.hand_over()
    before = shell.tree()
    said = shell.assumed("service", "install", "--config", "my teams/100%/roles.toml")
    assert "ASSUMED_CONFIG) ✓ assumed.service: started in" in " ".join(said.split())
    assert re.search(r"^my-role +fresh ", said, re.MULTILINE)
    named = {"ASSUMED_CONFIG": f"/home/{USER}/my teams/100%/roles.toml"}
    assert "no change needed" in shell.assumed("service", "install", **named)
    shell.assumed("service", "uninstall", "--purge")
    assert shell.tree() == before


@pytest.mark.slow
def test_what_a_hook_needs_is_in_the_unit(shell: Shell) -> None:
    """PATH to find it, leave to compile, and a word about where it may write."""
    with shell.home.config.open("a") as file:
        file.write('[hooks]\nafter_renewal = ["true"]\n')
    said = shell.assumed("service", "install", PATH="/opt/tools:relative:/usr/bin:/bin")
    assert "the hook after_renewal: may write only where the service may: /home/alice/.aws" in " ".join(said.split())
    assert shell.show("MemoryDenyWriteExecute") == "no"
    environment = shell.home.config.with_name("service.env").read_text()
    assert "\nPATH=/opt/tools:/usr/bin:/bin\n" in environment


CANNOT = """#!/bin/sh
case "$*" in
  *PrivateUsers=yes*) echo "Failed to set up user namespacing: Operation not permitted" >&2; exit 1 ;;
  *) exec /usr/bin/systemd-run "$@" ;;
esac
"""


@pytest.mark.slow
def test_where_the_sandbox_cannot_be_built_the_service_runs_without_it(shell: Shell) -> None:
    """Unprivileged user namespaces are off: hardened kernels, some containers. Later they may be on again."""
    systemd_run = shell.home.path / "bin" / "systemd-run"
    systemd_run.parent.mkdir()
    systemd_run.write_text(CANNOT)
    systemd_run.chmod(0o755)
    shell.machine.hand_over()
    drop_in = shell.home.path / ".config/systemd/user/assumed.service.d/10-sandbox.conf"
    shell.assumed("service", "install")
    assert drop_in.exists()
    said = shell.assumed("service", "install", PATH=f"/home/{USER}/bin:/usr/bin:/bin")
    assert "runs without the sandbox: Failed to set up user namespacing" in " ".join(said.split())
    assert not drop_in.exists()
    assert "restarted in" in said
    assert "with the sandbox" not in shell.assumed("service", "status")
    shell.assumed("service", "install")
    assert "with the sandbox" in shell.assumed("service", "status")


@pytest.mark.slow
def test_a_daemon_in_a_terminal_comes_first(shell: Shell) -> None:
    """Two cannot keep one file: the service would end with status 4 at once."""
    words = [
        "systemd-run",
        "--user",
        "--quiet",
        f"--setenv=AWS_ENDPOINT_URL_STS={shell.exported['AWS_ENDPOINT_URL_STS']}",
    ]
    shell.machine.alice(*words, "--unit=terminal", ASSUMED, "run")
    eventually(lambda: shell.type(ASSUMED, "status").returncode == 0, within=30, saying="a daemon that keeps the role")
    said = shell.assumed("service", "install", status=4)
    assert "stop it first" in said
    assert shell.show("LoadState") == "not-found"


@pytest.mark.slow
def test_lingering_is_enabled_once_and_taken_back_by_who_enabled_it(shell: Shell) -> None:
    linger = shell.machine.path(f"/var/lib/systemd/linger/{USER}")
    shell.assumed("service", "install")
    shell.assumed("service", "uninstall")
    assert linger.exists(), "it was enabled before"
    shell.machine.root("loginctl", "disable-linger", USER)
    shell.machine.root("systemctl", "start", f"user@{UID}.service")
    assert "lingering enabled" in shell.assumed("service", "install")
    assert linger.exists()
    assert "lingering" not in shell.assumed("service", "install")
    assert "lingering disabled" in shell.assumed("service", "uninstall")
    assert not linger.exists()


REFUSES = """#!/bin/sh
case $1 in
  enable-linger) echo "Could not enable linger: Interactive authentication required." >&2; exit 1 ;;
  *) exec /usr/bin/loginctl "$@" ;;
esac
"""


@pytest.mark.slow
def test_where_lingering_is_refused_the_one_command_is_said(shell: Shell) -> None:
    """As polkit does where it would ask for a password."""
    loginctl = shell.home.path / "bin" / "loginctl"
    loginctl.parent.mkdir()
    loginctl.write_text(REFUSES)
    loginctl.chmod(0o755)
    shell.machine.hand_over()
    shell.machine.root("loginctl", "disable-linger", USER)
    shell.machine.root("systemctl", "start", f"user@{UID}.service")
    said = shell.assumed("service", "install", PATH=f"/home/{USER}/bin:/usr/bin:/bin")
    assert f"sudo loginctl enable-linger {USER}" in said
    assert "Interactive authentication required" in said
    assert "while you are logged in" in shell.assumed("service", "status")
    assert "lingering" not in shell.assumed("service", "uninstall")


@pytest.mark.slow
def test_the_log_is_the_journals_and_json_in_a_pipe(shell: Shell) -> None:
    shell.assumed("service", "install")
    shell.machine.root("journalctl", "--sync")
    shell.machine.root("chmod", "-R", "a+rX", "/var/log/journal", "/run/log/journal")
    lines = shell.type(ASSUMED, "service", "logs").stdout.splitlines()
    events = [json.loads(line)["event"] for line in lines if line.startswith("{")]
    assert "role.renewed" in events
    typed = shlex.join([ASSUMED, "service", "logs", "-n", "30"])
    shown = shell.machine.alice("env", "TERM=dumb", "script", "-qec", typed, "/dev/null").stdout
    assert re.search(r"^\w+ \d+ \d\d:\d\d:\d\d .*role\.renewed", shown, re.MULTILINE)


@pytest.mark.slow
def test_root_installs_it_for_alice_on_the_machines_own_systemd(shell: Shell, sts: FakeSts) -> None:
    machine = shell.machine
    before = shell.tree()
    variables = [f"{name}={value}" for name, value in shell.exported.items()]
    command = ["env", *variables, ASSUMED, "service"]
    assert f"sudo {ASSUMED} service install --system" in shell.assumed(
        "service", "install", "--system", "--user", USER, status=2
    )
    done = machine.root(*command, "install", "--system", "--user", USER)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^my-role +fresh ", done.stdout, re.MULTILINE)
    unit = machine.path(f"/etc/systemd/system/assumed@{USER}.service")
    assert f"User={USER}" in unit.read_text().splitlines()
    owners = {path.stat().st_uid for path in shell.home.path.rglob("*")}
    assert owners == {UID}
    shell.assumed("check")
    assert "no change needed" in machine.root(*command, "install", "--system", "--user", USER).stderr
    status = json.loads(machine.root(*command, "status", "--system", "--user", USER, "--json").stdout)
    assert (status["running"], status["enabled"], status["findings"]) == (True, True, [])
    done = machine.root(*command, "uninstall", "--purge", "--system", "--user", USER)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not unit.exists()
    assert not machine.path("/etc/assumed").exists()
    assert shell.tree() == before
