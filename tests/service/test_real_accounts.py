"""Root and the service of an account: what root does there is worth no more than what the account could do itself."""

from __future__ import annotations

import json
import re
import sys

import pytest

from service.shell import ARN, ASSUMED, Shell
from units.machine import UID, USER, needs_machine
from world.daemon import DEFAULTS, role

pytestmark = [needs_machine, pytest.mark.slow]

UNIT = f"/etc/systemd/system/assumed@{USER}.service"
RECORD = {"version": "0.1.0", "config": "/x", "credentials_file": "/y", "directories": [], "lingering": False}
WATCHED = f"""#!{sys.executable}
import json, os, sys
if os.path.isdir("/var/tmp/started"):  # not for the service, which has a /var/tmp of its own
    with open(f"/var/tmp/started/{{os.getpid()}}", "w") as file:
        json.dump([os.getuid(), sys.argv[1:], dict(os.environ), os.getsid(0) == os.getpid()], file)
from assumed.cli import main
sys.exit(main())
"""
"""The program, with a note of how it was started."""


@pytest.mark.parametrize("verb", ["install", "uninstall", "status"])
def test_root_with_her_home_is_sent_away_and_removes_nothing_that_she_names(shell: Shell, verb: str) -> None:
    """`sudo -E`, `su -m`: her record could name any file, and her links lead anywhere."""
    victim = shell.machine.path("/etc/victim.conf")
    victim.write_text("mine\n")
    (shell.home.config.parent / "service.json").write_text(json.dumps({**RECORD, "files": {"/etc/victim.conf": ""}}))
    (shell.home.config.parents[1] / "systemd").mkdir()
    (shell.home.config.parents[1] / "systemd" / "user").symlink_to("/etc/systemd/system")
    shell.machine.hand_over()
    before = shell.tree()
    done = shell.machine.root("env", f"HOME=/home/{USER}", "XDG_RUNTIME_DIR=/run/user/0", ASSUMED, "service", verb)
    assert done.returncode == 1
    assert f"$HOME is /home/{USER}, owned by {USER}" in done.stderr
    assert f"--system --user {USER}" in done.stderr
    assert victim.read_text() == "mine\n"
    assert not shell.machine.path("/etc/systemd/system/assumed.service").exists()
    assert shell.tree() == before


def test_a_record_that_names_another_file_is_no_reason_to_remove_it(shell: Shell) -> None:
    shell.sudo("install")
    victim, record = shell.machine.path("/etc/victim.conf"), shell.machine.path(f"/etc/assumed/service-{USER}.json")
    victim.write_text("mine\n")
    said = json.loads(record.read_text())
    record.write_text(json.dumps({**said, "files": {**said["files"], "/etc/victim.conf": ""}}))
    shell.sudo("install")
    assert victim.exists()
    assert "/etc/victim.conf: listed in the record" in " ".join(shell.sudo("uninstall").split())
    assert victim.exists()
    assert not shell.machine.path(UNIT).exists()


def test_what_runs_in_her_name_gets_nothing_of_roots(shell: Shell) -> None:
    """She may read the environment of every process with her uid (proc(5)), and type into a terminal that it holds."""
    program, started = "/usr/local/bin/assumed", shell.machine.path("/var/tmp/started")
    shell.machine.path(program).write_text(WATCHED)
    shell.machine.path(program).chmod(0o755)
    started.mkdir(mode=0o1777)
    started.chmod(0o1777)
    secrets = {"GITHUB_TOKEN": "root-has-this", "AWS_ACCESS_KEY_ID": "root-has-this", "PYTHONPATH": "/var/tmp/started"}
    secrets |= {"SUDO_COMMAND": "root-has-this", "AWS_CONFIG_FILE": "/root/.aws/config"}
    said = shell.sudo("install", program=program, **secrets)
    assert re.search(r"^my-role +fresh ", said, re.MULTILINE)
    shell.sudo("status", program=program, **secrets)
    notes = [json.loads(path.read_text()) for path in started.iterdir()]
    hers = [note for note in notes if note[0] == UID and note[1][:1] != ["run"]]
    assert {note[1][0] for note in hers} >= {"--version", "status", "check"}
    for _, _, environ, leads_its_session in hers:
        assert set(environ) - {"LC_CTYPE"} <= {
            *("HOME", "USER", "LOGNAME", "PATH", "AWS_SHARED_CREDENTIALS_FILE"),
            *shell.exported,
        }
        assert leads_its_session
    environment = shell.machine.path(f"/etc/assumed/service-{USER}.env").read_text()
    assert "/root" not in environment


