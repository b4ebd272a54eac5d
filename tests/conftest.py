"""Every test lives in a home of its own: nothing here may touch the real ~/.aws."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from world.scores import Record, recorder

# Time is measured in bench/: here a busy machine would fail a test whose first example imports something.
settings.register_profile("here")
settings.load_profile("here")


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
