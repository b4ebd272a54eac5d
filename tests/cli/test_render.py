"""The status in a pipe: a document in, plain lines out."""

from __future__ import annotations

from typing import Any

import pytest

from assumed.cli.render import in_words, render
from cli.documents import DENIED, NOW, document, role

ROLES: list[dict[str, Any]] = [
    role(),
    role("a-profile-with-a-name-that-goes-on", left=43_140.0, life=43_200.0, deliver="process"),
    role("broken", left=300.0, state="failing", failures=3, last_error=DENIED),
    role("mfa", left=None, life=None, state="needs_login", delivered=False, next_renewal=None),
    role("new", left=None, life=None, state="pending", delivered=False, next_renewal=None),
    role("off", left=None, life=None, state="pending", delivered=False, next_renewal=None, enabled=False),
]


def shown(*roles: dict[str, Any], **facts: Any) -> list[str]:
    return [str(line) for line in render(document(*roles, **facts), NOW)]


def test_a_pipe_gets_a_line_for_each_role_and_unwrapped_sentences_under_it() -> None:
    """Stable for grep and awk: columns as wide as what stands in them, trouble first."""
    assert shown(*ROLES) == [
        "assumed 0.1.0 · pid 4711 · up 3h 20m · /home/natan/.config/assumed/config.toml",
        "",
        "PROFILE                             STATE        LEFT     RENEWAL  DELIVERY",
        "broken                              failing      5m 00s   in 12m   keys",
        f"  AccessDenied: {DENIED['message']}",
        f"  → {DENIED['advice']}",
        "mfa                                 needs login  -        -        not written",
        "  It needs a login.",
        "new                                 pending      -        -        not written",
        "my-role                             fresh        41m 07s  in 12m   keys",
        "a-profile-with-a-name-that-goes-on  fresh        11h 59m  in 12m   process",
        "off                                 disabled     -        -        -",
    ]


def test_roles_that_fail_alike_are_one_line_unless_all_are_asked_for() -> None:
    """A thousand roles of one source that is down are one trouble."""
    waiting = {"state": "failing", "left_seconds": 10.0, "last_error": DENIED}
    roles = [role(f"r{number}", **waiting) for number in range(1200)]
    assert [line.split("  ")[0] for line in shown(*roles)[3:4]] == ["r0 and 1,199 more"]
    assert len(render(document(*roles), NOW, show_all=True)) == 3 + 3 * 1200


def test_without_a_daemon_it_says_that_the_disk_is_shown() -> None:
    """Exit status 3 says so, too."""
    assert "not running" in shown(role(), running=False)[0]
    stuck = document(role(), running=False)
    assert "does not answer" in str(render({**stuck, "daemon_error": "no answer within 5 s"}, NOW)[0])


@pytest.mark.parametrize(
    ("facts", "ends_with"),
    [
        ({"config_error": "config.toml:3: no such key\nconfig.toml:9: no role"}, ["no such key", "no role"]),
        ({"file_error": "line 3 is broken"}, ["cannot write /home/natan/.aws/credentials: line 3 is broken"]),
        ({"watch_error": "no inotify"}, ["no inotify"]),
        ({"beat_age_seconds": 240.0}, ["look at that first"]),
    ],
)
def test_what_is_wrong_beyond_single_roles_stands_at_the_end(facts: dict[str, Any], ends_with: list[str]) -> None:
    """Each problem on its own line."""
    lines = shown(role(), **facts)
    assert all(line.endswith(end) for line, end in zip(lines[-len(ends_with) :], ends_with, strict=True))


def test_an_error_that_names_the_credentials_file_is_shown_as_it_is() -> None:
    """The path is not said twice."""
    error = "cannot write /home/natan/.aws/credentials: the disk is full"
    assert shown(role(), file_error=error)[-1] == error


def test_a_message_cannot_move_the_cursor_or_add_lines() -> None:
    """Text from outside is one line without control characters."""
    error = {**DENIED, "message": "\x1b[2J\rgotcha\nrole  fresh", "advice": ""}
    lines = shown(role("x", state="failing", last_error=error))
    assert lines[-1] == "  AccessDenied: \\x1b[2J gotcha role  fresh"


def test_a_role_that_renews_at_this_moment_says_now() -> None:
    """Due by the clock, or in flight."""
    assert " now " in shown(role(next_renewal="2020-01-01T00:00:00Z"))[3]
    assert " now " in shown(role(next_renewal=None, waits="a renewal is in flight"))[3]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0s"), (0.9, "0s"), (59.9, "59s"), (60, "1m 00s"), (3599, "59m 59s"), (43140, "11h 59m"), (129600, "1d 12h")],
)
def test_time_is_said_in_two_units_and_never_rounded_up(seconds: float, words: str) -> None:
    """A session never looks longer than it is."""
    assert in_words(seconds) == words
