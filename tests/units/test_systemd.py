"""The systemd units, as systemd itself judges them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from world.scores import Record

UNITS = Path(__file__).parents[2] / "systemd"
SYSTEMD_ANALYZE = shutil.which("systemd-analyze")

needs_systemd = pytest.mark.skipif(SYSTEMD_ANALYZE is None, reason="systemd-analyze is not installed")

MANAGER = {"assumed.service": "--user", "assumed@.service": "--system"}
SANDBOX = "assumed.service.d/10-sandbox.conf"
WORST_SCORE = {"assumed.service": 6.4, f"assumed.service with {SANDBOX}": 2.0, "assumed@.service": 1.5}
"""Of `systemd-analyze security`; lower is better. A user unit is scored as if root ran it."""


class Unit(dict[str, list[str]]):
    """The settings of a unit file: key → its values, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        for key, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE):
            self.setdefault(key, []).append(value)

    def one(self, key: str) -> str:
        """The only value of a key."""
        (value,) = self[key]
        return value


EXPOSURE = "exposure"
"""Name of the property that the summary of a run shows the scores by (tests/conftest.py)."""


def unit(name: str) -> Unit:
    return Unit((UNITS / name).read_text(encoding="utf-8"))


def rendered(name: str, directory: Path) -> Path:
    """A copy whose program exists: `verify` refuses a unit without it. `UNIT with DROP-IN` has the latter beside it."""
    name, _, drop_in = name.partition(" with ")
    if drop_in:
        (directory / drop_in).parent.mkdir()
        shutil.copy(UNITS / drop_in, directory / drop_in)
    text = (UNITS / name).read_text(encoding="utf-8")
    copy = directory / name
    copy.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE), encoding="utf-8")
    return copy


def manager(name: str) -> str:
    return MANAGER[name.partition(" with ")[0]]


def analyze(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(directory)}
    assert SYSTEMD_ANALYZE is not None
    return subprocess.run(
        [SYSTEMD_ANALYZE, *arguments], capture_output=True, text=True, cwd=directory, env=environ, check=False
    )


@needs_systemd
@pytest.mark.parametrize("name", WORST_SCORE)
def test_systemd_finds_nothing_to_complain_about(name: str, tmp_path: Path) -> None:
    """An unknown key is a complaint on stderr with exit status 0, so both are looked at."""
    result = analyze(tmp_path, manager(name), "verify", str(rendered(name, tmp_path)))
    assert (result.returncode, result.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("where", ["assumed.service", SANDBOX])
def test_verify_would_notice_a_misspelt_setting(where: str, tmp_path: Path) -> None:
    copy = rendered(f"assumed.service with {SANDBOX}", tmp_path)
    with (tmp_path / where).open("a", encoding="utf-8") as file:
        file.write("[Service]\nPrivateUzers=yes\n")
    assert "PrivateUzers" in analyze(tmp_path, "--user", "verify", str(copy)).stderr


@pytest.mark.proof
@needs_systemd
@pytest.mark.parametrize("name", WORST_SCORE)
def test_the_exposure_stays_within_its_limit(
    name: str, tmp_path: Path, record: Record, request: pytest.FixtureRequest
) -> None:
    copy = rendered(name, tmp_path)
    result = analyze(tmp_path, manager(name), "security", "--offline=true", str(copy))
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", result.stdout)
    assert found, result.stderr
    score = float(found[1])
    record(f"exposure {name}", score)
    request.node.user_properties.append((EXPOSURE, (name, score)))
    assert score <= WORST_SCORE[name]


@pytest.mark.parametrize("name", MANAGER)
def test_a_failure_is_followed_by_a_start_for_ever_but_not_after_a_hopeless_one(name: str) -> None:
    """2 is a configuration that cannot be used, 4 another instance: a restart changes neither."""
    settings = unit(name)
    assert settings.one("Restart") == "on-failure"
    assert settings.one("RestartPreventExitStatus") == "2 4"
    assert settings.one("StartLimitIntervalSec") == "0"


@pytest.mark.parametrize("name", MANAGER)
def test_readiness_reload_and_watchdog_work_on_systemd_252(name: str) -> None:
    settings = unit(name)
    assert settings.one("Type") == "notify"
    assert settings.one("ExecReload") == "/bin/kill -HUP $MAINPID"
    assert settings.one("WatchdogSec") == "120"


@pytest.mark.parametrize("name", MANAGER)
def test_no_file_and_no_core_dump_gives_credentials_away(name: str) -> None:
    settings = unit(name)
    assert settings.one("UMask") == "0077"
    assert settings.one("LimitCORE") == "0"


@pytest.mark.parametrize("name", MANAGER)
def test_what_runs_wild_in_it_is_killed_alone(name: str) -> None:
    """Both kinds of manager have the controllers of memory and tasks (Delegate= of user@.service)."""
    settings = unit(name)
    assert settings.one("MemoryMax") == "1536M"
    assert settings.one("TasksMax") == "512"
    assert settings.one("OOMPolicy") == "continue"


@pytest.mark.parametrize("name", MANAGER)
def test_the_boot_id_stays_readable_and_the_users_shared_memory_stays_there(name: str) -> None:
    """ProcSubset=pid hides /proc/sys; RemoveIPC=yes deletes what other programs of the user share."""
    settings = unit(name)
    assert "ProcSubset" not in settings
    assert "RemoveIPC" not in settings


@pytest.mark.parametrize("name", [*MANAGER, SANDBOX])
def test_what_an_installation_replaces_stands_once(name: str) -> None:
    """`service install` sets single keys to this machine's own paths; `%h` would be root's home in a system unit."""
    settings = unit(name)
    for key in ("ExecStart", "ReadWritePaths", "InaccessiblePaths", "MemoryDenyWriteExecute"):
        assert len(settings.get(key, [""])) == 1


def test_the_user_unit_uses_nothing_that_a_user_manager_ignores_or_refuses_by_itself() -> None:
    """Tried on 252: these are without effect, or end in 217/USER and 218/CAPABILITIES."""
    without_effect = {"ProtectSystem", "ProtectHome", "PrivateTmp", "ReadWritePaths", "IPAddressDeny"}
    refused = {"PrivateDevices", "ProtectClock", "CapabilityBoundingSet", "DynamicUser", "User"}
    assert not (without_effect | refused) & set(unit("assumed.service"))


def test_the_sandbox_uses_nothing_that_a_user_namespace_cannot_give() -> None:
    """Tried on 252: the first two are without effect, and with the third a reload ends in 226/NAMESPACE."""
    settings = unit(SANDBOX)
    assert settings.one("PrivateUsers") == "yes"
    assert not {"ProtectProc", "DevicePolicy", "PrivateIPC"} & set(settings)


@pytest.mark.parametrize(("name", "directory"), [("assumed@.service", "-/home/%i/.aws"), (SANDBOX, "-%h/.aws")])
def test_a_sandbox_lets_the_directory_be_written_and_not_only_the_file(name: str, directory: str) -> None:
    """A rename needs the directory; a file that is mounted by itself cannot be replaced."""
    settings = unit(name)
    assert settings.one("ProtectHome") == "read-only"
    assert settings.one("ReadWritePaths") == directory
    assert name == SANDBOX or settings.one("User") == "%i"
