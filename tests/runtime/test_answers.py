"""What the control socket answers, and what the status document says of the daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from assumed.cli.check import check
from assumed.engine.events import Refresh
from assumed.paths import socket_path
from assumed.runtime import requests
from assumed.runtime.control import ControlServer
from assumed.runtime.inbox import Reload, Wanted
from assumed.runtime.once import one_round
from assumed.runtime.start import take_shell_variables
from world.fake_sts import FakeSts

from .kit import arn, rig, role


@pytest.mark.parametrize("command", ["status", "refresh", "look"])
@pytest.mark.parametrize("profiles", [None, 1, "a", {"a": 1}, [1], [["a"]], [None]])
def test_profiles_that_are_no_list_of_names_are_refused_with_a_sentence(
    home: Path, command: str, profiles: Any
) -> None:
    with rig(home, role("a")) as it:
        reply = it.daemon.requests.answer({"command": command, "profiles": profiles})

        assert reply == {"error": "profiles is a list of names"}
        assert it.daemon.loop.engine.inbox.empty()


@pytest.mark.parametrize("command", [None, "", 1, "stop", ["status"], {"a": 1}])
def test_an_unknown_command_is_answered_with_our_version(home: Path, command: Any) -> None:
    with rig(home, role("a")) as it:
        assert "unknown command" in it.daemon.requests.answer({"command": command})["error"]


def test_known_and_unknown_profiles_are_told_apart(home: Path) -> None:
    with rig(home, role("a"), role("b")) as it:
        engine = it.daemon.loop.engine
        it.daemon.loop.open()

        reply = it.daemon.requests.answer({"command": "refresh", "profiles": ["b", "nobody"]})
        assert reply == {"accepted": ["b"], "unknown": ["nobody"]}
        assert engine.inbox.get_nowait() == Refresh(("b",))
        assert it.daemon.requests.answer({"command": "refresh"})["accepted"] == ["a", "b"]
        assert engine.inbox.get_nowait() == Refresh(("a", "b"))
        assert it.daemon.requests.answer({"command": "look", "profiles": ["a", "nobody"]}) == {"accepted": ["a"]}
        assert engine.inbox.get_nowait() == Wanted("a")
        assert it.daemon.requests.answer({"command": "reload"}) == {"accepted": True}
        assert engine.inbox.get_nowait() == Reload()


def test_a_fault_of_ours_is_an_answer_and_a_line_in_the_log(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with rig(home, role("a")) as it:
        monkeypatch.setattr(requests, "document", lambda snapshot, now: 1 / 0)

        reply = it.daemon.requests.answer({"command": "status"})

        assert "ZeroDivisionError" in reply["error"]
        assert [facts["command"] for facts in it.events("control.crashed")] == ["status"]


def test_a_status_document_goes_through_json_also_while_nothing_is_known(home: Path) -> None:
    with rig(home, role("a"), role("off", enabled=False)) as it:
        document = it.daemon.requests.answer({"command": "status"})

        assert json.loads(json.dumps(document)) == document
        assert document["daemon"]["clock_offset_seconds"] is None
        assert [entry["state"] for entry in document["roles"]] == ["pending", "pending"]
        assert [entry["waits"] == "disabled" for entry in document["roles"]] == [False, True]


def test_what_is_asked_of_a_daemon_that_has_only_begun_to_listen_is_done(sts: FakeSts, home: Path) -> None:
    """Nothing is known of its roles yet: they are not unknown, and none of them is up to date."""
    with rig(home, role("a"), role("b"), role("off", enabled=False)) as it:
        answers = [
            it.daemon.requests.answer({"command": "refresh", **more})
            for more in ({"profiles": ["a", "off"]}, {}, {"due_only": True})
        ]

        assert [answer["accepted"] for answer in answers] == [["a"], ["a", "b"], ["a", "b"]]
        assert [answer["unknown"] for answer in answers] == [["off"], [], []]


@pytest.mark.parametrize(("offset", "refused"), [(0.0, False), (300.0, False), (-300.0, False), (7200.0, True)])
def test_the_clock_is_compared_with_every_answer_of_sts_also_with_a_refusal(
    sts: FakeSts, home: Path, offset: float, refused: bool
) -> None:
    sts.rule("*", clock_offset=offset)
    with rig(home, role("a")) as it:
        assert one_round(it.daemon, lambda *_: None) is not refused

        assert it.daemon.requests.answer({"command": "status"})["daemon"]["clock_offset_seconds"] == pytest.approx(
            offset, abs=2
        )
        assert len(it.events("clock.skewed")) == (1 if offset else 0)


@pytest.mark.parametrize(("offset", "warned"), [(0.0, False), (50.0, False), (300.0, True), (-300.0, True)])
def test_check_warns_of_a_clock_that_a_running_daemon_has_seen_to_be_off(
    sts: FakeSts, home: Path, offset: float, warned: bool
) -> None:
    sts.rule("*", clock_offset=offset)
    with rig(home, role("a")) as it:
        one_round(it.daemon, lambda *_: None)
        server = ControlServer(socket_path(it.state), lambda request: it.daemon.requests.answer(request))
        server.start()
        try:
            shown = CliRunner().invoke(check, ["--config", str(it.config_path), "--json"], standalone_mode=False)
        finally:
            server.stop()

    clock = [f for f in json.loads(shown.output)["findings"] if f["subject"] == "this machine's clock"]
    assert bool(clock) is warned
    if warned:
        assert clock[0]["severity"] == "warning"
        assert ("behind" if offset > 0 else "ahead of") in clock[0]["message"]


def test_without_a_daemon_check_says_nothing_about_the_clock(home: Path) -> None:
    with rig(home, role("a")) as it:
        shown = CliRunner().invoke(check, ["--config", str(it.config_path), "--json"], standalone_mode=False)

    assert "clock" not in shown.output


def test_what_a_shell_had_exported_is_taken_out_of_the_environment_and_remembered() -> None:
    environ = {
        "AWS_ACCESS_KEY_ID": "AKIA1",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_PROFILE": "prod",
        "AWS_REGION": "us-west-2",
        "PATH": "/bin",
    }

    taken = take_shell_variables(environ)

    assert environ == {"AWS_REGION": "us-west-2", "PATH": "/bin"}
    assert taken == {"AWS_ACCESS_KEY_ID": "AKIA1", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_PROFILE": "prod"}


def test_no_secret_of_sts_is_in_the_status_or_in_what_is_said(sts: FakeSts, home: Path) -> None:
    sts.rule(arn("b"), error="AccessDenied")
    with rig(home, role("a"), role("b")) as it:
        one_round(it.daemon, lambda *_: None)
        text = json.dumps(it.daemon.requests.answer({"command": "status"})) + repr(it.said)

    assert [secret for secret in sts.secrets() if secret in text] == []
