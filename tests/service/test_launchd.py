"""`service install` as on macOS, against a launchctl that starts the real daemon."""

from __future__ import annotations

import json
import os
import plistlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.kit import PROXY
from world.daemon import Home, role
from world.fake_sts import FakeSts

HERE = Path(__file__).parent
ARN = "arn:aws:iam::123456789012:role/MyApp"
UID = os.getuid()


class Mac:
    """A home directory with a launchd."""

    def __init__(self, home: Home, sts: FakeSts) -> None:
        self.home = home
        self.state = home.path / "launchd"
        (home.path / "bin").mkdir()
        self.state.mkdir()
        (home.path / "bin" / "launchctl").symlink_to(HERE / "launchctl.py")
        home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
        home.configure(role("my-role", ARN))
        self.environ = home.environment(
            AWS_ENDPOINT_URL_STS=sts.url,
            LAUNCHD=str(self.state),
            PATH=f"{home.path / 'bin'}:{os.environ['PATH']}",
            NO_PROXY="*",
            https_proxy=PROXY,
        )

    def service(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(HERE / "darwin.py"), *arguments],
            env=self.environ,
            cwd=self.home.path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def calls(self) -> list[str]:
        """What launchctl has been asked to do since the last time, without mere questions."""
        calls = self.state / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        calls.unlink(missing_ok=True)
        return [line for line in lines if not line.startswith("print ")]

    @property
    def plist(self) -> Path:
        return self.home.path / "Library" / "LaunchAgents" / "assumed.plist"

    def agent(self) -> dict[str, Any]:
        return dict(plistlib.loads(self.plist.read_bytes()))

    def files(self) -> dict[str, bytes | None]:
        """All that is in the home directory, but for launchd's own."""
        return {
            str(path.relative_to(self.home.path)): path.read_bytes() if path.is_file() else None
            for path in sorted(self.home.path.rglob("*"))
            if self.state not in (path, *path.parents)
        }


@pytest.fixture
def mac(home: Path) -> Iterator[Mac]:
    with FakeSts() as sts:
        mac = Mac(Home(home), sts)
        yield mac
        pid = mac.state / "pid"
        if pid.exists():
            os.kill(int(pid.read_text()), signal.SIGKILL)


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this launchctl looks into /proc")

KEYS: dict[str, Any] = {
    "Label": "assumed",
    "RunAtLoad": True,
    "KeepAlive": {"SuccessfulExit": False},
    "ThrottleInterval": 30,
    "ExitTimeOut": 30,
    "ProcessType": "Standard",
    "Umask": 0o077,
    "SoftResourceLimits": {"Core": 0},
    "HardResourceLimits": {"Core": 0},
}


@pytest.mark.slow
@needs_proc
def test_an_agent_is_installed_and_removed_without_a_trace(mac: Mac) -> None:
    before = mac.files()
    bootstrap = f"bootstrap gui/{UID} {mac.plist}"

    result = mac.service("install", "--dry-run")
    assert result.returncode == 0, result.stderr
    assert f"$ launchctl {bootstrap}" in result.stdout
    assert "hunter2" not in result.stdout + result.stderr
    assert (mac.files(), mac.calls()) == (before, [])

    result = mac.service("install")
    assert result.returncode == 0, result.stderr + result.stdout
    assert "hunter2" not in result.stdout + result.stderr
    assert mac.calls() == [f"enable gui/{UID}/assumed", bootstrap]
    assert mac.home.profile("my-role") is not None
    agent = mac.agent()
    assert {key: agent.get(key) for key in KEYS} == KEYS
    assert all(type(agent[key]) is type(KEYS[key]) for key in KEYS)
    assert set(agent) == {*KEYS, "ProgramArguments", "EnvironmentVariables"}
    assert agent["EnvironmentVariables"]["https_proxy"] == PROXY
    assert agent["EnvironmentVariables"]["PATH"].startswith("/opt/homebrew/bin:")
    assert mac.plist.stat().st_mode & 0o777 == 0o600
    log = mac.home.path / "Library" / "Logs" / "assumed.log"
    assert log.stat().st_mode & 0o777 == 0o600
    assert '"event": "daemon.started"' in log.read_text()

    result = mac.service("uninstall", "--purge")
    assert result.returncode == 0, result.stderr + result.stdout
    assert mac.calls() == [f"bootout gui/{UID}/assumed"]
    after = mac.files()
    assert set(after) - set(before) == {"Library", "Library/Logs", "Library/Logs/assumed.log"}
    assert {name: after[name] for name in before} == before


@pytest.mark.slow
@needs_proc
def test_without_a_session_at_the_screen_it_fails_at_once(mac: Mac) -> None:
    """Over SSH before a login at the screen; what was made before is still removed."""
    before = mac.files()
    (mac.state / "no-session").touch()
    result = mac.service("install")
    assert result.returncode == 1
    assert "log in at the screen once" in result.stderr
    mac.calls()
    assert mac.service("uninstall").returncode == 0
    assert set(mac.files()) - set(before) == set()


@pytest.mark.slow
@needs_proc
def test_an_installed_agent_is_left_alone_or_brought_up_to_date(mac: Mac) -> None:
    """launchd reads a changed agent only at a bootstrap, and refuses that for seconds after the bootout."""
    bootstrap = f"bootstrap gui/{UID} {mac.plist}"
    assert mac.service("install").returncode == 0
    mac.calls()
    result = mac.service("install")
    assert "no change needed" in result.stderr
    assert mac.calls() == []

    status = json.loads(mac.service("status").stdout)
    assert (status["running"], status["version"]) == (True, status["installed_version"])
    assert status["pid"] == int((mac.state / "pid").read_text())

    mac.environ["AWS_REGION"] = "eu-central-1"
    (mac.state / "busy").write_text("2")
    result = mac.service("install")
    assert result.returncode == 0, result.stderr + result.stdout
    assert mac.calls() == [f"enable gui/{UID}/assumed", f"bootout gui/{UID}/assumed", *[bootstrap] * 3]
    assert mac.agent()["EnvironmentVariables"]["AWS_REGION"] == "eu-central-1"

    before = mac.agent()
    mac.environ = {name: value for name, value in mac.environ.items() if name not in ("AWS_REGION", "https_proxy")}
    result = mac.service("install")  # from a shell that has less
    assert "kept from the last install: AWS_REGION, https_proxy" in " ".join(result.stderr.split())
    assert "no change needed" in result.stderr
    assert (mac.agent(), mac.calls()) == (before, [])
    mac.environ["AWS_REGION"] = ""
    assert mac.service("install").returncode == 0
    assert "AWS_REGION" not in mac.agent()["EnvironmentVariables"]
