"""Every secret is a canary: it may appear only where credentials belong, whatever goes wrong."""

from __future__ import annotations

import pytest

from canary.kit import Stage
from canary.scenes import SCENES, played
from world.daemon import Home
from world.scores import Record


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("scene", SCENES)
def test_no_secret_appears_in_any_output(
    scene: str, form: str, tmp_path_factory: pytest.TempPathFactory, record: Record
) -> None:
    """Log, status, check and the other commands, files, arguments, environments, the service manager's status line."""
    stage = Stage(Home(tmp_path_factory.mktemp("h")), form)
    with played(scene, stage):
        stage.hear(*(((command, "--help") for command in stage.home.commands()) if scene == "inherited" else ()))
    record("secrets.paths", len(stage.said))
    record("secrets.bytes", sum(len(text.encode()) for text in stage.said.values()))
    record("secrets.hits", len(stage.hits()))
    assert len(stage.said) > (15 if form == "json" else 8)
    assert len(stage.all_secrets()) >= 1
    assert stage.hits() == []
