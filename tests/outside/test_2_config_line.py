"""`deliver = "process"` also writes the AWS config file for the C++ SDK, and keeps everything else there."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.configloader import load_config, raw_config_parse

from world.daemon import DEFAULTS, Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

ARN = "arn:aws:iam::123456789012:role/"


def keep(home: Home, deliver: str = "process", *, profile: str = "p", enabled: bool = True) -> None:
    """A role by keys, and one delivered by process."""
    home.configure(role("k", f"{ARN}k"), role(profile, f"{ARN}p", deliver=deliver, enabled=enabled))


def in_config(home: Home, profile: str = "p") -> dict[str, Any]:
    """A profile of the AWS config file, as botocore reads it from that file alone."""
    if not home.aws_config.exists():
        return {}
    return dict(load_config(str(home.aws_config))["profiles"].get(profile, {}))


def line(home: Home, profile: str = "p") -> str:
    """The command in the credentials file for it."""
    return str((home.profile(profile) or {}).get("credential_process", ""))


def has_both(home: Home, profile: str = "p") -> bool:
    """Whether the same line is in both files."""
    return line(home, profile) != "" and in_config(home, profile).get("credential_process") == line(home, profile)


def soon(predicate: Callable[[], bool]) -> bool:
    """Whether it becomes true."""
    try:
        return eventually(predicate, 20)
    except AssertionError:
        return False


def status_of(home: Home, daemon: Daemon, profile: str = "p") -> tuple[str, bool, bool]:
    """(state, delivered, whether the line is missing from the config file)."""
    entry = daemon.role(profile)
    return entry["state"], entry["delivered"], bool(entry.get("notice"))


def cases(named: dict[str, Any], quick: int) -> list[Any]:
    """The first few every day, the others in `make proof`."""
    slow = [[], [pytest.mark.slow]]
    return [
        pytest.param(value, id=name, marks=slow[number >= quick]) for number, (name, value) in enumerate(named.items())
    ]


BEFORE = {
    "no file": None,
    "an older section of that name": "# mine\n[profile p]\nregion = eu-west-1\noutput = json\n\n[profile z]\na = b\n",
    "quoted, with a nested block": '[profile "p"]\ns3 =\n  max_concurrent_requests = 2\n; end\n',
    "no newline at the end": "[default]\nregion = eu-west-1",
    "an empty file": "",
    "another profile": "[profile other]\nregion = eu-west-1\n",
    "Windows line ends": "[default]\r\nregion = eu-west-1\r\n",
    "more spaces": "[profile   p]\nregion=eu-west-1\n\n\n",
}


@pytest.mark.parametrize("before", cases(BEFORE, 4))
def test_adding_and_removing_the_line_leaves_every_other_byte_unchanged(
    before: str | None, aws_home: Home, daemon: Daemon
) -> None:
    """Mode 0644 stays, a new file is 0600; readers see the other settings all the time."""
    if before is not None:
        aws_home.aws_config.write_bytes(before.encode())
        aws_home.aws_config.chmod(0o644)
    keep(aws_home)
    daemon.start().wait_until_fresh()

    eventually(lambda: line(aws_home), 20, saying="the credentials file")
    assert in_config(aws_home).get("credential_process") == line(aws_home)
    mode = stat.S_IMODE(aws_home.aws_config.stat().st_mode)
    assert mode == (0o600 if before is None else 0o644)
    ours = re.compile(r"(# kept by assumed.*|credential_process = .*|x_assumed = .*)\r?\n")
    left = ours.sub("", aws_home.aws_config.read_bytes().decode())
    assert left.replace("[profile p]", "").split() == (before or "").replace("[profile p]", "").split()
    assert raw_config_parse(str(aws_home.aws_config))

    keep(aws_home, "keys")
    eventually(lambda: "credential_process" not in in_config(aws_home), 20, saying="the line's going")
    assert "aws_access_key_id" in (aws_home.profile("p") or {})
    assert aws_home.aws_config.read_bytes() == (before or "").encode()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["removed", "disabled", "renamed"])
def test_the_line_is_removed_with_its_role(how: str, aws_home: Home, daemon: Daemon) -> None:
    """From both files; the rest of the config file is unchanged."""
    before = b"[profile mine]\nregion = eu-west-1\n"
    aws_home.aws_config.write_bytes(before)
    keep(aws_home)
    daemon.start().wait_until_fresh()
    eventually(lambda: line(aws_home), 20, saying="the credentials file")
    assert has_both(aws_home)
    if how == "disabled":
        keep(aws_home, enabled=False)
    elif how == "renamed":
        keep(aws_home, profile="q")
    else:
        aws_home.configure(role("k", f"{ARN}k"))

    eventually(lambda: not line(aws_home) and not in_config(aws_home), 30, saying="both lines' going")
    assert how == "renamed" or aws_home.aws_config.read_bytes() == before
    if how == "renamed":
        eventually(lambda: has_both(aws_home, "q"), 20, saying="the new name's lines")


OUTRANKED = {
    "a role": "[profile p]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = default\n",
    "another process": "[profile p]\ncredential_process = /usr/bin/vault p\n",
    "two sections": '[profile p]\nregion = eu-west-1\n[profile "p"]\noutput = json\n',
    "twin: settings alone": "[profile p]\nregion = eu-west-1\n",
    "SSO": "[profile p]\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\n[sso-session s]\nsso_region = a\n",
    "keys": "[profile p]\naws_access_key_id = AKIAMINE\naws_secret_access_key = s\n",
    "a token": "[profile p]\nrole_arn = arn:aws:iam::123456789012:role/x\nweb_identity_token_file = /t\n",
    "defaults that leak": "[DEFAULT]\nrole_arn = arn:aws:iam::123456789012:role/x\n",
    "an indented header": " [profile p]\nregion = a\n",
    "a value that goes on": "[profile p]\nx_assumed = p\n  more\n",
}


@pytest.mark.parametrize("before", cases(OUTRANKED, 4))
def test_a_setting_that_takes_precedence_is_left_alone_and_the_role_works(
    before: str, aws_home: Home, daemon: Daemon
) -> None:
    """No byte of the config file changes; status and `check` say what those clients need; nothing fails."""
    aws_home.aws_config.write_text(before)
    keep(aws_home)
    daemon.start().wait_until_fresh()

    has_line = before == OUTRANKED["twin: settings alone"]
    eventually(lambda: line(aws_home), 20, saying="the credentials file")
    assert status_of(aws_home, daemon) == ("fresh", True, not has_line)
    assert (aws_home.aws_config.read_text() == before) is not has_line
    checked = json.loads(aws_home.assumed("check", "--json").stdout)
    advised = [finding for finding in checked["findings"] if "exec p" in finding["advice"]]
    assert bool(advised) is not has_line
    assert all(finding["severity"] == "warning" for finding in advised)
    assert daemon.role("k")["state"] == "fresh"


@pytest.mark.slow
@pytest.mark.parametrize("where", ["/dev/null", "a directory", "a pipe", "a directory that others may write", "twin"])
def test_a_config_file_that_cannot_be_written_does_not_affect_the_role(
    where: str, aws_home: Home, sts: FakeSts
) -> None:
    """The file in `AWS_CONFIG_FILE`."""
    place = aws_home.path / "elsewhere"
    place.mkdir(mode=0o700)
    target = Path("/dev/null") if where == "/dev/null" else place / "config"
    if where == "a directory":
        target.mkdir()
    elif where == "a pipe":
        os.mkfifo(target)
    elif where not in {"twin", "/dev/null"}:
        place.chmod(0o777)
    daemon = Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url, AWS_CONFIG_FILE=str(target))
    keep(aws_home)
    try:
        daemon.start().wait_until_fresh()
        assert status_of(aws_home, daemon) == ("fresh", True, where != "twin")
        assert where != "twin" or line(aws_home) in target.read_text()
        assert where != "/dev/null" or stat.S_ISCHR(target.stat().st_mode)
        checked = json.loads(aws_home.assumed("check", "--json", AWS_CONFIG_FILE=str(target)).stdout)
        advised = [finding for finding in checked["findings"] if "exec p" in finding["advice"]]
        assert bool(advised) is (where != "twin")
        assert {finding["severity"] for finding in advised} <= {"warning"}
        keep(aws_home, "keys")
        eventually(lambda: "aws_access_key_id" in (aws_home.profile("p") or {}), 20, saying="keys again")
    finally:
        daemon.stop()


def test_a_symbolic_link_stays_and_its_target_is_written(aws_home: Home, daemon: Daemon) -> None:
    """Dotfiles."""
    real = aws_home.path / "dotfiles" / "config"
    real.parent.mkdir(mode=0o755)
    real.write_text("[default]\nregion = eu-west-1\n")
    aws_home.aws_config.symlink_to(real)
    keep(aws_home)
    daemon.start().wait_until_fresh()
    eventually(lambda: line(aws_home), 20, saying="the credentials file")
    assert has_both(aws_home)
    assert aws_home.aws_config.is_symlink()
    assert line(aws_home) in real.read_text()


@pytest.mark.parametrize("edit", ["in place", "by rename", "our line taken out"])
def test_another_programs_edit_of_the_config_file_and_our_line_both_stay(
    edit: str, aws_home: Home, daemon: Daemon, sts: FakeSts
) -> None:
    """Neither write makes a call to STS."""
    keep(aws_home)
    daemon.start().wait_until_fresh()
    eventually(lambda: line(aws_home), 20, saying="the credentials file")
    assert has_both(aws_home)
    calls = len(sts.calls)
    text = aws_home.aws_config.read_text()
    if edit == "our line taken out":
        text = "".join(part for part in text.splitlines(True) if not part.startswith("credential_process"))
    text += "[profile new]\nregion = eu-west-1\n"
    if edit == "by rename":
        new = aws_home.aws_config.with_name("new")
        new.write_text(text)
        new.replace(aws_home.aws_config)
    else:
        aws_home.aws_config.write_text(text)

    eventually(lambda: has_both(aws_home), 30, saying="our line")
    assert in_config(aws_home, "new") == {"region": "eu-west-1"}
    keep(aws_home, "keys")
    eventually(lambda: not in_config(aws_home), 30, saying="our section's going")
    assert in_config(aws_home, "new") == {"region": "eu-west-1"}
    assert len(sts.calls) == calls
    assert not [event for event in daemon.events() if event["event"] == "source.changed"]


def test_the_commands_in_both_files_return_the_same_session(aws_home: Home, daemon: Daemon) -> None:
    """Run as the C++ SDK does: by the shell, with an empty environment."""
    keep(aws_home)
    daemon.start().wait_until_fresh()
    eventually(lambda: line(aws_home), 20, saying="the credentials file")
    command = in_config(aws_home).get("credential_process", "false")
    done = subprocess.run(["/bin/sh", "-c", command], env={}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["SessionToken"]


@pytest.mark.parametrize("config", [None, "", "[profile p]\nregion = eu-west-1\n"], ids=["none", "empty", "settings"])
def test_a_profile_of_the_previous_version_gets_its_line_without_a_renewal(
    config: str | None, aws_home: Home, daemon: Daemon, sts: FakeSts
) -> None:
    """That version wrote only the credentials file."""
    keep(aws_home)
    daemon.start().wait_until_fresh()
    assert daemon.stop() == 0
    aws_home.aws_config.unlink(missing_ok=True)
    if config is not None:
        aws_home.aws_config.write_text(config)
    before, calls = line(aws_home), len(sts.calls)

    daemon.start().wait_until_fresh()
    assert soon(lambda: has_both(aws_home))
    assert (line(aws_home), len(sts.calls)) == (before, calls)


@pytest.mark.parametrize("keys", ["ASIATHEIRS", "ASIAOTHER"])
def test_another_tools_session_is_replaced_only_in_the_credentials_file(
    keys: str, aws_home: Home, daemon: Daemon
) -> None:
    """Settings of an older section of that name in the config file stay."""
    with aws_home.credentials.open("a") as file:
        file.write(f"[p]\naws_access_key_id = {keys}\naws_secret_access_key = s\naws_session_token = t\n")
    aws_home.aws_config.write_text("[profile p]\nregion = eu-west-1\noutput = json\n")
    keep(aws_home)
    daemon.start().wait_until_fresh()
    eventually(lambda: line(aws_home), 20, saying="the credentials file")
    assert has_both(aws_home)
    assert in_config(aws_home)["output"] == "json"
    assert "aws_access_key_id" not in (aws_home.profile("p") or {})


@pytest.mark.parametrize("before", [None, "", "[profile p]\nregion=a\n\n"], ids=["none", "empty", "settings"])
def test_delivery_by_keys_does_not_change_the_config_file(before: str | None, aws_home: Home, daemon: Daemon) -> None:
    """Control: passes before and after."""
    if before is not None:
        aws_home.aws_config.write_text(before)
    keep(aws_home, "keys")
    daemon.start().wait_until_fresh()
    assert (aws_home.aws_config.read_text() if aws_home.aws_config.exists() else None) == before


def test_a_second_credentials_file_with_the_same_profile_is_advised_to_use_exec(aws_home: Home, sts: FakeSts) -> None:
    """The config file has one section of that name: each daemon would put its own line back."""
    keep(aws_home)
    assert aws_home.assumed("once", AWS_ENDPOINT_URL_STS=sts.url).returncode == 0
    assert has_both(aws_home)
    second = aws_home.path / "second" / "credentials"
    second.parent.mkdir(mode=0o700)
    second.write_bytes(aws_home.credentials.read_bytes())
    second.chmod(0o600)
    aws_home.configure(role("p", f"{ARN}p", deliver="process"), defaults=f'credentials_file = "{second}"\n{DEFAULTS}')

    checked = json.loads(aws_home.assumed("check", "--json").stdout)

    (found,) = [finding for finding in checked["findings"] if finding["subject"] == "p" and finding["advice"]]
    assert found["severity"] == "warning"
    assert "exec p" in found["advice"]
    assert not re.search("remove|delete", found["advice"], re.IGNORECASE)
