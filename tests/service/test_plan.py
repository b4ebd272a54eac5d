"""What install does on each platform: files and commands, from facts alone."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from assumed.cli.service_status import log_command
from assumed.errors import AssumedError, FileRefused
from assumed.service import execute
from assumed.service.execute import Record, digest
from assumed.service.manager import printed
from assumed.service.plan import Phase, commands, plan
from assumed.service.site import Account, instance, site_of
from service.kit import HOME, PROXY, site, spec

USER_UNITS = HOME / ".config" / "systemd" / "user"
MAC = site("darwin", home=Path("/Users/alice"))
AGENT = "/Users/alice/Library/LaunchAgents/assumed.plist"


def typed(place: str, phase: Phase) -> list[str]:
    """The commands of a phase for that kind of site."""
    sites = {"user": site(), "system": site(system=True), "mac": MAC}
    return [str(command) for command in commands(sites[place], phase)]


def test_a_user_unit_has_the_sandbox_and_the_environment_beside_it() -> None:
    planned = plan(site(), spec(variables={"AWS_REGION": "x", "https_proxy": PROXY}, kept=("AWS_REGION",)))
    assert [(file.path, file.mode) for file in planned.files] == [
        (USER_UNITS / "assumed.service", 0o600),
        (USER_UNITS / "assumed.service.d" / "10-sandbox.conf", 0o600),
        (HOME / ".config" / "assumed" / "service.env", 0o600),
    ]
    assert HOME / ".aws" in planned.directories
    assert planned.kept == ("AWS_REGION",)
    assert planned.files[-1].note.endswith(": https_proxy)")
    assert [file.path.name for file in plan(site(), spec(sandboxed=False)).files] == ["assumed.service"]


def test_the_machines_systemd_runs_an_instance_for_the_account() -> None:
    planned = plan(site(system=True), spec(variables={"AWS_REGION": "x"}))
    assert [(str(file.path), file.mode) for file in planned.files] == [
        ("/etc/systemd/system/assumed@alice.service", 0o644),
        ("/etc/assumed/service-alice.env", 0o600),
    ]
    of_machine = {str(directory): planned.site.is_of_machine(directory) for directory in planned.directories}
    assert of_machine == {"/home/alice/.aws": False, "/etc/systemd/system": True, "/etc/assumed": True}


def test_a_launchd_agent_is_one_file_with_its_environment_inside() -> None:
    planned = plan(MAC, spec(variables={"AWS_REGION": "x"}))
    assert [(str(file.path), file.mode) for file in planned.files] == [(AGENT, 0o600)]
    assert Path("/Users/alice/Library/Logs") in planned.directories
    assert "<key>AWS_REGION</key>" in planned.files[0].text


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_what_is_shown_has_no_password(platform: str) -> None:
    planned = plan(site(platform), spec(variables={"https_proxy": PROXY}))
    assert any(PROXY in file.text for file in planned.files)
    assert not any("hunter2" in file.shown + repr(file) for file in planned.files)


@pytest.mark.parametrize(
    ("place", "phase", "words"),
    [
        ("user", "register", ["systemctl --user daemon-reload", "systemctl --user enable assumed.service"]),
        ("user", "start", ["systemctl --user start assumed.service"]),
        ("user", "replace", ["systemctl --user restart assumed.service"]),
        ("user", "linger", ["loginctl enable-linger alice"]),
        ("user", "stop", ["systemctl --user disable --now assumed.service"]),
        ("system", "start", ["systemctl start assumed@alice.service"]),
        ("system", "linger", []),
        ("mac", "start", [f"launchctl bootstrap gui/1000 {AGENT}"]),
        ("mac", "replace", ["launchctl bootout gui/1000/assumed", f"launchctl bootstrap gui/1000 {AGENT}"]),
        ("mac", "restart", ["launchctl kickstart -k gui/1000/assumed"]),
        ("mac", "stop", ["launchctl bootout gui/1000/assumed"]),
    ],
)
def test_the_manager_gets_the_commands_of_its_platform(place: str, phase: Phase, words: list[str]) -> None:
    assert typed(place, phase) == words


def test_a_refused_lingering_has_a_command_for_a_person() -> None:
    assert commands(site(), "linger")[0].instead == "sudo loginctl enable-linger alice"
    assert commands(site(), "unlinger")[0].instead == "sudo loginctl disable-linger alice"


@pytest.mark.parametrize(("platform", "system"), [("freebsd14", False), ("darwin", True)])
def test_where_there_is_no_such_manager_nothing_is_planned(platform: str, system: bool) -> None:
    with pytest.raises(AssumedError, match=r"neither systemd nor launchd|--system is for systemd"):
        site(platform, system=system)


@pytest.mark.parametrize(("system", "platform"), [(False, "linux"), (True, "linux"), (False, "darwin")])
def test_every_file_of_a_plan_is_one_that_uninstall_may_remove(system: bool, platform: str) -> None:
    place = site(platform, system=system)
    assert all(place.may_hold(file.path) for file in plan(place, spec(variables={"AWS_REGION": "x"})).files)


@pytest.mark.parametrize(
    ("system", "path", "may_hold"),
    [
        (False, "/etc/victim.conf", False),
        (False, "/home/alice/.aws/credentials", False),
        (False, "/etc/systemd/user/assumed.service", False),
        (False, "/home/alice/../../etc/systemd/user/assumed.service", False),
        (False, "/home/alice/.conf/systemd/user/assumed.service", True),
        (False, "/home/alice/.conf/systemd/user/assumed.service.d/10-sandbox.conf", True),
        (True, "/home/alice/.config/systemd/user/assumed.service", False),
        (True, "/etc/systemd/system/ssh.service", False),
        (True, "/etc/assumed/service-bob.env", False),
    ],
)
def test_a_record_that_names_other_files_is_not_believed(system: bool, path: str, may_hold: bool) -> None:
    assert site(system=system).may_hold(Path(path)) is may_hold


def test_a_file_is_in_the_record_before_it_is_written(home: Path) -> None:
    """Uninstall removes what an install that failed half-way has left."""
    mine = site_of(Account("me", os.getuid(), os.getgid(), home), platform="linux")
    planned = plan(mine, spec(home=home, sandboxed=False))
    too_long_for_a_temporary_one = mine.file.parent / ("x" * 250)
    planned = replace(planned, files=(replace(planned.files[0], path=too_long_for_a_temporary_one),))
    record = Record()
    with pytest.raises(FileRefused):
        list(
            execute.write(
                replace(planned, files=(replace(planned.files[0], path=too_long_for_a_temporary_one),)), record
            )
        )
    assert list(record.files) == [str(too_long_for_a_temporary_one)]


def test_a_digest_changes_with_bytes_that_are_not_utf8() -> None:
    assert digest("http://pr\udcffoxy") != digest("http://pr\udcfeoxy")


@pytest.mark.parametrize(
    ("name", "escaped"),
    [("alice", "alice"), ("a.b-c_1", "a.b-c_1"), (".x", "\\x2ex"), ("EX\\bob", "EX\\x5cbob"), ("a@b", "a\\x40b")],
)
def test_an_account_becomes_an_instance_that_systemd_accepts(name: str, escaped: str) -> None:
    assert instance(name) == escaped


def test_the_log_is_shown_by_the_systems_own_tool() -> None:
    """`--user-unit` finds a user's unit in whatever journal it is."""
    words = log_command(site(), follow=False, lines=5)
    assert words[0] == "journalctl"
    assert {"--user-unit=assumed.service", "--lines=5", "--output=cat"} < {*words}
    assert {"--unit=assumed@alice.service", "--follow"} < {*log_command(site(system=True), follow=True, lines=5)}
    log = "/Users/alice/Library/Logs/assumed.log"
    assert log_command(MAC, follow=True, lines=5) == ["tail", "-n5", "-F", log]


@pytest.mark.parametrize(
    ("text", "running", "pid", "detail"),
    [
        ("gui/501/assumed = {\n\tstate = running\n\n\tpid = 4711\n\truns = 1\n}\n", True, 4711, ""),
        (
            "x = {\n\tstate = not running\n\truns = 3\n\tlast exit code = 2\n\tendpoints = {\n\t\tpid = 1\n\t}\n}\n",
            False,
            0,
            "not running, last exit code 2",
        ),
        ("gui/501/assumed = {\n\tstate = spawn scheduled\n}\n", False, 0, "spawn scheduled, last exit code unknown"),
    ],
)
def test_what_launchctl_prints_is_understood(text: str, running: bool, pid: int, detail: str) -> None:
    state = printed(text)
    assert (state.running, state.pid, state.detail) == (running, pid, detail)
