"""What edits, stops and starts do to existing sessions: none is lost, and no outdated one is kept."""

from __future__ import annotations

import json
import signal
import threading
from contextlib import suppress
from typing import Any, Self

import pytest

from process.kit import arn, key_of, text
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

OTHER = "arn:aws:iam::999999999999:role/other"


class Keys:
    """Records every access key id that readers of one profile could find, in the file or in the store."""

    def __init__(self, home: Home, profile: str) -> None:
        self.seen: set[str] = set()
        self._home, self._profile = home, profile
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="keys", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def _read(self) -> None:
        while not self._stop.wait(0.005):
            self._look()

    def _look(self) -> None:
        self.seen.add(key_of(self._home, self._profile))
        with suppress(FileNotFoundError):
            stored = self._home.state / "sessions" / f"{self._profile}.json"
            self.seen.add(json.loads(stored.read_text())["AccessKeyId"])


def test_the_last_good_configuration_is_the_last_good_edit_even_after_a_restart(
    aws_home: Home, running: Daemon, sts: FakeSts
) -> None:
    """Not the configuration of the first start."""
    aws_home.config.write_text(text("kept", "also", "new"))
    eventually(lambda: key_of(aws_home, "new"), 3)
    aws_home.config.write_text("not TOML")
    running.wait_until(lambda status: status["daemon"]["config_error"])
    running.kill9()

    status = running.start().wait_until_fresh("kept", "also", "new")

    assert status["daemon"]["config_error"]
    assert len(sts.calls) == 3


CIRCLES = {
    "itself": {"a": "a"},
    "one another": {"a": "b", "b": "a"},
    "three of them": {"a": "b", "b": "c", "c": "a"},
}


@pytest.mark.parametrize("who", CIRCLES)
def test_a_source_profile_cycle_is_refused(who: str, aws_home: Home, running: Daemon, sts: FakeSts) -> None:
    """With the line and every role of the cycle, as an edit and at a first start."""
    circle = CIRCLES[who]
    aws_home.configure(*(role(name, arn(name), source_profile=source) for name, source in circle.items()))
    line = 1 + aws_home.config.read_text().splitlines().index(f'source_profile = "{circle["a"]}"')

    status = running.wait_until(lambda status: status["daemon"]["config_error"])
    running.stop()
    (aws_home.state / "config.last-good.toml").unlink()
    started = aws_home.assumed("run", AWS_ENDPOINT_URL_STS=sts.url)

    assert {entry["profile"]: entry["state"] for entry in status["roles"]} == {"kept": "fresh", "also": "fresh"}
    assert started.returncode == 2
    for said in (status["daemon"]["config_error"], started.stderr):
        assert f"{aws_home.config}:{line}:" in said
        assert len(circle) == 1 or " -> ".join([*circle, "a"]) in said
    assert len(sts.calls) == 2


def test_sighup_reads_an_edit_that_no_watch_reports(aws_home: Home, running: Daemon) -> None:
    """The file is written through another name of it in a directory that is not watched, before the next heartbeat."""
    elsewhere = aws_home.path / "elsewhere" / "config.toml"
    elsewhere.parent.mkdir()
    elsewhere.hardlink_to(aws_home.config)
    elsewhere.write_text(text("kept", "also", "new"))
    running.signal(signal.SIGHUP)
    eventually(lambda: key_of(aws_home, "new"), 2)


def test_a_truncated_last_role_loses_nothing(aws_home: Home, running: Daemon, sts: FakeSts) -> None:
    """Half a file may be valid TOML with a different last role: here without the policy that narrows it."""
    whole = text("kept", "also") + "policy = '{\"Statement\":[]}'\n"
    aws_home.config.write_text(whole)
    sts.wait_for_calls(2, arn("also"))
    running.wait_until_fresh("kept", "also")
    key = key_of(aws_home, "also")
    edits = len(running.events("config.loaded"))

    aws_home.config.write_text(whole[: whole.index("policy")])
    eventually(lambda: len(running.events("config.loaded")) > edits, 2)
    aws_home.config.write_text(whole + role("new", arn("new")))
    eventually(lambda: key_of(aws_home, "new"), 3)

    assert key_of(aws_home, "also") == key
    assert len(sts.calls_for(arn("also"))) == 2


