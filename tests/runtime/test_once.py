"""One round: every due role tried once, an outcome for each, and no waiting for what cannot come."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from botocore.configloader import raw_config_parse

from assumed.runtime.once import RENEWED, one_round
from world.fake_sts import FakeSts
from world.waiting import in_time

from .kit import arn, rig, role


def test_every_role_is_renewed_and_written(sts: FakeSts, home: Path) -> None:
    outcomes: list[tuple[str, str]] = []
    with rig(home, role("a"), role("b"), role("child", source_profile="a")) as it:
        assert one_round(it.daemon, lambda *outcome: outcomes.append(outcome))

    assert sorted(outcomes) == [("a", RENEWED), ("b", RENEWED), ("child", RENEWED)]
    assert {"a", "b", "child", "default"} <= set(raw_config_parse(str(it.credentials)))


def test_a_second_round_asks_for_nothing(sts: FakeSts, home: Path) -> None:
    for _ in range(2):
        outcomes: list[tuple[str, str]] = []
        with rig(home, role("a")) as it:
            assert one_round(it.daemon, lambda *outcome: outcomes.append(outcome))  # noqa: B023

    assert outcomes == []
    assert len(sts.calls) == 1


def test_a_denied_role_is_told_and_takes_nothing_from_the_others(sts: FakeSts, home: Path) -> None:
    sts.rule(arn("b"), error="AccessDenied")
    outcomes: dict[str, str] = {}
    with rig(home, role("a"), role("b")) as it:
        assert not one_round(it.daemon, outcomes.__setitem__)

    assert outcomes["a"] == RENEWED
    assert "not authorized" in outcomes["b"]
    assert arn("b") in outcomes["b"]


def test_what_hangs_below_a_role_that_failed_is_not_waited_for(sts: FakeSts, home: Path) -> None:
    sts.rule(arn("hub"), error="AccessDenied")
    outcomes: dict[str, str] = {}
    roles = [role("hub"), role("child", source_profile="hub"), role("grandchild", source_profile="child")]
    with rig(home, *roles) as it:
        assert not one_round(it.daemon, outcomes.__setitem__)

    assert len(sts.calls) == 1
    assert "hub" in outcomes["child"]
    assert "child" in outcomes["grandchild"]


@pytest.mark.proof
@pytest.mark.parametrize("what", ["the network is down", "the source has no keys"])
def test_more_roles_than_workers_do_not_wait_for_a_source_that_is_down(sts: FakeSts, home: Path, what: str) -> None:
    """Once a few have found it down the rest is held back: that is their outcome."""
    sts.outage(True)
    outcomes: dict[str, str] = {}
    began = time.monotonic()
    source = {"source_profile": "nobody"} if what == "the source has no keys" else {}
    with rig(home, *(role(f"r{n}", **source) for n in range(25))) as it:
        assert not one_round(it.daemon, outcomes.__setitem__)

    assert in_time(began, 8)
    assert len(outcomes) == 25
    assert all(outcome != RENEWED for outcome in outcomes.values())


def test_a_throttled_burst_is_tried_again_within_the_round(sts: FakeSts, home: Path) -> None:
    sts.rule("*", error="Throttling", times=1)
    outcomes: dict[str, str] = {}
    with rig(home, *(role(f"r{n}") for n in range(12))) as it:
        one_round(it.daemon, outcomes.__setitem__)

    assert sum(1 for outcome in outcomes.values() if outcome == RENEWED) == 11
    assert sum("Rate exceeded" in outcome for outcome in outcomes.values()) == 1


def test_a_profile_that_is_not_ours_to_take_is_told(sts: FakeSts, home: Path) -> None:
    with rig(home, role("a"), role("default", source_profile="other")) as it:
        it.credentials.write_text(it.credentials.read_text() + it.credentials.read_text().replace("default", "other"))
        outcomes: list[tuple[str, str]] = []
        assert not one_round(it.daemon, lambda *outcome: outcomes.append(outcome))

    assert ("a", RENEWED) in outcomes
    assert [text for profile, text in outcomes if profile == "default" and "long-term keys" in text]


def test_a_role_that_leaves_the_configuration_is_not_waited_for(
    sts: FakeSts, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round may last for minutes; its configuration may be edited meanwhile."""
    monkeypatch.setenv("WATCHDOG_USEC", "200000")  # a look at the files every 0.1 s
    sts.rule(arn("b"), fault="hang")
    outcomes: dict[str, str] = {}
    with rig(home, role("a"), role("b")) as it:

        def note(profile: str, outcome: str) -> None:
            outcomes[profile] = outcome
            it.config_path.write_text(it.config.text.replace('profile = "b"', 'enabled = false\nprofile = "b"'))

        assert one_round(it.daemon, note)
    assert outcomes == {"a": RENEWED}


def test_a_session_that_the_disk_did_not_take_is_not_a_good_end(sts: FakeSts, home: Path) -> None:
    """Readers by `credential_process` find nothing: nobody stores it after the round."""
    outcomes: list[tuple[str, str]] = []
    with rig(home, role("a", deliver="process")) as it:
        it.state.mkdir(0o700)
        (it.state / "sessions" / "a.json").mkdir(0o700, parents=True)
        assert not one_round(it.daemon, lambda *outcome: outcomes.append(outcome))
    assert outcomes[0] == ("a", RENEWED)
    assert [profile for profile, _ in outcomes[1:]] == ["a"]
