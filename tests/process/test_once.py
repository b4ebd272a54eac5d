"""`assumed once` from cron: a removed role, a second configuration, closed streams."""

from __future__ import annotations

import subprocess
import sys

import pytest

from process.kit import arn
from world.daemon import Home, role
from world.fake_sts import FakeSts


def once(home: Home, sts: FakeSts, shell: str = "") -> subprocess.CompletedProcess[str]:
    """Run it as cron does, with a shell that can close streams."""
    command = f"exec {sys.executable} -m assumed once {shell}"
    env = home.environment(AWS_ENDPOINT_URL_STS=sts.url)
    return subprocess.run(["/bin/sh", "-c", command], env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_removed_role_loses_its_keys_after_two_runs_that_read_the_same(sts: FakeSts, aws_home: Home) -> None:
    """Half-written TOML is often valid, and a run of cron cannot wait five seconds."""
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("stays", arn("stays")), role("leaves", arn("leaves")))
    assert once(aws_home, sts).returncode == 0
    aws_home.configure(role("stays", arn("stays")))
    assert once(aws_home, sts).returncode == 0
    assert aws_home.profile("leaves") is not None
    assert once(aws_home, sts).returncode == 0
    assert aws_home.profile("leaves") is None
    assert aws_home.profile("stays") is not None
    assert [path.name for path in (aws_home.state / "sessions").glob("*.json")] == ["stays.json"]


def test_it_works_with_stdout_and_stderr_closed(sts: FakeSts, aws_home: Home) -> None:
    """Some service managers and cron jobs start programs that way."""
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("mine", arn("mine")))
    assert once(aws_home, sts, ">&- 2>&-").returncode == 0
    assert aws_home.profile("mine") is not None


def test_an_empty_credentials_file_is_filled(sts: FakeSts, aws_home: Home) -> None:
    """Another program may have just truncated it, so `once` waits; cron does not retry."""
    sts.rule("*", session_seconds=900)
    aws_home.credentials.write_text("")
    aws_home.configure(
        role("mine", arn("mine")), defaults='[defaults]\ncredential_source = "Environment"\nregion = "us-west-2"\n'
    )
    source = {"AWS_ACCESS_KEY_ID": sts.source.access_key_id, "AWS_SECRET_ACCESS_KEY": sts.source.secret_access_key}
    once = aws_home.assumed("once", AWS_ENDPOINT_URL_STS=sts.url, **source)
    assert once.returncode == 0, once.stderr
    assert (aws_home.profile("mine") or {})["aws_access_key_id"]