def test_the_configuration_is_read_and_judged_with_her_eyes(shell: Shell) -> None:
    shell.home.config.chmod(0o600)
    shell.machine.root("chown", "root:root", f"/home/{USER}/.config/assumed/config.toml")
    assert "may not be read by this user" in shell.sudo("install", status=2)
    assert not shell.machine.path(UNIT).exists()
    shell.machine.hand_over()
    shell.home.aws_config.write_text("[profile my-role]\nrole_arn = arn:aws:iam::123456789012:role/Other\n")
    shell.machine.hand_over()
    assert "my-role" in " ".join(line for line in shell.sudo("install").splitlines() if line.startswith("✗"))
    shell.sudo("uninstall")
    shell.home.configure(role("my-role", ARN), defaults=f'credentials_file = "/srv/closed/aws/credentials"\n{DEFAULTS}')
    shell.machine.hand_over()
    shell.machine.root("install", "-d", "-m", "700", "/srv/closed")
    assert "cannot look for the directory /srv/closed/aws: permission is denied" in shell.sudo("install", status=1)


def test_a_directory_of_hers_is_removed_in_her_name(shell: Shell) -> None:
    """It may be a link to root's own by then."""
    machine = shell.machine
    machine.root("install", "-d", "-o", USER, "/srv/hers")
    shell.home.configure(
        role("my-role", ARN), defaults=f'credentials_file = "/srv/hers/a/sshd-like/credentials"\n{DEFAULTS}'
    )
    machine.hand_over()
    shell.sudo("install", status=1)
    assert machine.path("/srv/hers/a/sshd-like").stat().st_uid == UID
    machine.root("mkdir", "/run/sshd-like")
    machine.root("systemctl", "stop", f"assumed@{USER}")
    assert machine.alice("sh", "-c", "mv /srv/hers/a /srv/hers/b && ln -s /run /srv/hers/a").returncode == 0
    shell.sudo("uninstall")
    assert machine.path("/run/sshd-like").is_dir()


def test_her_own_empty_directory_outside_of_her_home_goes(shell: Shell) -> None:
    machine = shell.machine
    machine.root("install", "-d", "-o", USER, "/srv/hers")
    shell.home.configure(role("my-role", ARN), defaults=f'credentials_file = "/srv/hers/a/credentials"\n{DEFAULTS}')
    machine.hand_over()
    shell.sudo("install", status=1)
    shell.sudo("uninstall", "--purge")
    assert machine.path("/srv/hers").is_dir()
    assert not machine.path("/srv/hers/a").exists()


def test_the_service_of_a_deleted_account_can_be_taken_away(shell: Shell) -> None:
    shell.sudo("install")
    shell.machine.root("systemctl", "stop", f"assumed@{USER}")
    shell.machine.root("sed", "-i", f"/^{USER}:/d", "/etc/passwd")
    assert f"no account {USER}" in shell.sudo("uninstall", "--purge", status=2)
    assert f"no account {USER}" in shell.sudo("install", status=2)
    said = shell.sudo("uninstall")
    assert f"no account {USER}: nothing in its home was changed" in said
    assert not shell.machine.path(UNIT).exists()
    assert not shell.machine.path("/etc/assumed").exists()
    assert shell.home.profile("my-role") is not None
    assert f"no account {USER}" in shell.sudo("uninstall", status=2)


def test_after_a_failed_start_the_log_is_asked_for_by_a_command_that_works(shell: Shell) -> None:
    drop_in = shell.machine.path(f"{UNIT}.d/mine.conf")
    drop_in.parent.mkdir()
    drop_in.write_text("[Service]\nExecStart=\nExecStart=/bin/false\n")
    said = shell.sudo("install", status=1)
    hint = f"{ASSUMED} service logs -n 20 --system --user {USER}"
    assert f"see its log: {hint}" in said
    assert shell.machine.root(*hint.split()).returncode == 0


def test_a_dry_run_shows_the_modes_that_directories_will_have(shell: Shell) -> None:
    assert "# ---- /etc/assumed (directory, mode 0755)" in shell.sudo("install", "--dry-run")
    shell.sudo("install")
    assert shell.machine.path("/etc/assumed").stat().st_mode & 0o777 == 0o755


def test_a_variable_of_an_earlier_install_stays_but_none_of_roots_own(shell: Shell) -> None:
    shell.sudo("install", HTTPS_PROXY="http://proxy.example:3128", NO_PROXY="127.0.0.1")
    file = shell.machine.path(f"/etc/assumed/service-{USER}.env")
    with file.open("a") as stream:
        stream.write('AWS_CONFIG_FILE="/root/.aws/config"\n')
    shell.exported = {}
    said = shell.sudo("install")
    assert "kept from the last install: AWS_EC2_METADATA_DISABLED, AWS_ENDPOINT_URL_STS" in " ".join(said.split())
    text = file.read_text()
    assert "HTTPS_PROXY=" in text
    assert "AWS_CONFIG_FILE=" not in text
