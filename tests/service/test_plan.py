"""What install would do on each platform: files and commands, from facts alone."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from assumed.cli.service_status import _running
from assumed.errors import AssumedError, FileRefused
from assumed.service import execute
from assumed.service.plan import Command, plan, removal, unlinger
from assumed.service.program import Account
from assumed.service.record import Record, digest
from assumed.service.site import site_of
from service.kit import HOME, PROXY, site, wish

USER_UNITS = HOME / ".config" / "systemd" / "user"


def said(commands: Iterable[Command]) -> list[str]:
    return [str(command) for command in commands]


def test_a_user_unit_has_the_sandbox_beside_it() -> None:
    planned = plan(site(), wish())
    assert [(file.path, file.mode) for file in planned.files] == [
        (USER_UNITS / "assumed.service", 0o600),
        (USER_UNITS / "assumed.service.d" / "10-sandbox.conf", 0o600),
    ]
    assert HOME / ".aws" in [directory.path for directory in planned.directories]


def test_where_no_sandbox_can_be_built_there_is_none() -> None:
    planned = plan(site(), wish(sandboxed=False))
    assert [file.path.name for file in planned.files] == ["assumed.service"]


def test_systemd_is_told_to_read_enable_and_start_it() -> None:
    planned = plan(site(), wish())
    assert said(planned.register) == ["systemctl --user daemon-reload", "systemctl --user enable assumed.service"]
    assert said(planned.start) == ["systemctl --user start assumed.service"]
    assert said(planned.restart) == said(planned.replace) == ["systemctl --user restart assumed.service"]
    assert str(planned.lingering) == "loginctl enable-linger alice"


def test_where_something_is_refused_a_person_can_do_it() -> None:
    planned = plan(site(), wish())
    assert planned.lingering is not None
    assert planned.lingering.instead == "sudo loginctl enable-linger alice"
    assert unlinger(site()).instead == "sudo loginctl disable-linger alice"


def test_uninstalling_ends_and_forgets_it() -> None:
    planned = removal(site())
    assert said(planned.unregister) == ["systemctl --user disable --now assumed.service"]
    assert said(planned.forget)[0] == "systemctl --user daemon-reload"


def test_what_the_shell_has_set_is_in_a_file_for_the_user_alone() -> None:
    planned = plan(site(), wish(variables={"AWS_REGION": "eu-central-1", "https_proxy": PROXY}))
    file = planned.files[-1]
    assert (file.path, file.mode) == (HOME / ".config" / "assumed" / "service.env", 0o600)
    assert PROXY in file.text
    assert f"EnvironmentFile={file.path}" in planned.files[0].text.splitlines()
    assert planned.takes == ("AWS_REGION", "https_proxy")


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_what_is_shown_has_no_password(platform: str) -> None:
    planned = plan(site(platform), wish(variables={"https_proxy": PROXY}))
    assert any(PROXY in file.text for file in planned.files)
    assert not any("hunter2" in file.shown for file in planned.files)
    assert not any("hunter2" in repr(file) for file in planned.files)
    commands = [*planned.register, *planned.start, *planned.replace, *planned.restart, *planned.unregister]
    assert not any("hunter2" in str(command) for command in commands)


def test_without_anything_to_take_along_there_is_no_such_file() -> None:
    planned = plan(site(), wish())
    assert "EnvironmentFile" not in planned.files[0].text
    assert not any(file.path.name == "service.env" for file in planned.files)


def test_the_machines_systemd_runs_an_instance_for_the_account() -> None:
    planned = plan(site(system=True), wish(user="alice", variables={"AWS_REGION": "x"}))
    assert [(str(file.path), file.mode) for file in planned.files] == [
        ("/etc/systemd/system/assumed@alice.service", 0o644),
        ("/etc/assumed/service-alice.env", 0o600),
    ]
    assert planned.lingering is None
    assert said(planned.start) == ["systemctl start assumed@alice.service"]
    assert "User=alice" in planned.files[0].text.splitlines()
    assert f"ReadWritePaths=-{HOME}/.aws" in planned.files[0].text.splitlines()


def test_only_what_lies_in_the_home_directory_is_made_in_the_accounts_name() -> None:
    planned = plan(site(system=True), wish(user="alice", variables={"AWS_REGION": "x"}))
    of_account = {str(directory.path): directory.of_account for directory in planned.directories}
    assert of_account == {"/home/alice/.aws": True, "/etc/systemd/system": False, "/etc/assumed": False}


def test_a_launchd_agent_is_one_file_and_its_environment_is_inside() -> None:
    planned = plan(site("darwin", home=Path("/Users/alice")), wish(variables={"AWS_REGION": "x"}))
    assert [(str(file.path), file.mode) for file in planned.files] == [
        ("/Users/alice/Library/LaunchAgents/assumed.plist", 0o600)
    ]
    assert Path("/Users/alice/Library/Logs") in [directory.path for directory in planned.directories]
    assert "<key>AWS_REGION</key>" in planned.files[0].text


def test_launchd_reads_a_changed_agent_only_anew_and_restarts_an_unchanged_one() -> None:
    planned = plan(site("darwin", home=Path("/Users/alice")), wish())
    bootstrap = "launchctl bootstrap gui/1000 /Users/alice/Library/LaunchAgents/assumed.plist"
    assert said(planned.start) == [bootstrap]
    assert said(planned.replace) == ["launchctl bootout gui/1000/assumed", bootstrap]
    assert said(planned.restart) == ["launchctl kickstart -k gui/1000/assumed"]
    assert said(planned.unregister) == ["launchctl bootout gui/1000/assumed"]


def test_where_there_is_no_service_manager_the_alternative_is_said() -> None:
    with pytest.raises(AssumedError, match=r"neither systemd nor launchd .* start `assumed run`"):
        site("freebsd14")


def test_launchd_has_no_unit_of_the_machine() -> None:
    with pytest.raises(AssumedError, match="--system is for systemd"):
        site("darwin", system=True)


@pytest.mark.parametrize(("system", "platform"), [(False, "linux"), (True, "linux"), (False, "darwin")])
def test_every_file_of_a_plan_is_one_that_uninstall_may_remove(system: bool, platform: str) -> None:
    place = site(platform, system=system)
    user = "alice" if system else None
    for file in plan(place, wish(user=user, variables={"AWS_REGION": "x"})).files:
        assert place.is_own_file(file.path)


@pytest.mark.parametrize(
    ("system", "path", "is_own"),
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
def test_a_record_may_name_what_it_wants(system: bool, path: str, is_own: bool) -> None:
    """Of another directory of units that systemd has read once, a user's own is believed."""
    assert site(system=system).is_own_file(Path(path)) is is_own


def test_a_file_is_in_the_record_before_it_is_written(home: Path) -> None:
    """What is left by an install that fails half-way is taken away by uninstall."""
    mine = site_of(Account("me", os.getuid(), os.getgid(), home), platform="linux")
    planned = plan(mine, wish(home=home, sandboxed=False))
    too_long_for_a_temporary_one = mine.units / ("x" * 250)
    record = Record()
    with pytest.raises(FileRefused):
        execute.write(replace(planned, files=(replace(planned.files[0], path=too_long_for_a_temporary_one),)), record)
    assert list(record.files) == [str(too_long_for_a_temporary_one)]


def test_a_digest_is_told_of_any_text() -> None:
    """Also of bytes that are not UTF-8, in a file of another hand."""
    assert digest("http://pr\udcffoxy") != digest("http://pr\udcfeoxy")


@pytest.mark.parametrize(("restarts", "said"), [(0, "yes, pid 7"), (1, "started again once"), (2, "again 2 times")])
def test_how_often_it_was_started_again_is_said_in_words(restarts: int, said: str) -> None:
    assert said in _running({"running": True, "pid": 7, "started_at": None, "restarts": restarts})
