"""Our units under a real systemd: a user manager and a system manager, as they run on a person's machine.

`pytest -s tests/units/test_real_systemd.py` tells each step, with its seconds.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

import pytest

from canary.kit import forms
from process.kit import arn
from units.machine import UID, Machine, Service, needs_machine
from units.story import DEADLY, Timer, Told, configure, installed
from world.daemon import role
from world.fake_sts import FakeSts
from world.scores import Record
from world.waiting import eventually

pytestmark = needs_machine

JOURNAL = {"debug": "7", "info": "6", "warning": "4", "error": "3"}
WATCHDOG = 2.0
"""Seconds, in the place of 120."""
OTHERS_GROUP = 4711
ROLES = [role(name, arn(name)) for name in ("first", "brief", "denied")]


def test_it_starts_reloads_and_stops_and_starts_again_without_asking_sts(sandboxed: Service, sts: FakeSts) -> None:
    home = sandboxed.machine.home
    sandboxed.systemctl("start")
    assert home.profile("first"), "systemd was told READY before the profile was written"
    assert sandboxed.show("StatusText") == "1 of 1 roles have a session"
    configure(sandboxed, role("first", arn("first")), role("second", arn("second")))
    sandboxed.systemctl("reload")
    eventually(lambda: home.profile("second"), 5, saying="a profile for the role that was added")
    sandboxed.systemctl("stop")
    assert (sandboxed.show("Result"), sandboxed.show("ExecMainStatus")) == ("success", "0")
    sandboxed.systemctl("start")
    assert [call.role_arn for call in sts.calls] == [arn("first"), arn("second")]
    assert_the_journal_is_in_order(sandboxed, sts)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_life_of_a_service(service: Service, sts: FakeSts, record: Record, told: Told) -> None:
    home = service.machine.home
    service.install(f"Environment=AWS_ENDPOINT_URL_STS={sts.url}", DEADLY, f"WatchdogSec={WATCHDOG}")
    configure(service, *ROLES)
    sts.rule(arn("denied"), error="AccessDenied")
    sts.rule(arn("brief"), session_seconds=6)

    took = Timer()
    service.systemctl("start")
    seconds = took()
    assert home.profile("first")
    assert "2 of 3 roles have a session; failing: denied" in service.show("StatusText")
    told("systemctl start; the profile is there when it returns", seconds, service.show("StatusText"))
    record("systemd.start_seconds", seconds)

    reload_takes_up_a_change_and_refuses_a_bad_one(service, record, told)
    a_file_of_another_group_is_rewritten(service, sts, told)

    calls = len(sts.calls_for(arn("first")))
    seconds = restarted_after(service, "-STOP")
    told(f"SIGSTOP, WatchdogSec={WATCHDOG:.0f}: killed, restarted, ready", seconds)
    record("systemd.watchdog_restart_seconds", seconds - WATCHDOG)
    seconds = restarted_after(service, "-KILL")
    told("kill -9: restarted, ready", seconds)
    record("systemd.kill_restart_seconds", seconds)

    took = Timer()
    service.systemctl("stop")
    assert (service.show("Result"), service.show("ExecMainStatus")) == ("success", "0")
    told("systemctl stop: exit status 0", took())
    took = Timer()
    service.systemctl("start")
    told("systemctl start again", took())
    again = len(sts.calls_for(arn("first"))) - calls
    record("systemd.calls_after_restart", again)
    assert again == 0
    told("calls to STS of sessions that were fresh, in three restarts", saw=again)

    assert home.profile("first")
    renewed = sts.wait_for_calls(5, arn("brief"), outcome="ok")
    told("renewals meanwhile of a role whose sessions last 6 s, at the least", saw=len(renewed))
    assert_the_journal_is_in_order(service, sts)
    errors = [entry["MESSAGE"] for entry in service.journal("--priority=err")]
    assert errors
    assert all(json.loads(message)["level"] == "error" for message in errors)
    told("journalctl -p err", saw=f"{len(errors)} of {len(service.journal())} entries: {errors[0]}")


def reload_takes_up_a_change_and_refuses_a_bad_one(service: Service, record: Record, told: Told) -> None:
    home = service.machine.home
    configure(service, *ROLES, role("second", arn("second")))
    took = Timer()
    service.systemctl("reload")
    told("systemctl reload, a role added", took())
    eventually(lambda: home.profile("second"), 5)
    told("  its profile is written", took())
    record("systemd.reload_seconds", took())

    good = home.config.read_text()
    home.config.write_text(good.replace('role_arn = "arn', 'role_arn = "urn', 1))
    service.machine.hand_over()
    took = Timer()
    service.systemctl("reload")
    told("systemctl reload, a bad configuration", took())
    eventually(lambda: "config.toml" in service.show("StatusText"), 5)
    told("  STATUS", took(), service.show("StatusText"))
    assert service.show("ActiveState") == "active"
    took = Timer()
    home.config.write_text(good)
    service.machine.hand_over()
    eventually(lambda: "config.toml" not in service.show("StatusText"), 10)
    told("mended; STATUS says it, without being asked", took())


def a_file_of_another_group_is_rewritten(service: Service, sts: FakeSts, told: Told) -> None:
    """Changing its group back is a system call that the units forbid: DEADLY would tell."""
    credentials, calls = service.machine.home.credentials, len(sts.calls_for(arn("first")))
    os.chown(credentials, UID, OTHERS_GROUP)
    before = service.machine.home.profile("first")
    refreshed = service.machine.alice(*service.program("refresh", "first"))
    assert refreshed.returncode == 0, refreshed.stderr
    eventually(lambda: service.machine.home.profile("first") != before, 10)
    status = credentials.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (UID, UID, 0o600)
    assert len(sts.calls_for(arn("first"))) == calls + 1
    told("assumed refresh; a credentials file of another group is replaced")


def restarted_after(service: Service, signal: str) -> float:
    """Seconds from the signal until the service is ready again, as another process."""
    restarts, old, took = int(service.show("NRestarts")), service.pid, Timer()
    service.machine.root("kill", signal, str(old))

    def is_back() -> bool:
        return int(service.show("NRestarts")) == restarts + 1 and service.show("ActiveState") == "active"

    eventually(is_back, 60, every=0.05, saying="a restart")
    assert service.pid != old
    return took()


def assert_the_journal_is_in_order(service: Service, sts: FakeSts) -> None:
    """Each entry is a JSON object at its own priority, and nothing anywhere gives a secret away."""
    entries = service.journal()
    assert entries
    for entry in entries:
        message: dict[str, Any] = json.loads(entry["MESSAGE"])
        assert entry["PRIORITY"] == JOURNAL[message["level"]]
    everything = service.machine.root("journalctl", "--all", "--output=export").stdout
    everything += service.manager("status", "--full", "--lines=1000", service.name).stdout
    assert "role.renewed" in everything
    for secret in sts.secrets():
        assert not any(form in everything for form in forms(secret))


@pytest.mark.slow
def test_it_is_ready_within_ten_seconds_of_a_network_that_swallows_everything(
    sandboxed: Service, sts: FakeSts, told: Told
) -> None:
    service = sandboxed
    sts.rule("*", fault="hang")
    took = Timer()
    service.systemctl("start")
    seconds = took()
    told("systemctl start, STS never answers", seconds, service.show("StatusText"))
    assert seconds < 10 + 2
    assert service.show("StatusText").startswith("0 of 1 roles")
    service.systemctl("stop")
    told("stopped in the midst of it", saw=service.show("Result"))
    assert service.show("Result") == "success"


@pytest.mark.slow
def test_it_starts_while_the_network_is_cut_and_delivers_when_it_is_back(
    sandboxed: Service, sts: FakeSts, told: Told
) -> None:
    service = sandboxed
    sts.outage(True)
    took = Timer()
    service.systemctl("start")
    told("systemctl start, STS refuses connections", took(), service.show("StatusText"))
    assert "failing: first" in service.show("StatusText")
    sts.outage(False)
    took = Timer()
    eventually(lambda: service.machine.home.profile("first"), 40)
    told("the profile, after the network is back", took())
    eventually(lambda: service.show("StatusText") == "1 of 1 roles have a session", 10)
    told("  STATUS says it", took())


@pytest.mark.slow
def test_a_configuration_that_was_never_good_is_said_once_and_not_tried_again(
    sandboxed: Service, sts: FakeSts, told: Told
) -> None:
    service = sandboxed
    service.install(f"Environment=AWS_ENDPOINT_URL_STS={sts.url}", "RestartSec=100ms")
    service.machine.home.config.write_text("roles = 3\n")
    service.machine.hand_over()
    started = service.manager("start", service.name)
    assert started.returncode != 0
    is_left_alone(service, 2)
    errors = service.journal("--priority=err")
    assert any("config.toml" in json.loads(error["MESSAGE"])["message"] for error in errors)
    told("a bad configuration from the start: exit status 2, no restart", saw=errors[0]["MESSAGE"])


@pytest.mark.slow
def test_a_second_instance_gives_up_and_the_first_goes_on(machine: Machine, sts: FakeSts, told: Told) -> None:
    first = installed(Service(machine, "assumed.service"), sts, "RestartSec=100ms")
    second = Service(machine, "assumed@.service")
    second.install(f"Environment=AWS_ENDPOINT_URL_STS={sts.url}", "RestartSec=100ms")
    first.systemctl("start")
    assert second.manager("start", second.name).returncode != 0
    is_left_alone(second, 4)
    assert (first.show("ActiveState"), first.show("NRestarts")) == ("active", "0")
    told("a second instance: exit status 4, no restart", saw=second.journal("--priority=err")[0]["MESSAGE"])


def is_left_alone(service: Service, status: int) -> None:
    """Ten times RestartSec pass without another start."""
    assert (service.show("ActiveState"), service.show("ExecMainStatus")) == ("failed", str(status))
    time.sleep(1.0)
    assert (service.show("ActiveState"), service.show("NRestarts")) == ("failed", "0")
