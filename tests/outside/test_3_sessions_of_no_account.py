"""Servers other than AWS issue sessions without an account: they work as well."""

from __future__ import annotations

import json
import shlex
import subprocess
from typing import Any

import pytest

from world.daemon import Home, role
from world.fake_sts import FakeSts

ROLE = "arn:aws:iam::123456789012:role/data"
NOBODYS = {
    "no account": "arn:aws:sts:::assumed-role/data/s",
    "MinIO": "arn:minio:sts:::assumed-role/data/s",
    "no ARN": "data",
    "nobody": "",
}


def printed(home: Home) -> dict[str, Any]:
    """What the command in the profile prints."""
    command = shlex.split((home.profile("data") or {})["credential_process"])
    done = subprocess.run(command, env=home.environment(), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("principal", NOBODYS.values(), ids=NOBODYS)
def test_a_session_without_an_account_works(aws_home: Home, sts: FakeSts, principal: str) -> None:
    sts.rule("*", principal=principal)
    aws_home.configure(role("data", ROLE, deliver="process"))
    aws_home.assumed("once", within=60, AWS_ENDPOINT_URL_STS=sts.url)
    document = printed(aws_home)
    assert document["AccessKeyId"] == sts.calls[-1].issued
    assert "AccountId" not in document


def test_a_session_with_an_account_names_it(aws_home: Home, sts: FakeSts) -> None:
    aws_home.configure(role("data", ROLE, deliver="process"))
    aws_home.assumed("once", within=60, AWS_ENDPOINT_URL_STS=sts.url)
    assert printed(aws_home)["AccountId"] == "123456789012"
