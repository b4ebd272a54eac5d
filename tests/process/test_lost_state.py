"""The daemon's lock, socket and sessions are removed or used with another configuration."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from process.kit import arn, key_of
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually


def assumed(home: Home, sts: FakeSts, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command beside the daemon."""
    command = [sys.executable, "-m", "assumed", *arguments]
    env = home.environment(AWS_ENDPOINT_URL_STS=sts.url)
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_a_removed_state_directory_is_restored_completely(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """Within seconds, for readers, commands and a second daemon, without calling STS."""
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("kept", arn("kept")))
    daemon.start().wait_until_fresh("kept")
    shutil.rmtree(aws_home.state)
    eventually(lambda: (aws_home.state / "sessions" / "kept.json").exists(), 10)
    eventually(lambda: (aws_home.state / "control.sock").exists(), 10)
    assert assumed(aws_home, sts, "status").returncode == 0
    assert assumed(aws_home, sts, "run").returncode == 4
    assert (aws_home.state / "config.last-good.toml").exists()
    assert len(sts.calls) == 1


def test_a_command_with_another_configuration_does_not_use_this_daemon(
    sts: FakeSts, aws_home: Home, daemon: Daemon, tmp_path: Path
) -> None:
    """`once --config B` beside A's daemon would report success without renewing anything of B."""
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("kept", arn("kept")))
    other = tmp_path / "other.toml"
    other.write_text(aws_home.config.read_text().replace("kept", "others"))
    daemon.start().wait_until_fresh("kept")
    for command in ("once", "refresh", "status"):
        result = assumed(aws_home, sts, command, "--config", str(other))
        assert (command, result.returncode) == (command, 4)
        assert str(aws_home.config) in result.stderr
    link = tmp_path / "link.toml"
    link.symlink_to(aws_home.config)
    assert assumed(aws_home, sts, "status", "--config", str(link)).returncode == 0


def test_status_without_a_daemon_does_not_call_a_changed_roles_session_fresh(
    sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """The configuration was edited since: the stored session is not what the role says now (promise 5)."""
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("kept", arn("kept")))
    daemon.start().wait_until_fresh("kept")
    daemon.stop()
    aws_home.configure(role("kept", arn("another")))
    (shown,) = json.loads(assumed(aws_home, sts, "status", "--json").stdout)["roles"]
    assert (shown["state"], shown["delivered"]) == ("pending", False)
    assert key_of(aws_home, "kept")
