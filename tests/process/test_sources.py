"""What signs: keys that are rotated, chains, helper programs that hang, logins that only a person can do."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from process.kit import arn, in_words, key_of, rounds
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually


def rotate(home: Home, old: str, new: str) -> None:
    """The user's own keys are replaced in the credentials file, and nothing else in it."""
    home.credentials.write_text(home.credentials.read_text().replace(old, new))


def test_rotated_source_keys_are_picked_up_by_themselves(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """The old key is dead: the roles fail until the new one is in the file, and then renew at once."""
    aws_home.configure(role("a", arn("a")), role("b", arn("b")))
    daemon.start().wait_until_fresh("a", "b")
    sts.revoke(sts.source.access_key_id)
    daemon.wait_until(lambda status: any(entry["last_error"] for entry in status["roles"]), within=6)
    said = next(entry for entry in daemon.status()["roles"] if entry["last_error"])
    assert said["last_error"]["code"] == "InvalidClientTokenId"
    assert "aws configure" in said["last_error"]["advice"]
    new = sts.add_key("AKIAFAKESOURCE01", "fake-secret-number-two")
    rotate(aws_home, sts.source.access_key_id, new.access_key_id)
    rotate(aws_home, sts.source.secret_access_key, new.secret_access_key)
    eventually(lambda: sts.calls[-1].access_key_id == new.access_key_id, 6)
    daemon.wait_until_fresh("a", "b", within=6)


def test_rotated_source_keys_are_used_from_then_on_also_while_the_old_ones_work(
    sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """Rotation in the right order: new key into the file, old key deleted later. Nothing fails."""
    aws_home.configure(role("a", arn("a")))
    daemon.start().wait_until_fresh("a")
    new = sts.add_key("AKIAFAKESOURCE01", "fake-secret-number-two")
    rotate(aws_home, sts.source.access_key_id, new.access_key_id)
    rotate(aws_home, sts.source.secret_access_key, new.secret_access_key)
    eventually(lambda: sts.calls[-1].access_key_id == new.access_key_id, 6)
    sts.revoke(sts.source.access_key_id)
    done = rounds(daemon, "a")
    eventually(lambda: rounds(daemon, "a") >= done + 2, 8)
    assert not daemon.events("role.renewal_failed")


def test_a_source_without_a_region_is_told_what_to_write(sts: FakeSts, aws_home: Home) -> None:
    """No region anywhere: the sentence names the key; a region in ~/.aws/config is enough to mend it."""
    aws_home.configure(role("a", arn("a")), defaults='[defaults]\nsource_profile = "default"\n')
    with Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url, AWS_STS_REGIONAL_ENDPOINTS="regional") as daemon:
        daemon.wait_until(lambda status: status["roles"][0]["last_error"])
        assert 'region = "us-east-1"' in in_words(daemon.role("a"))
        aws_home.aws_config.write_text("[default]\nregion = eu-west-1\n")
        daemon.wait_until_fresh("a", within=6)


def test_a_chain_is_renewed_from_the_top(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """grandparent → parent → child: each signs with the session above it, from the first moment on."""
    aws_home.configure(
        role("child", arn("child"), source_profile="parent"),
        role("parent", arn("parent"), source_profile="grandparent"),
        role("grandparent", arn("grandparent")),
    )
    daemon.start().wait_until_fresh("child", "parent", "grandparent", within=8)
    order = [(call.role_arn, call.outcome) for call in sts.calls[:3]]
    assert order == [(arn(name), "ok") for name in ("grandparent", "parent", "child")]
    for call in sts.calls[1:3]:
        assert ":assumed-role/" in sts.key(call.access_key_id or "").arn
    done = rounds(daemon, "child")
    eventually(lambda: rounds(daemon, "child") >= done + 2, 10)
    assert not daemon.events("role.renewal_failed")


def test_a_child_of_a_denied_parent_says_what_it_waits_for(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """The child is not asked for: it could only fail. When the parent comes, so does the child, at once."""
    sts.rule("*", session_seconds=900)
    sts.rule(arn("parent"), error="AccessDenied")
    aws_home.configure(role("parent", arn("parent")), role("child", arn("child"), source_profile="parent"))
    daemon.start().wait_until(lambda status: status["roles"][0]["last_error"])
    child = daemon.role("child")
    assert "parent" in child["waits"]
    assert "AccessDenied" in child["waits"]
    assert child["state"] == "pending"
    assert not sts.calls_for(arn("child"))
    sts.rule(arn("parent"), session_seconds=900)
    daemon.ask("refresh", profiles=["parent"])
    daemon.wait_until_fresh("parent", "child", within=5)


def test_a_revoked_parent_session_is_renewed_for_its_child(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """ "Revoke active sessions" in the console: the child's refusal renews the parent, and then the child."""
    sts.rule(arn("parent"), session_seconds=20)
    aws_home.configure(role("parent", arn("parent")), role("child", arn("child"), source_profile="parent"))
    daemon.start().wait_until_fresh("parent", "child")
    eventually(lambda: rounds(daemon, "child") >= 2, 5)  # a session that STS has just given is not given up so soon
    revoked = key_of(aws_home, "parent")
    sts.revoke(revoked)
    eventually(lambda: key_of(aws_home, "parent") not in ("", revoked), 8)
    parent = key_of(aws_home, "parent")
    eventually(lambda: [c for c in sts.calls_for(arn("child")) if c.access_key_id == parent and c.outcome == "ok"], 4)
    daemon.wait_until_fresh("parent", "child")
    assert len(sts.calls_for(arn("parent"))) == 2


def test_a_child_that_is_refused_whatever_its_parent_does_is_no_hot_loop(
    sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """A region that is not enabled answers InvalidClientTokenId for ever: a renewed parent does not help."""
    sts.rule("*", session_seconds=900)
    sts.rule(arn("child"), error="InvalidClientTokenId")
    aws_home.configure(role("parent", arn("parent")), role("child", arn("child"), source_profile="parent"))
    daemon.start().wait_until_fresh("parent")
    eventually(lambda: sts.calls_for(arn("child")), 5)
    time.sleep(3)  # time for a loop, if there is one
    assert len(sts.calls) <= 4, [(call.role_arn, call.outcome) for call in sts.calls]
    assert daemon.role("parent")["state"] == "fresh"
    assert daemon.role("child")["state"] == "failing"


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


def test_a_source_that_hangs_leaves_the_others_alone_and_ends_with_the_daemon(
    sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """A password manager that waits for its person: its roles wait, the others are renewed; SIGTERM takes it along."""
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
    assert time.monotonic() - began < 2
    eventually(lambda: not any(alive(pid) for pid in started), 3, saying="the helper and its child are gone")


def test_a_source_that_asks_for_input_gets_none(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """Nobody sees the prompt: it reads the end of the file instead of waiting, and its words reach the status."""
    asks = "code = input('MFA code: ')\nprint(code)\n"
    aws_home.aws_config.write_text(f"[profile asks]\ncredential_process = {helper(aws_home, 'asks', asks)}\n")
    aws_home.configure(role("a", arn("a"), source_profile="asks"), role("healthy", arn("healthy")))
    daemon.start().wait_until(lambda status: status["roles"][0]["last_error"])
    said = in_words(daemon.role("a"))
    assert "EOFError" in said or "credential" in said.lower()
    assert "asks" in said
    daemon.wait_until_fresh("healthy")


def test_a_source_that_works_is_asked_once_for_all_of_its_roles(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """A credential_process with keys that end: eight roles, one run of the helper."""
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
    """Said in words, with the command; not asked of STS; the other source's roles go on."""
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


def test_a_role_that_demands_an_mfa_code_is_not_asked_for_with_keys_that_have_none(
    sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """STS could only deny it. The role needs a login; its neighbour with the same source is renewed all the same."""
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


def test_a_role_that_demands_an_mfa_code_is_kept_with_a_session_that_was_made_with_one(
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


def test_inherited_keys_and_profile_are_nobodys(sts: FakeSts, aws_home: Home) -> None:
    """A shell that happens to have them exported starts the daemon: the configured source signs."""
    sts.add_key("AKIAINHERITED000", "fake-inherited-secret")
    aws_home.configure(role("a", arn("a")))
    inherited = {
        "AWS_ACCESS_KEY_ID": "AKIAINHERITED000",
        "AWS_SECRET_ACCESS_KEY": "fake-inherited-secret",
        "AWS_PROFILE": "does-not-exist",
    }
    with Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url, **inherited) as daemon:
        daemon.wait_until_fresh("a")
    assert {call.access_key_id for call in sts.calls} == {sts.source.access_key_id}


def test_inherited_keys_sign_where_the_configuration_says_so(sts: FakeSts, aws_home: Home) -> None:
    """`credential_source = "Environment"`."""
    sts.add_key("AKIAINHERITED000", "fake-inherited-secret")
    defaults = '[defaults]\nregion = "us-west-2"\ncredential_source = "Environment"\n'
    aws_home.configure(role("a", arn("a")), defaults=defaults)
    inherited = {"AWS_ACCESS_KEY_ID": "AKIAINHERITED000", "AWS_SECRET_ACCESS_KEY": "fake-inherited-secret"}
    with Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url, **inherited) as daemon:
        daemon.wait_until_fresh("a")
    assert {call.access_key_id for call in sts.calls} == {"AKIAINHERITED000"}


@pytest.mark.parametrize("rotation", ["in place", "by link"])
def test_a_rotated_web_token_is_read_anew(rotation: str, sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """Kubernetes rotates it under the same name; the old one is refused. Nothing needs to be told."""
    token = aws_home.path / "token"
    sts.web_tokens.add("first")
    if rotation == "by link":
        (aws_home.path / "token-1").write_text("first")
        token.symlink_to("token-1")
    else:
        token.write_text("first")
    defaults = f'[defaults]\nregion = "us-west-2"\nweb_identity_token_file = "{token}"\n'
    aws_home.configure(role("a", arn("a")), defaults=defaults)
    daemon.start().wait_until_fresh("a")
    if rotation == "by link":
        (aws_home.path / "token-2").write_text("second")
        link = aws_home.path / "token-new"
        link.symlink_to("token-2")
        link.replace(token)
    else:
        token.write_text("second")
    sts.web_tokens.clear()
    sts.web_tokens.add("second")
    done = rounds(daemon, "a")
    eventually(lambda: rounds(daemon, "a") >= done + 2, 8)
    assert not daemon.events("role.renewal_failed")


def test_a_web_token_that_is_refused_until_it_is_rotated_is_noticed(
    sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """The token has expired before its issuer wrote the next one: the roles recover soon after it is there."""
    token = aws_home.path / "token"
    token.write_text("stale")
    sts.web_tokens.add("second")
    defaults = f'[defaults]\nregion = "us-west-2"\nweb_identity_token_file = "{token}"\n'
    aws_home.configure(role("a", arn("a")), defaults=defaults)
    daemon.start().wait_until(lambda status: status["roles"][0]["last_error"])
    assert str(token) in in_words(daemon.role("a"))
    token.write_text("second")
    daemon.wait_until_fresh("a", within=5)
