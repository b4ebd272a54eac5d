"""Every test lives in a home of its own: nothing here may touch the real ~/.aws."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from world.scores import Record, recorder

# Time is measured in bench/: here a busy machine would fail a test whose first example imports something.
settings.register_profile("here", deadline=None)
settings.load_profile("here")

# Run in the background (`make test &`), the suite ignores both, and so would what it starts, where Ctrl-C is tried.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)


EXPOSURE = "exposure"
"""User property by which a test hands in a unit's score: unlike what it prints, it comes back from xdist's workers."""


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory, and no AWS_* or ASSUMED_* variable of the person who runs the tests."""
    home = tmp_path_factory.mktemp("home")
    for name in os.environ:
        if name.startswith(("AWS_", "ASSUMED_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return home


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Hands a figure in for the scoreboard of `make proof`."""
    return recorder(request.node.nodeid)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What `systemd-analyze security` says of each unit, in every run, whether it passes or not."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    scores = dict(value for report in reports for name, value in report.user_properties if name == EXPOSURE)
    if scores:
        terminalreporter.section("exposure of the units by systemd-analyze security, lower is better")
        for unit, score in sorted(scores.items()):
            terminalreporter.line(f"{score:.1f}  {unit}")
