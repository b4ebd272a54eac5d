"""`assumed once` from cron: a role that leaves, a second configuration, closed streams."""

from __future__ import annotations

import subprocess
import sys

import pytest

from process.kit import arn
from world.daemon import Home, role
from world.fake_sts import FakeSts


def once(home: Home, sts: FakeSts, shell: str = "") -> subprocess.CompletedProcess[str]:
    """Run it as cron does, by a shell where streams are to be closed."""
    command = f"exec {sys.executable} -m assumed once {shell}"
    env = home.environment(AWS_ENDPOINT_URL_STS=sts.url)
    return subprocess.run(["/bin/sh", "-c", command], env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_role_that_leaves_loses_its_keys_when_two_rounds_have_read_the_same(sts: FakeSts, aws_home: Home) -> None:
    """Half-written TOML is often valid TOML, and cron has no five seconds to wait."""
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
    """Some service managers and cron jobs start their children so."""
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("mine", arn("mine")))
    assert once(aws_home, sts, ">&- 2>&-").returncode == 0
    assert aws_home.profile("mine") is not None
