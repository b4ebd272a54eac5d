"""STS's answer is compared with the request: whose session it is, until when, and whether it is one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.inputs import params

ROLE = "arn:aws:iam::123456789012:role/team/MyRole"
STS = "arn:aws:sts::123456789012:assumed-role"

OTHERS = {
    "another account and role": "arn:aws:sts::999999999999:assumed-role/OTHER/s",
    "another account": "arn:aws:sts::999999999999:assumed-role/MyRole/assumed",
    "another role": f"{STS}/Admin/assumed",
    "a role whose name begins alike": f"{STS}/MyRole2/assumed",
    "a role called like its path": f"{STS}/team/assumed",
    "another partition": "arn:aws-cn:sts::123456789012:assumed-role/MyRole/assumed",
    "another role's own arn": "arn:aws:iam::123456789012:role/Admin",
    "another account's root": "arn:aws:sts::999999999999:root",
    "another account's user": "arn:aws:iam::999999999999:user/eve",
    "a user called like the role": "arn:aws:iam::123456789012:user/MyRole",
    "a federated user": "arn:aws:sts::123456789012:federated-user/MyRole",
}
SAME = {
    "as STS writes it": f"{STS}/MyRole/assumed",
    "in other letters": f"{STS}/MYROLE/assumed",
    "with its path": f"{STS}/team/MyRole/assumed",
    "nobody": "",
    "nobody's partition (MinIO)": "arn:minio:sts:::assumed-role/MyRole/assumed",
    "no account (Ceph)": "arn:aws:sts:::assumed-role/MyRole/assumed",
    "the role's own arn": ROLE,
    "not an arn": "MyRole",
}


def kept(home: Home) -> dict[str, str]:
    """What readers of the profile get."""
    return home.profile("mine") or {}


@pytest.mark.parametrize("principal", params(OTHERS, list(OTHERS)[:4]))
def test_a_session_of_another_principal_is_discarded(aws_home: Home, sts: FakeSts, principal: str) -> None:
    """Nothing is written or stored."""
    aws_home.configure(role("mine", ROLE))
    sts.rule(ROLE, principal=principal)

    done = aws_home.assumed("once", AWS_ENDPOINT_URL_STS=sts.url)

    assert done.returncode == 1
    assert kept(aws_home) == {}
    assert [path.name for path in (aws_home.state / "sessions").glob("*.json")] == []


@pytest.mark.slow
@pytest.mark.parametrize("command", [["env", "mine"], ["exec", "mine", "--", "env"], ["credential-process", "mine"]])
def test_a_session_of_another_principal_is_not_returned(aws_home: Home, sts: FakeSts, command: list[str]) -> None:
    """Without a daemon, too."""
    aws_home.configure(role("mine", ROLE))
    sts.rule(ROLE, principal=OTHERS["another role"])

    done = aws_home.assumed(*command, within=50, AWS_ENDPOINT_URL_STS=sts.url)

    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize("principal", params(SAME, list(SAME)[:4]))
def test_a_session_that_does_not_contradict_the_request_is_used(aws_home: Home, sts: FakeSts, principal: str) -> None:
    """Only partition, account and role name count, if present; path and letter case do not."""
    aws_home.configure(role("mine", ROLE))
    sts.rule(ROLE, principal=principal)

    assert aws_home.assumed("once", AWS_ENDPOINT_URL_STS=sts.url).returncode == 0

    assert kept(aws_home)["aws_access_key_id"] == sts.calls[-1].issued


def test_a_contradiction_keeps_the_old_session_and_is_reported_as_such(
    aws_home: Home, sts: FakeSts, daemon: Daemon
) -> None:
    """A failure kind of its own, in status and in the metrics."""
    aws_home.configure(role("mine", ROLE))
    daemon.start()
    daemon.wait_until_fresh("mine", within=60)
    before = kept(aws_home)
    sts.rule(ROLE, principal=OTHERS["another account"])

    daemon.ask("refresh", profiles=["mine"])
    daemon.wait_until(lambda status: status["roles"][0]["failures"], within=60)

    assert kept(aws_home) == before
    error = daemon.role("mine")["last_error"]
    assert error["code"] == "WrongPrincipal"
    assert "999999999999" in error["message"]
    metrics = aws_home.assumed("metrics").stdout
    assert 'kind="wrong_principal"' in metrics


@pytest.mark.slow
def test_a_stored_session_of_another_principal_is_dropped(aws_home: Home, sts: FakeSts, daemon: Daemon) -> None:
    """An earlier version stored whatever it received."""
    aws_home.configure(role("mine", ROLE))
    assert aws_home.assumed("once", AWS_ENDPOINT_URL_STS=sts.url).returncode == 0
    (file,) = (aws_home.state / "sessions").glob("*.json")
    stored = json.loads(file.read_text())
    stored["Assumed"]["principal_arn"] = OTHERS["another account and role"]
    file.write_text(json.dumps(stored))

    daemon.start()
    daemon.wait_until_fresh("mine", within=60)

    assert kept(aws_home)["aws_access_key_id"] not in ("", stored["AccessKeyId"])


def told(home: Home, sts: FakeSts) -> dict[str, float]:
    """The expiry that each kind of reader sees, in POSIX seconds."""
    endpoint = {"AWS_ENDPOINT_URL_STS": sts.url}
    variables = json.loads(home.assumed("env", "--shell", "json", "mine", **endpoint).stdout)
    process = json.loads(home.assumed("credential-process", "mine", **endpoint).stdout)
    status = json.loads(home.assumed("status", "--json").stdout)
    ends = {
        "file": kept(home)["x_security_token_expires"],
        "env": variables["AWS_CREDENTIAL_EXPIRATION"],
        "process": process["Expiration"],
        "status": status["roles"][0]["expiration"],
    }
    return {name: datetime.fromisoformat(end).timestamp() for name, end in ends.items()}


@pytest.mark.parametrize("expiration", ["2526-11-28T00:00:00Z", "9999-12-31T23:59:59Z", "2099-01-01T00:00:00+02:00"])
def test_an_expiry_beyond_the_requested_duration_is_not_passed_on(
    aws_home: Home, sts: FakeSts, expiration: str
) -> None:
    """SDKs that believed it would never renew."""
    aws_home.configure(role("mine", ROLE, duration_seconds=1800))
    sts.rule(ROLE, expiration=expiration)

    assert aws_home.assumed("once", AWS_ENDPOINT_URL_STS=sts.url).returncode == 0

    asked = sts.calls[0].time
    assert {name: end for name, end in told(aws_home, sts).items() if not asked < end <= asked + 1800 + 120} == {}


@pytest.mark.slow
def test_an_expiry_before_the_requested_duration_is_passed_on(aws_home: Home, sts: FakeSts) -> None:
    """A server may grant less than requested."""
    aws_home.configure(role("mine", ROLE))
    sts.rule(ROLE, session_seconds=1200)

    assert aws_home.assumed("once", AWS_ENDPOINT_URL_STS=sts.url).returncode == 0

    asked = sts.calls[0].time
    assert {name: end for name, end in told(aws_home, sts).items() if not asked < end <= asked + 1200 + 120} == {}


UNSOUND: dict[str, Mapping[str, str]] = {
    "a space in the id": {"AccessKeyId": "ASIA 0123456789ABCDEF"},
    "a line feed in the id": {"AccessKeyId": "ASIA0123456789AB\nregion = x"},
    "an id that is too short": {"AccessKeyId": "ASIA"},
    "an id that is too long": {"AccessKeyId": "A" * 129},
    "letters of another alphabet in the id": {"AccessKeyId": "ASIA0123456789ÄBC"},
    "a space in the secret": {"SecretAccessKey": "secret of a role"},
    "a control character in the secret": {"SecretAccessKey": "secret\tof\ta\trole"},
    "a quote in the secret": {"SecretAccessKey": 'secret"of"a"role'},
    "a line feed in the token": {"SessionToken": "token\n[default]\naws_access_key_id = AKIAEVIL"},
    "a character that is not ASCII in the token": {"SessionToken": "tokén-of-a-role"},
    "a token that is too long": {"SessionToken": "t" * 30000},
    "an empty token": {"SessionToken": ""},
    "an end that is no time": {"Expiration": "tomorrow at noon"},
    "an end before 1970": {"Expiration": "1969-07-20T20:17:40Z"},
    "an end in the past": {"Expiration": "2020-01-01T00:00:00Z"},
}


@pytest.mark.parametrize("credentials", params(UNSOUND, list(UNSOUND)[::3]))
def test_an_answer_without_a_valid_session_is_refused(
    aws_home: Home, sts: FakeSts, credentials: dict[str, Any]
) -> None:
    """Such keys cannot be AWS's, and would break a line-based file."""
    aws_home.configure(role("mine", ROLE))
    sts.rule(ROLE, credentials=credentials)

    done = aws_home.assumed("once", AWS_ENDPOINT_URL_STS=sts.url)

    assert done.returncode == 1
    assert kept(aws_home) == {}
    assert not any(value.strip() and value in done.stdout + done.stderr for value in credentials.values())
