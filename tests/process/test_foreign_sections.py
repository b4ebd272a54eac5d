"""Sections that already exist under a configured name: someone else's stays byte for byte, and status says why."""

from __future__ import annotations

import pytest

from process.kit import arn, in_words
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts

NO_PROFILE = '[defaults]\ncredential_source = "Environment"\nregion = "us-west-2"\n'
"""The source is in no file, so that nothing in the file can spoil it."""
SESSION = "aws_access_key_id = ASIATHEIRS\naws_secret_access_key = theirs\naws_session_token = theirs\n"

REFUSED = {
    "a role": (f"role_arn = {arn('x')}\nsource_profile = default\n", "role_arn, source_profile"),
    "a source alone": ("source_profile = default\n", "source_profile"),
    "the machine": ("credential_source = Ec2InstanceMetadata\n", "credential_source"),
    "a token file": ("web_identity_token_file = /tmp/token\n", "web_identity_token_file"),
    "a login": ("login_session = arn:aws:iam::1:user/x\n", "login_session"),
    "a sign-in": ("sso_session = corp\n", "sso_session"),
    "an account": ("sso_account_id = 123456789012\n", "sso_account_id"),
    "a permission set": ("sso_role_name = Developer\n", "sso_role_name"),
    "a portal": ("sso_start_url = https://corp.example/start\n", "sso_start_url"),
    "a session beside a role": (f"{SESSION}role_arn = {arn('x')}\n", "role_arn"),
    "another process": ("credential_process = /usr/bin/vault x\n", "credential_process"),
    "long-term keys": ("aws_access_key_id = AKIATHEIRS\naws_secret_access_key = theirs\n", "long-term keys"),
    "long-term keys of no AWS": ("aws_access_key_id = minio\naws_secret_access_key = theirs\n", "long-term keys"),
    "half of long-term keys": ("aws_secret_access_key = theirs\n", "long-term keys"),
    "long-term keys beside an old token": (SESSION.replace("ASIA", "AKIA"), "long-term keys"),
    "a token that goes on": (SESSION.replace("theirs\n", "theirs\n  more\n"), "indented"),
}
"""The content of the section, and what the message names."""
TAKEN = {
    "a session": f"{SESSION}expiration = 2020-01-01T00:00:00\naws_account_id = 999999999999\n",
    "a session with an old token's name": SESSION.replace("session", "security"),
    "settings": "region = eu-west-1\ns3 =\n  max_queue_size = 1\n",
    "nothing": "",
    "a comment": "# mine\n",
    "an indented session before another key": "".join(
        f"  {line}\n" for line in [*SESSION.splitlines(), "output = json"]
    ),
}