def test_a_changed_credentials_file_takes_effect_at_the_next_restart(aws_home: Home, running: Daemon) -> None:
    """Lock, state and profiles belong to the old one, which stays managed until then."""
    other = aws_home.path / "other" / "credentials"
    other.parent.mkdir()
    aws_home.config.write_text(f'credentials_file = "{other}"\n' + text("kept", "also", "new"))
    error = running.wait_until(lambda status: status["daemon"]["config_error"])["daemon"]["config_error"]
    key = key_of(aws_home, "kept")
    running.ask("refresh", profiles=["kept"])
    eventually(lambda: key_of(aws_home, "kept") != key, 3)

    assert str(other) in error
    assert not other.exists()
    assert [entry["profile"] for entry in running.status()["roles"]] == ["kept", "also"]


ANOTHER: dict[str, dict[str, Any]] = {
    "account": {"role_arn": OTHER},
    "policy": {"role_arn": arn("app"), "policy": '{"Version":"2012-10-17","Statement":[]}'},
    "source": {"role_arn": arn("app"), "source_profile": "second"},
}


@pytest.mark.parametrize("what", ANOTHER)
def test_a_start_removes_the_session_of_a_changed_role_before_it_calls_sts(
    what: str, sts: FakeSts, aws_home: Home, daemon: Daemon
) -> None:
    """Edited while no daemon runs: while STS is slow, readers find nothing rather than the old session."""
    sts.rule("*", session_seconds=900)
    aws_home.add_source(sts.source.access_key_id, sts.source.secret_access_key, profile="second")
    aws_home.configure(role("app", arn("app")))
    daemon.start().wait_until_fresh("app")
    daemon.stop()
    old = sts.calls[0].issued
    sts.rule("*", session_seconds=900, latency=0.5)
    aws_home.configure(role("app", **ANOTHER[what]))

    daemon.start(answering=False)
    eventually(lambda: len(sts.calls) > 1, 20)
    with Keys(aws_home, "app") as keys:
        daemon.wait_until_fresh("app")

    assert old not in keys.seen
    assert keys.seen - {""} == {sts.calls[1].issued}


def test_a_late_answer_for_a_changed_role_is_discarded(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """STS answers slowly; meanwhile the role changes. Its key never appears, not for a moment."""
    sts.rule("*", session_seconds=900, latency=0.5)
    sts.rule(arn("before"), latency=2.0)
    aws_home.configure(role("app", arn("before")), role("other", arn("other")))
    with Keys(aws_home, "app") as keys:
        daemon.start()
        eventually(lambda: sts.calls_for(arn("before")), 5)
        aws_home.configure(role("app", arn("now")), role("other", arn("other")))
        daemon.signal(signal.SIGHUP)
        daemon.wait_until_fresh("app", "other")

    (late,) = sts.calls_for(arn("before"))
    (now,) = sts.calls_for(arn("now"))
    assert late.outcome == "ok"
    assert keys.seen - {""} == {now.issued}


def test_a_session_that_arrives_just_before_a_stop_is_written(sts: FakeSts, aws_home: Home, daemon: Daemon) -> None:
    """It waits to be written together with others; a stop writes it at once."""
    sts.rule("*", session_seconds=900)
    names = ("first", "second")
    aws_home.configure(*(role(name, arn(name)) for name in names))
    daemon.start().wait_until_fresh(*names)
    sts.rule(arn("second"), session_seconds=900, latency=0.1)  # while the first one has just been written

    daemon.ask("refresh", profiles=list(names))
    eventually(lambda: len(daemon.events("role.renewed")) == 4, 5, every=0.002)
    assert daemon.stop() == 0

    assert {name: key_of(aws_home, name) for name in names} == {
        call.role_arn.rpartition("/")[2]: call.issued for call in sts.calls[2:]
    }
