"""Sources that need a person: advice never destroys keys, and nothing is started again and again."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest

from world.daemon import DEFAULTS, Daemon, Home, role
from world.fake_sts import FakeSts
from world.helpers import (
    FAILS,
    LEAVES_A_CHILD,
    SLEEPS,
    WAITS_FOR_A_CHILD,
    WAITS_FOR_INPUT,
    HelperProgram,
    answers,
)
from world.waiting import eventually

ARN = "arn:aws:iam::123456789012:role/strict"
MFA = "arn:aws:iam::123456789012:mfa/natan"
U2F = "arn:aws:iam::123456789012:u2f/user/natan/key-ABC"


def findings(home: Home, severity: str = "error", **environment: str) -> list[dict[str, str]]:
    """The findings of `check`."""
    document = json.loads(home.assumed("check", "--json", **environment).stdout)
    assert document["problems"] == []
    return [finding for finding in document["findings"] if finding["severity"] == severity]


# -- 3.2: MFA -------------------------------------------------------------------------------------------------------

IN_SOURCE = f"[profile hub]\nrole_arn = {ARN}\nsource_profile = default\nmfa_serial = {{serial}}\n"
WAYS = {
    "at the role": (DEFAULTS, {"mfa_serial": MFA}, ""),
    "in [defaults]": (f'{DEFAULTS}mfa_serial = "{MFA}"\n', {}, ""),
    "in the source profile": (DEFAULTS, {"source_profile": "hub"}, IN_SOURCE.format(serial=MFA)),
    "a security key at the role": (DEFAULTS, {"mfa_serial": U2F}, ""),
    "a security key in the source": (DEFAULTS, {"source_profile": "hub"}, IN_SOURCE.format(serial=U2F)),
}


def written_into(advice: str) -> set[str]:
    """The profiles that an advice says to write a session to."""
    return set(re.findall(r"(?:as another profile,|--profile) (\S+?)[ ,;)]", advice)) - {"default"}


@pytest.mark.parametrize("way", WAYS)
def test_a_role_that_demands_mfa_of_long_term_keys_is_found_by_check(aws_home: Home, way: str) -> None:
    """It can never work unattended: exit status 1, and advice that keeps the keys."""
    defaults, keys, aws_config = WAYS[way]
    aws_home.aws_config.write_text(aws_config)
    aws_home.configure(role("strict", ARN, **keys), defaults=defaults)

    found = [finding for finding in findings(aws_home) if "mfa/" in str(finding) or "u2f/" in str(finding)]

    assert len(found) == 1
    if "security key" in way:
        assert "get-session-token" not in found[0]["advice"]
    else:
        assert "default-mfa" in found[0]["advice"]


@pytest.mark.parametrize("way", WAYS)
def test_no_advice_writes_a_session_over_the_long_term_keys(
    sts: FakeSts, aws_home: Home, daemon: Daemon, way: str
) -> None:
    """The keys exist nowhere else, so no new session could be made."""
    defaults, keys, aws_config = WAYS[way]
    sts.rule(ARN, mfa=True)
    aws_home.aws_config.write_text(aws_config)
    aws_home.configure(role("strict", ARN, **keys), defaults=defaults)
    daemon.start().wait_until(lambda status: status["roles"][0]["last_error"])

    error = daemon.role("strict")["last_error"]

    assert daemon.role("strict")["state"] == "needs_login"
    assert "let default hold" not in error["advice"]
    if "security key" in way:
        assert "get-session-token" not in error["advice"]
    else:
        assert "another profile, default-mfa" in error["advice"]
    assert not sts.calls_for(ARN)


@pytest.mark.slow
def test_an_mfa_session_in_its_own_profile_works_and_check_agrees(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """The solution that the advice names. Control."""
    import boto3

    sts.mfa_codes.add("123456")
    client = boto3.client(
        "sts",
        region_name="us-west-2",
        endpoint_url=sts.url,
        aws_access_key_id=sts.source.access_key_id,
        aws_secret_access_key=sts.source.secret_access_key,
    )
    keys = client.get_session_token(SerialNumber=MFA, TokenCode="123456")["Credentials"]
    aws_home.add_source(keys["AccessKeyId"], keys["SecretAccessKey"], profile="default-mfa")
    with aws_home.credentials.open("a") as file:
        file.write(f"aws_session_token = {keys['SessionToken']}\n")
    sts.rule(ARN, mfa=True)
    aws_home.configure(role("strict", ARN, mfa_serial=MFA, source_profile="default-mfa"))

    daemon.start().wait_until_fresh("strict")
    assert findings(aws_home) == []


# -- 3.3: helpers ---------------------------------------------------------------------------------------------------

WAITING = {
    "sleeps": SLEEPS,
    "waits for input": WAITS_FOR_INPUT,
    "waits for a child": WAITS_FOR_A_CHILD,
    "leaves a child behind": LEAVES_A_CHILD,
}
BACKOFF = 20.0
"""Seconds within which the previous version started it again: 15 s after its first failure, plus a tenth."""


def with_helper(home: Home, body: str, *names: str, **keys: object) -> HelperProgram:
    """A home whose roles use a `credential_process` that is stopped after a second."""
    program = HelperProgram(home.path, "helper", body).write()
    home.aws_config.write_text(f"[profile helped]\ncredential_process = {program.command}\n")
    keys = {"source_profile": "helped", "helper_timeout_seconds": 1, **keys}
    home.configure(*(role(name, ARN, **keys) for name in names or ("a",)))
    return program


def stopped(daemon: Daemon, profile: str = "a") -> None:
    daemon.wait_until(lambda status: any(r["profile"] == profile and r["last_error"] for r in status["roles"]), 60)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAITING)
def test_a_helper_that_waits_for_a_person_is_started_once_and_the_status_says_why(
    aws_home: Home, daemon: Daemon, way: str
) -> None:
    """With the default deadline; then for as long as the previous version waits at most."""
    program = with_helper(aws_home, WAITING[way], "a", "b", helper_timeout_seconds=30)
    aws_home.configure(*(role(name, ARN, source_profile="helped") for name in "ab"))
    daemon.start()
    stopped(daemon)
    until = time.monotonic() + BACKOFF
    eventually(lambda: program.starts > 1 or time.monotonic() > until, BACKOFF + 60, every=0.5)

    assert program.starts == 1
    assert daemon.role("a")["state"] == "needs_login"
    assert "assumed refresh" in daemon.role("a")["last_error"]["advice"]


@pytest.mark.slow
def test_a_helper_past_its_configured_deadline_is_held_until_a_person_acts(
    aws_home: Home, daemon: Daemon, sts: FakeSts
) -> None:
    """Only a refresh, an edit of its profile and a restart start it again, once each."""
    program = with_helper(aws_home, SLEEPS, "a", "b")
    assert json.loads(aws_home.assumed("check", "--json").stdout)["problems"] == []
    daemon.start()
    stopped(daemon)
    assert program.starts == 1
    aws_home.assumed("refresh", within=60)
    assert program.starts == 2
    daemon.stop()
    daemon.start()
    stopped(daemon)
    assert program.starts == 3
    # the program is fixed, but that is not visible until its profile changes
    program.write(answers(sts.source.access_key_id, sts.source.secret_access_key))
    aws_home.aws_config.write_text(aws_home.aws_config.read_text() + "region = us-west-2\n")
    daemon.wait_until_fresh("a", "b", within=60)
    assert program.starts == 4


@pytest.mark.slow
def test_a_helper_in_a_chain_backs_off_while_the_parent_session_is_valid(
    aws_home: Home, daemon: Daemon, sts: FakeSts
) -> None:
    """The child is due before the parent."""
    child = f"{ARN}-child"
    sts.rule(child, session_seconds=20)
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 12))
    answer = answers(sts.source.access_key_id, sts.source.secret_access_key, Expiration=soon)
    program = HelperProgram(aws_home.path, "helper", answer).write()
    aws_home.aws_config.write_text(f"[profile helped]\ncredential_process = {program.command}\n")
    aws_home.configure(role("a", ARN, source_profile="helped"), role("b", child, source_profile="a"))
    daemon.start().wait_until_fresh("a", "b")
    program.write(FAILS)
    answered = program.starts
    eventually(lambda: program.starts > answered, 60, saying="the helper's next start")
    until = time.monotonic() + 5
    eventually(lambda: program.starts > answered + 2 or time.monotonic() > until, 60, every=0.2)

    assert program.starts <= answered + 2


@pytest.mark.parametrize("names", [("a",), ("a", "b"), ("a", "b", "c")], ids=len)
def test_a_helper_that_answers_is_started_once_for_all_of_its_roles(
    aws_home: Home, daemon: Daemon, sts: FakeSts, names: tuple[str, ...]
) -> None:
    """Control: nothing is held, nothing runs twice."""
    body = answers(sts.source.access_key_id, sts.source.secret_access_key)
    program = HelperProgram(aws_home.path, "helper", body).write()
    aws_home.aws_config.write_text(f"[profile helped]\ncredential_process = {program.command}\n")
    aws_home.configure(*(role(name, ARN, source_profile="helped") for name in names))
    daemon.start().wait_until_fresh(*names)

    assert program.starts == 1


@pytest.mark.parametrize("body", [FAILS, "print('no json')\n", "os.kill(os.getpid(), 9)\n"])
def test_a_helper_that_fails_at_once_is_retried_automatically(aws_home: Home, daemon: Daemon, body: str) -> None:
    """Whether a person is needed is unknown, so it keeps its backoff. Control."""
    program = HelperProgram(aws_home.path, "helper", body).write()
    aws_home.aws_config.write_text(f"[profile helped]\ncredential_process = {program.command}\n")
    aws_home.configure(role("a", ARN, source_profile="helped"))
    daemon.start()
    stopped(daemon)

    assert program.starts == 1
    assert daemon.role("a")["state"] == "failing"
    assert daemon.role("a")["next_renewal"] is not None


# -- 3.4: refresh ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["no expiration", "no expiration, with a token", "an expiration long gone by then"])
def test_refresh_runs_a_helper_again(aws_home: Home, daemon: Daemon, sts: FakeSts, how: str) -> None:
    """Without an Expiration nothing shows that its keys have expired; the user who refreshes knows."""
    more = {"SessionToken": "old"} if "token" in how else {}
    program = HelperProgram(aws_home.path, "helper", answers("AKIAENDED0000000", "old-secret", **more)).write()
    sts.add_key("AKIAENDED0000000", "old-secret")
    if more:
        sts.revoke("AKIAENDED0000000")
    aws_home.aws_config.write_text(f"[profile helped]\ncredential_process = {program.command}\n")
    aws_home.configure(role("a", ARN, source_profile="helped"))
    daemon.start()
    if more:
        stopped(daemon)
    else:
        daemon.wait_until_fresh("a")
        sts.revoke("AKIAENDED0000000")
    program.write(answers(sts.source.access_key_id, sts.source.secret_access_key))

    refreshed = aws_home.assumed("refresh", "a", within=120)

    assert (refreshed.returncode, daemon.role("a")["state"]) == (0, "fresh"), refreshed.stderr


def rewrite(path: Path, *replacements: tuple[str, str], in_place: bool) -> None:
    text = path.read_text()
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    if in_place:
        path.write_text(text)
        return
    new_file = path.with_name("new")
    new_file.write_text(text)
    new_file.chmod(0o600)
    new_file.replace(path)


@pytest.mark.parametrize("in_place", [True, False], ids=["in place", "by rename"])
@pytest.mark.parametrize("name", ["default", "team"])
def test_refresh_sees_keys_that_were_pasted_a_moment_ago(
    aws_home: Home, daemon: Daemon, sts: FakeSts, name: str, in_place: bool
) -> None:
    """`aws configure; assumed refresh` on one line."""
    old = sts.add_key("AKIAOLDOLD000000", "old-secret-of-natan")
    if name != "default":
        aws_home.add_source(old.access_key_id, old.secret_access_key, profile=name)
    else:
        aws_home.credentials.write_text("")
        aws_home.add_source(old.access_key_id, old.secret_access_key)
    aws_home.configure(role("a", ARN, source_profile=name))
    daemon.start().wait_until_fresh("a")
    sts.revoke(old.access_key_id)
    new = sts.add_key("AKIANEWNEW000000", "new-secret-of-natan")

    rewrite(
        aws_home.credentials,
        (old.access_key_id, new.access_key_id),
        (old.secret_access_key, new.secret_access_key),
        in_place=in_place,
    )
    refreshed = aws_home.assumed("refresh", "a", within=120)

    assert refreshed.returncode == 0, refreshed.stderr
    assert sts.calls_for(ARN)[-1].access_key_id == new.access_key_id


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("written", ["before", "while it runs", "twice"])
def test_refresh_of_many_sources_ends_although_their_token_file_just_changed(
    aws_home: Home, daemon: Daemon, sts: FakeSts, written: str
) -> None:
    """Two hundred sources with one token: the change must not drop the request."""
    token = aws_home.path / "token"
    token.write_text("token-1")
    profiles = [f"p{n}" for n in range(200)]
    aws_home.aws_config.write_text(
        "".join(
            f"[profile {p}]\nrole_arn = {ARN}\nweb_identity_token_file = {token}\nrole_session_name = {p}\n"
            f"region = us-west-2\n"
            for p in profiles
        )
    )
    aws_home.configure(*(role(p.replace("p", "r"), ARN, source_profile=p) for p in profiles))
    daemon.start().wait_until_fresh(within=240)
    before = len(sts.calls_for(ARN))

    token.write_text("token-2")
    if written == "while it runs":
        time.sleep(0.9)
    if written == "twice":
        token.write_text("token-3")
    refreshed = aws_home.assumed("refresh", within=400)

    assert refreshed.returncode == 0, refreshed.stderr[-2000:]
    assert "no answer" not in refreshed.stderr
    assert len(sts.calls_for(ARN)) >= before + len(profiles)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["sleeps", "waits for a child", "waits for input"])
def test_without_a_daemon_repeated_requests_of_an_sdk_start_the_helper_once(
    aws_home: Home, sts: FakeSts, way: str
) -> None:
    """`credential-process` runs for every signed request: a long job is not a person at a terminal."""
    sts.rule("*", session_seconds=2)
    body = answers(sts.source.access_key_id, sts.source.secret_access_key)
    program = with_helper(aws_home, body, deliver="process")
    environment = {"AWS_ENDPOINT_URL_STS": sts.url}
    assert aws_home.assumed("once", within=60, **environment).returncode == 0
    program.write(WAITING[way])
    before = program.starts
    note = next((aws_home.state / "sessions").glob("*.json")).with_suffix(".failure")

    def ask(age: float) -> None:
        """An SDK asks, as long as this after the failure, whose backoff is over."""
        if note.exists():
            note.write_text(json.dumps({**json.loads(note.read_text()), "until": 0}))
            for file, seconds in ((note, age), (note.with_suffix(".json"), age + 60)):
                os.utime(file, (time.time() - seconds, time.time() - seconds))
        eventually(lambda: aws_home.assumed("credential-process", "a", within=60, **environment).returncode, 30)
        eventually(note.exists, 30, saying="the failure's note")

    for _ in range(3):
        ask(age=1)
    assert program.starts == before + 1
    for _ in range(3):
        ask(age=700)
    assert program.starts == before + 2, "what hung it may have passed: it is started once more, and no more"
