"""Sources that depend on a program or a person: helpers that hang or prompt, logins, MFA codes."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from process.kit import arn, in_words, rounds
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually, in_time


def helper(home: Home, name: str, body: str) -> str:
    """A credential_process: a Python program in the home. Returns its command."""
    path = home.path / f"{name}.py"
    path.write_text(body)
    return f"{sys.executable} {path}"


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.proof
def test_a_hanging_helper_delays_only_its_roles_and_ends_with_the_daemon(
    sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """A password manager that waits for its user: its roles wait, the others are renewed, and SIGTERM ends it."""
    pids = aws_home.path / "pids"
    hangs = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}\\n')\n"
        "time.sleep(600)\n"
    )
    aws_home.aws_config.write_text(f"[profile hangs]\ncredential_process = {helper(aws_home, 'hangs', hangs)}\n")
    waiting = [role(f"waiting-{n}", arn("w"), source_profile="hangs") for n in range(12)]
    aws_home.configure(*waiting, role("healthy", arn("healthy")))
    daemon.start().wait_until_fresh("healthy")
    eventually(lambda: rounds(daemon, "healthy") >= 3, 10)
    eventually(lambda: pids.exists() and pids.read_text().endswith("\n"), 5)
    started = [int(pid) for pid in pids.read_text().split()]
    assert all(alive(pid) for pid in started)
    assert daemon.role("waiting-0")["state"] == "pending"
    assert not sts.calls_for(arn("w"))
    began = time.monotonic()
    assert daemon.stop() == 0
    assert in_time(began, 2)
    eventually(lambda: not any(alive(pid) for pid in started), 3, saying="the helper and its child are gone")


def test_a_helper_that_prompts_reads_end_of_file(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """It does not wait, and its message appears in the status."""
    asks = "code = input('MFA code: ')\nprint(code)\n"
    aws_home.aws_config.write_text(f"[profile asks]\ncredential_process = {helper(aws_home, 'asks', asks)}\n")
    aws_home.configure(role("a", arn("a"), source_profile="asks"), role("healthy", arn("healthy")))
    daemon.start().wait_until(lambda status: status["roles"][0]["last_error"])
    said = in_words(daemon.role("a"))
    assert "EOFError" in said or "credential" in said.lower()
    assert "asks" in said
    daemon.wait_until_fresh("healthy")


def test_a_helper_runs_once_for_all_of_its_roles(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """A credential_process with expiring keys: eight roles, one run."""
    runs = aws_home.path / "runs"
    answer = {
        "Version": 1,
        "AccessKeyId": sts.source.access_key_id,
        "SecretAccessKey": sts.source.secret_access_key,
    }
    works = f"open({str(runs)!r}, 'a').write('x')\nprint({json.dumps(answer)!r})\n"
    aws_home.aws_config.write_text(f"[profile works]\ncredential_process = {helper(aws_home, 'works', works)}\n")
    sts.rule("*", session_seconds=900)
    names = [f"role-{n}" for n in range(8)]
    aws_home.configure(*(role(name, arn(name), source_profile="works") for name in names))
    daemon.start().wait_until_fresh(*names)
    assert runs.read_text() == "x"


def test_an_sso_profile_without_a_token_needs_a_login(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """The status names the command; STS is not called; roles of other sources are renewed."""
    aws_home.aws_config.write_text(
        "[profile sso]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = dev\n"
        "[sso-session corp]\nsso_start_url = https://corp.example/start\nsso_region = us-west-2\n"
    )
    aws_home.configure(role("a", arn("a"), source_profile="sso"), role("healthy", arn("healthy")))
    daemon.start().wait_until(lambda status: status["roles"][0]["last_error"])
    assert daemon.role("a")["state"] == "needs_login"
    assert "aws sso login --profile sso" in in_words(daemon.role("a"))
    assert not sts.calls_for(arn("a"))
    daemon.wait_until_fresh("healthy")


def test_a_role_that_requires_mfa_is_not_requested_with_long_term_keys(
    sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """STS could only deny it. The role needs a login; its neighbour with the same source is renewed."""
    sts.rule(arn("strict"), mfa=True)
    aws_home.configure(
        role("strict", arn("strict"), mfa_serial="arn:aws:iam::123456789012:mfa/natan"),
        role("healthy", arn("healthy")),
    )
    daemon.start().wait_until(lambda status: status["roles"][0]["last_error"])
    assert daemon.role("strict")["state"] == "needs_login"
    assert "mfa/natan" in in_words(daemon.role("strict"))
    eventually(lambda: rounds(daemon, "healthy") >= 3, 10)
    assert not sts.calls_for(arn("strict"))


def test_a_role_that_requires_mfa_works_with_an_mfa_session_as_source(
    sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """The source is what `aws sts get-session-token --token-code` returned: no code is needed any more."""
    import boto3

    sts.mfa_codes.add("123456")
    mfa = "arn:aws:iam::123456789012:mfa/natan"
    client = boto3.client(
        "sts",
        region_name="us-west-2",
        endpoint_url=sts.url,
        aws_access_key_id=sts.source.access_key_id,
        aws_secret_access_key=sts.source.secret_access_key,
    )
    sts.rule("*", session_seconds=900)
    keys = client.get_session_token(SerialNumber=mfa, TokenCode="123456")["Credentials"]
    aws_home.add_source(keys["AccessKeyId"], keys["SecretAccessKey"], profile="logged-in")
    with aws_home.credentials.open("a") as file:
        file.write(f"aws_session_token = {keys['SessionToken']}\n")
    sts.rule(arn("strict"), mfa=True, session_seconds=900)
    aws_home.configure(role("strict", arn("strict"), source_profile="logged-in", mfa_serial=mfa))
    daemon.start().wait_until_fresh("strict")


@pytest.mark.slow
def test_a_helper_runs_again_when_sts_refuses_its_keys(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """It returns no Expiration, so nothing else shows that they have expired. A failing source is tried after 15 s."""
    keys = aws_home.path / "keys.json"
    new = sts.add_key("AKIAFAKESOURCE01", "fake-secret-number-two")
    for key in (new, sts.source):
        document = {"Version": 1, "AccessKeyId": key.access_key_id, "SecretAccessKey": key.secret_access_key}
        keys.with_name(key.access_key_id).write_text(json.dumps(document))
    keys.symlink_to(sts.source.access_key_id)
    process = helper(aws_home, "keys", f"print(open({str(keys)!r}).read())")
    aws_home.aws_config.write_text(f"[profile helped]\ncredential_process = {process}\n")
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("a", arn("a"), source_profile="helped"))
    daemon.start().wait_until_fresh("a")
    keys.unlink()
    keys.symlink_to(new.access_key_id)
    sts.revoke(sts.source.access_key_id)

    aws_home.configure(role("a", arn("a"), source_profile="helped", role_session_name="another"))
    refused, renewed = sts.wait_for_calls(3, within=20)[1:]

    assert (refused.access_key_id, refused.outcome) == (sts.source.access_key_id, "InvalidClientTokenId")
    assert (renewed.access_key_id, renewed.outcome) == (new.access_key_id, "ok")
    daemon.wait_until_fresh("a")
