"""Each counter and each state moves when the daemon meets what it tells of."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from metrics.kit import Exposition, into, scrape
from process.kit import arn, key_of
from process.shim import Clocks, compiled
from world.control import NotRunning
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

pytestmark = pytest.mark.slow

SABOTAGE = Path(__file__).parents[1] / "process" / "sabotage.py"
KINDS = {
    "denied": {"error": "AccessDenied"},
    "throttled": {"error": "Throttling"},
    "misconfigured": {"error": "ValidationError"},
    "wrong_principal": {"principal": "arn:aws:sts::999999999999:assumed-role/other/s"},
    "source_dead": {"error": "ExpiredToken"},
    "clock": {"error": "RequestExpired"},
    "transient": {"error": "InternalFailure", "status": 500},
}
"""Kind → what STS answers to the role of that name."""


def until(daemon: Daemon, holds: Callable[[Exposition], bool], within: float = 20.0) -> Exposition:
    """The first scrape of which it holds."""
    last: Exposition | None = None

    def look() -> bool:
        nonlocal last
        with contextlib.suppress(NotRunning):  # its socket may be on its way back
            last = scrape(daemon)
        return last is not None and holds(last)

    eventually(look, within, every=0.05, saying="the scrape waited for")
    assert last is not None
    return last


@pytest.fixture
def daemon(sts: FakeSts, aws_home: Home) -> Daemon:
    """One that is not started yet, of roles that live for the length of a test."""
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("kept", arn("kept")), role("also", arn("also")))
    return Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url)


def test_every_kind_of_failure_is_counted_as_itself(sts: FakeSts, aws_home: Home) -> None:
    """Each role has a source of its own, or they would be held back together."""
    sts.rule("*", session_seconds=900)
    for kind, fault in KINDS.items():
        sts.rule(arn(kind), **fault)
        aws_home.add_source(sts.source.access_key_id, sts.source.secret_access_key, profile=f"source-{kind}")
    aws_home.configure(*(role(kind, arn(kind), source_profile=f"source-{kind}") for kind in KINDS))
    with Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        told = until(
            daemon, lambda now: all(now.value("assumed_renewals_total", profile=k, result="failure") for k in KINDS), 40
        )
        for kind in KINDS:
            of = {labels["kind"] for labels in told.labels("assumed_renewal_failures_total")}
            moved = {k for k in of if told.value("assumed_renewal_failures_total", profile=kind, kind=k)}
            assert moved == {kind}
        assert told.value("assumed_renewal_duration_seconds_count", result="failure") >= len(KINDS)
        assert told.value("assumed_renewal_duration_seconds_count", result="success") == 0


def test_an_sts_that_nobody_reaches_is_a_kind_of_its_own(aws_home: Home) -> None:
    aws_home.configure(role("a", arn("a")))
    with socket.socket() as deaf:  # bound, and not listening: every connection is refused
        deaf.bind(("127.0.0.1", 0))
        with Daemon(aws_home, AWS_ENDPOINT_URL_STS=f"http://127.0.0.1:{deaf.getsockname()[1]}") as daemon:
            failures = {"profile": "a", "kind": "unreachable"}
            until(daemon, lambda now: now.value("assumed_renewal_failures_total", **failures) >= 1, 30)


def overwrite(home: Home, profile: str) -> None:
    """Another tool has put its own session there."""
    key = key_of(home, profile)
    home.credentials.write_text(home.credentials.read_text().replace(key, "ASIARIVALRIVALRIVAL0"))


def test_each_overwriting_is_counted_and_from_the_second_on_a_conflict(daemon: Daemon, aws_home: Home) -> None:
    with daemon:
        daemon.wait_until_fresh("kept", "also")
        before = scrape(daemon).value("assumed_file_writes_total")
        for n in range(1, 4):
            overwrite(aws_home, "kept")
            told = until(daemon, lambda now, n=n: now.value("assumed_role_overwrites_total", profile="kept") == n)
            if n < 3:
                daemon.wait_until_fresh("kept")
        assert told.value("assumed_role_contests_total", profile="kept") == 2
        assert told.value("assumed_role_contested", profile="kept") == 1
        assert told.value("assumed_role_overwrites_total", profile="also") == 0
        assert told.value("assumed_file_writes_total") >= before + 2
        daemon.ask("refresh", profiles=["kept"])
        until(daemon, lambda now: now.value("assumed_role_contested", profile="kept") == 0)


def test_a_configuration_is_counted_when_it_is_taken_and_when_it_is_not(daemon: Daemon, aws_home: Home) -> None:
    with daemon:
        daemon.wait_until_fresh("kept", "also")
        assert scrape(daemon).value("assumed_config_loads_total") == 1
        good = aws_home.config.read_text()
        aws_home.config.write_text(good + "]")
        told = until(daemon, lambda now: now.value("assumed_config_rejected") == 1)
        assert told.value("assumed_config_rejections_total") == 1
        assert told.value("assumed_config_loads_total") == 1
        aws_home.configure(role("kept", arn("kept")))
        told = until(daemon, lambda now: not now.count("assumed_role_info", profile="also"))
        assert told.value("assumed_config_rejected") == 0
        assert told.value("assumed_config_loads_total") >= 2
        assert not [sample for sample in told.samples if sample.labels.get("profile") == "also"]
        assert told.value("assumed_renewals_total", profile="kept", result="success") == 1


def test_suspends_and_steps_are_told_apart(sts: FakeSts, aws_home: Home, daemon: Daemon, tmp_path: Path) -> None:
    clocks = Clocks(compiled(tmp_path), aws_home.path / "offset")
    daemon = Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url, **clocks.environment)
    with daemon:
        daemon.wait_until_fresh("kept", "also")
        sts.rule("*", session_seconds=900, clock_offset=600.0)
        clocks.move(wall=600, boot=600)
        daemon.signal(signal.SIGHUP)  # wakes the loop, as the next heartbeat would
        told = until(daemon, lambda now: now.value("assumed_suspends_total") == 1)
        assert told.value("assumed_clock_steps_total") == 0
        clocks.move(wall=-60)
        daemon.signal(signal.SIGHUP)
        told = until(daemon, lambda now: now.value("assumed_clock_steps_total") == 1)
        assert told.value("assumed_suspends_total") == 1


def test_an_outage_is_told_of_its_source_and_ends(sts: FakeSts, aws_home: Home) -> None:
    sts.rule("*", session_seconds=4)
    aws_home.configure(*(role(name, arn(name)) for name in "abc"))
    source = {"source": "profile:default"}
    with Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        daemon.wait_until_fresh("a", "b", "c")
        assert scrape(daemon).value("assumed_source_down", **source) == 0
        sts.rule("*", fault="reset")
        told = until(daemon, lambda now: now.value("assumed_source_down", **source) == 1, 30)
        assert told.value("assumed_source_outages_total", **source) == 1
        sts.rule("*", session_seconds=900, fault=None)
        daemon.ask("refresh", profiles=["a", "b", "c"])
        told = until(daemon, lambda now: now.value("assumed_source_down", **source) == 0, 30)
        assert told.value("assumed_source_outages_total", **source) == 1


def test_a_source_that_cannot_be_resolved_is_counted(aws_home: Home, sts: FakeSts) -> None:
    aws_home.aws_config.write_text("[profile broken]\ncredential_process = false\n")
    aws_home.configure(role("a", arn("a"), source_profile="broken"))
    with Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        until(daemon, lambda now: now.value("assumed_source_resolution_failures_total", source="profile:broken") >= 1)


def test_a_disk_that_takes_nothing_is_told(daemon: Daemon, aws_home: Home) -> None:
    with daemon:
        daemon.wait_until_fresh("kept", "also")
        assert scrape(daemon).value("assumed_sessions_not_stored") == 0
        sessions = aws_home.state / "sessions"
        for path in (sessions, aws_home.credentials):
            path.rename(path.with_name(f"{path.name}.away"))
        sessions.write_text("not a directory")
        aws_home.credentials.mkdir()
        daemon.ask("refresh", profiles=["kept", "also"])
        until(daemon, lambda now: now.value("assumed_sessions_not_stored") == 2)
        told = until(daemon, lambda now: now.value("assumed_file_write_failures_total") >= 1)
        assert told.value("assumed_file_refused") == 1
        assert told.value("assumed_role_delivered", profile="kept") == 0


def test_a_state_directory_that_was_tidied_away_is_counted(daemon: Daemon, aws_home: Home) -> None:
    with daemon:
        daemon.wait_until_fresh("kept", "also")
        shutil.rmtree(aws_home.state)
        aws_home.credentials.touch()  # a hint: the next look need not wait for the heartbeat
        until(daemon, lambda now: now.value("assumed_state_restores_total") == 1, 40)


def test_a_scheduler_that_died_is_counted(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    daemon = Daemon(aws_home, under=[sys.executable, str(SABOTAGE), "APScheduler"], AWS_ENDPOINT_URL_STS=sts.url)
    with daemon:
        daemon.wait_until_fresh("kept", "also")
        daemon.signal(signal.SIGUSR1)
        eventually(lambda: "sabotaged" in daemon.stderr, 10)
        daemon.ask("refresh", profiles=["kept"])
        until(daemon, lambda now: now.value("assumed_scheduler_revivals_total") == 1, 40)


def test_a_heartbeat_is_told_when_it_was(sts: FakeSts, aws_home: Home, tmp_path: Path) -> None:
    """The textfile is as fresh as the heartbeat: both move on without anything having happened."""
    sts.rule("*", session_seconds=900)
    textfile = tmp_path / "assumed.prom"
    aws_home.configure(role("kept", arn("kept")), defaults=into(textfile))
    quicker = {"WATCHDOG_USEC": "4000000"}  # a heartbeat every other second
    with Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url, **quicker) as daemon:
        daemon.wait_until_fresh("kept")
        first = scrape(daemon).value("assumed_heartbeat_timestamp_seconds")
        assert first >= scrape(daemon).value("assumed_start_timestamp_seconds")
        eventually(
            lambda: Exposition(textfile.read_text()).value("assumed_heartbeat_timestamp_seconds") >= first + 6, 30
        )


def test_a_collector_directory_that_is_missing_costs_one_line(daemon: Daemon, aws_home: Home, tmp_path: Path) -> None:
    textfile = tmp_path / "collector" / "assumed.prom"
    aws_home.configure(role("kept", arn("kept")), defaults=into(textfile))
    with daemon:
        daemon.wait_until_fresh("kept")
        eventually(lambda: daemon.events("metrics.not_written"), 10)
        for n in range(3):
            daemon.ask("refresh", profiles=["kept"])
            eventually(lambda n=n: len(daemon.events("role.renewed")) >= n + 2, 10)
        (event,) = daemon.events("metrics.not_written")
        assert event["level"] == "warning"
        textfile.parent.mkdir()
        daemon.ask("refresh", profiles=["kept"])
        eventually(lambda: daemon.events("metrics.written"), 10)
        assert len(daemon.events("metrics.not_written")) == 1
        # Taken out of the configuration, it is taken away.
        aws_home.configure(role("kept", arn("kept")))
        eventually(lambda: not textfile.exists(), 10)


def test_a_daemon_without_a_textfile_does_not_import_the_library() -> None:
    """Nor does a command that prints no metrics."""
    said = subprocess.run(
        [sys.executable, "-c", "import assumed.runtime.main, assumed.cli.status, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "assumed.metrics.textfile" in said.stdout.split()
    assert "prometheus_client" not in said.stdout.split()