def test_a_foreign_section_stays_and_others_in_the_same_file_are_managed(
    sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """Each profile is judged separately."""
    sts.rule("*", session_seconds=900)
    refused = {f"refused-{n}": how for n, how in enumerate(REFUSED)}
    taken = {f"taken-{n}": how for n, how in enumerate(TAKEN)}
    theirs = {name: f"[{name}]  # {how}\n{REFUSED[how][0]}# end\n" for name, how in refused.items()}
    with aws_home.credentials.open("a") as file:
        file.write("".join(theirs.values()))
        file.write("".join(f"[{name}]\n{TAKEN[how]}# end\n" for name, how in taken.items()))
    aws_home.configure(*(role(name, arn(name)) for name in [*refused, *taken, "new"]))

    daemon.start().wait_until_fresh(*taken, "new", within=30)
    status = daemon.wait_until(
        lambda status: sum(entry["state"] == "failing" for entry in status["roles"]) >= len(refused), 30
    )

    text = aws_home.credentials.read_text()
    assert [how for name, how in refused.items() if theirs[name] not in text] == []
    said = {entry["profile"]: entry for entry in status["roles"]}
    for name, how in refused.items():
        assert (how, said[name]["last_error"]["code"], said[name]["delivered"]) == (how, "ProfileRefused", False)
        assert f"[{name}]" in said[name]["last_error"]["message"]
        assert REFUSED[how][1] in said[name]["last_error"]["message"]
        assert said[name]["last_error"]["advice"]
    for name in taken:
        kept = aws_home.profile(name) or {}
        assert kept["aws_session_token"] == sts.key(kept["aws_access_key_id"]).session_token
        assert not {"aws_security_token", "expiration", "aws_account_id"} & kept.keys()
    assert (aws_home.profile("taken-2") or {})["region"] == "eu-west-1"
    assert (aws_home.profile("taken-5") or {})["output"] == "json"
    assert text.count("# end\n") == len(refused) + len(taken)


LEAKING = {
    "a role": (f"role_arn = {arn('x')}\n", "keys", "role_arn"),
    "a source": ("source_profile = default\n", "process", "source_profile"),
    "a token that botocore reads first": ("aws_security_token = old\n", "keys", "aws_security_token"),
    "keys, which botocore reads before a process": (SESSION, "process", "aws_access_key_id"),
}


@pytest.mark.parametrize("how", LEAKING)
def test_nothing_is_written_if_defaults_would_take_precedence(how: str, sts: FakeSts, aws_home: Home) -> None:
    """botocore reads the keys of [DEFAULT] in every profile: the file stays, and status says what to do."""
    sts.rule("*", session_seconds=900)
    leaking, deliver, key = LEAKING[how]
    before = f"[DEFAULT]\n{leaking}\n[mine]\nregion = us-west-2\n"
    aws_home.credentials.write_text(before)
    aws_home.configure(role("kept", arn("kept"), deliver=deliver), defaults=NO_PROFILE)
    source = {"AWS_ACCESS_KEY_ID": sts.source.access_key_id, "AWS_SECRET_ACCESS_KEY": sts.source.secret_access_key}
    with Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url, **source) as daemon:
        daemon.wait_until(lambda status: status["roles"][0]["state"] == "failing")
        entry = daemon.role("kept")
    assert entry["last_error"]["code"] == "ProfileRefused"
    assert f"[DEFAULT] has {key}" in in_words(entry)
    assert "[default]" in entry["last_error"]["advice"]
    assert aws_home.credentials.read_text() == before


NESTED = "[DEFAULT]\n]:\n :\n"
"""botocore parses a nested setting of [DEFAULT] only in sections that do not set that key."""
DEFAULTS_THAT_STAY = {
    "settings": ("[DEFAULT]\nregion = eu-west-1\noutput = json\n", True),
    "keys, which ours go before": (f"[DEFAULT]\n{SESSION}", True),
    "a nested line that no section reads": (f"{NESTED}[kept]\n] = x\n", True),
    "a nested line that a new section would read": (NESTED, False),
    "the same, and another section that sets the key": (f"{NESTED}[mine]\n] = x\n", False),
}


@pytest.mark.parametrize("how", DEFAULTS_THAT_STAY)
def test_harmless_defaults_stay_beside_a_managed_profile(how: str, sts: FakeSts, aws_home: Home) -> None:
    """A file that botocore could not read with our section in it is left alone, and its line is reported."""
    before, is_written = DEFAULTS_THAT_STAY[how]
    aws_home.credentials.write_text(before)
    aws_home.configure(role("kept", arn("kept")), defaults=NO_PROFILE)
    source = {"AWS_ACCESS_KEY_ID": sts.source.access_key_id, "AWS_SECRET_ACCESS_KEY": sts.source.secret_access_key}
    once = aws_home.assumed("once", AWS_ENDPOINT_URL_STS=sts.url, **source)
    assert (once.returncode == 0) is is_written, once.stderr
    if is_written:
        kept = aws_home.profile("kept") or {}
        assert sts.key(kept["aws_access_key_id"]).session_token == kept["aws_session_token"]
        assert aws_home.credentials.read_text().startswith(before)
    else:
        assert "line 3 " in once.stderr
        assert aws_home.credentials.read_text() == before
