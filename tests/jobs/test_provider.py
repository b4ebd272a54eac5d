"""The thread that keeps the sessions of `exec` and `serve`: nothing ends it but the end of the process."""

from __future__ import annotations

from pathlib import Path

import pytest

from assumed.jobs import provider as module
from assumed.jobs.provider import session_provider
from world.daemon import Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually


def test_a_fault_of_ours_is_said_and_the_next_look_goes_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there, said = Home(home), list[str]()
    with FakeSts() as sts, monkeypatch.context() as broken:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        there.add_source(sts.source.access_key_id, sts.source.secret_access_key)
        there.configure(role("a", "arn:aws:iam::123456789012:role/a"))
        with session_provider(there.config, ["a"], lambda _, problem: said.append(problem)) as provider:
            broken.setattr(module, "ask", lambda *_, **__: dict[str, str]()["fault"])
            provider.start()
            eventually(lambda: said, 10)
            broken.undo()
            eventually(lambda: provider.session("a"), 10)
            eventually(lambda: said[1:] == [""], 10)
    assert said[0] == "a fault in assumed (KeyError: 'fault'); retried"
