"""Every test has its own home directory: no test may touch the real ~/.aws."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from world.scores import Record, recorder

# Time is measured in bench/. With a deadline, a busy machine would fail a test whose first example imports a module.
settings.register_profile("here", deadline=None)
settings.load_profile("here")

# In the background (`make test &`) both are ignored, also by child processes, for which tests of Ctrl-C would fail.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)


EXPOSURE = "exposure"
"""The user property with a unit's score; unlike output, it reaches the main process from xdist's workers."""


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
    """Records a figure for the scoreboard of `make proof`."""
    return recorder(request.node.nodeid)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the score of `systemd-analyze security` for each unit in every run, passed or failed."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    scores = dict(value for report in reports for name, value in report.user_properties if name == EXPOSURE)
    if scores:
        terminalreporter.section("exposure of the units by systemd-analyze security, lower is better")
        for unit, score in sorted(scores.items()):
            terminalreporter.line(f"{score:.1f}  {unit}")
