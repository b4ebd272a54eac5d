"""A real daemon against a real STS of our own: what it tells of what it has done."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from assumed.metrics.exposition import METRICS
from metrics.kit import Exposition, into, promtool, scrape
from process.kit import arn
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

NEEDS_A_CAUSE = {"assumed_role_next_renewal_timestamp_seconds"}
"""Told of some roles only, at some times only."""


@pytest.fixture
def running(sts: FakeSts, aws_home: Home, tmp_path: Path) -> Daemon:
    """A daemon whose role `kept` is kept, and whose role `denied` is not for us; not started yet."""
    sts.rule("*", session_seconds=900)
    sts.rule(arn("denied"), error="AccessDenied")
    roles = (role("kept", arn("kept")), role("denied", arn("denied")))
    aws_home.configure(*roles, defaults=into(tmp_path / "assumed.prom"))
    return Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url)


def test_what_a_daemon_has_done_is_told_by_command_and_textfile(
    running: Daemon, aws_home: Home, tmp_path: Path
) -> None:
    textfile = tmp_path / "assumed.prom"
    with running as daemon:
        daemon.wait_until(lambda status: [r["state"] for r in status["roles"]] == ["fresh", "failing"])
        command = aws_home.assumed("metrics")
        told = Exposition(command.stdout)
        eventually(
            lambda: Exposition(textfile.read_text()).value("assumed_role_delivered", profile="kept") == 1.0,
            10,
            saying="a textfile that knows of the session",
        )
        assert stat.S_IMODE(textfile.stat().st_mode) == 0o644
    assert (command.returncode, command.stderr) == (0, "")
    assert {family.name for family in told.families} >= {
        metric.name.removesuffix("_total") for metric in METRICS if metric.name not in NEEDS_A_CAUSE
    }
    assert told.value("assumed_up") == 1
    assert told.value("assumed_role_state", profile="kept", state="fresh") == 1
    assert told.value("assumed_role_state", profile="denied", state="failing") == 1
    assert told.value("assumed_renewals_total", profile="kept", result="success") == 1
    assert told.value("assumed_renewals_total", profile="kept", result="failure") == 0
    assert told.value("assumed_renewal_failures_total", profile="denied", kind="denied") >= 1
    assert told.value("assumed_renewal_duration_seconds_count", result="success") == 1
    assert 890 <= told.value("assumed_role_session_left_seconds", profile="kept") <= 900
    assert told.value("assumed_role_delivered", profile="denied") == 0
    assert told.value("assumed_process_resident_memory_bytes") > 1e7

    # It has been stopped: both say so, and what the disk says, which is still good.
    after = aws_home.assumed("metrics")
    assert after.returncode == 3
    assert "the daemon is not running" in after.stderr
    for text in (after.stdout, textfile.read_text()):
        assert Exposition(text).value("assumed_up") == 0
        assert Exposition(text).value("assumed_role_delivered", profile="kept") == 1
    for text in (command.stdout, after.stdout):
        assert promtool("check", "metrics", given=text) == ""


@pytest.mark.slow
def test_the_command_writes_the_file_where_no_daemon_runs(aws_home: Home, tmp_path: Path) -> None:
    """For cron and CI."""
    aws_home.configure(role("kept", arn("kept")))
    written = aws_home.assumed("metrics", "--textfile", str(tmp_path / "assumed.prom"))
    assert (written.returncode, written.stdout) == (3, "")
    assert Exposition((tmp_path / "assumed.prom").read_text()).value("assumed_up") == 0
    assert stat.S_IMODE((tmp_path / "assumed.prom").stat().st_mode) == 0o644
    missing = aws_home.assumed("metrics", "--textfile", str(tmp_path / "no" / "assumed.prom"))
    assert missing.returncode == 1
    assert "its directory is not there" in missing.stderr


@pytest.mark.slow
def test_scraping_leaves_no_trace(running: Daemon) -> None:
    """No log line, no write, no call."""
    with running as daemon:
        daemon.wait_until(lambda status: [r["state"] for r in status["roles"]] == ["fresh", "failing"])
        first = scrape(daemon)
        for _ in range(5):
            last = scrape(daemon)
    same = ("assumed_file_writes_total", "assumed_config_loads_total")
    assert [first.value(name) for name in same] == [last.value(name) for name in same]
    assert first.value("assumed_process_open_fds") == pytest.approx(last.value("assumed_process_open_fds"), abs=2)
