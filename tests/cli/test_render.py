"""The status as people see it: text in, lines out, whatever the terminal."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assumed.cli.render import Terminal, bar, columns_of, in_words, padded, render
from cli.documents import DENIED, NOW, document, role

ROLES: list[dict[str, Any]] = [
    role(),
    role("a-profile-with-a-name-that-goes-on-and-on", left=43_140.0, life=43_200.0, deliver="process"),
    role("broken", left=300.0, state="failing", failures=3, last_error=DENIED),
    role("mfa", left=None, life=None, state="needs_login", delivered=False, next_renewal=None),
    role("new", left=None, life=None, state="pending", delivered=False, next_renewal=None),
]


def shown(*roles: dict[str, Any], terminal: Terminal | None = None, **facts: Any) -> list[str]:
    return render(document(*roles, **facts), NOW, terminal or Terminal())


def test_eighty_columns_hold_a_whole_status() -> None:
    assert shown(*ROLES) == [
        "assumed 0.1.0 · pid 4711 · up 3h 20m · /home/natan/.config/assumed/config.toml",
        "",
        "PROFILE                   STATE        LEFT                 RENEWAL  DELIVERY",
        "broken                    failing      ▊░░░░░░░░░  5m 00s   in 12m   keys",
        "  AccessDenied: User: arn:aws:iam::123456789012:user/natan is not authorized to",
        "  perform: sts:AssumeRole",
        "  → Allow sts:AssumeRole on the role in a policy of the user, and the user in",
        "    the role's trust policy",
        "mfa                       needs login  ░░░░░░░░░░  -        -        not written",
        "  It needs a login.",
        "new                       pending      ░░░░░░░░░░  -        -        not written",
        "my-role                   fresh        ██████▊░░░  41m 07s  in 12m   keys",
        "a-profile-with-a-name-t…  fresh        █████████▉  11h 59m  in 12m   process",
    ]


def test_a_terminal_without_block_characters_gets_ascii_alone() -> None:
    lines = shown(*ROLES, terminal=Terminal(unicode=False))
    assert "my-role                   fresh        #######---  41m 07s  in 12m   keys" in lines
    assert "a-profile-with-a-name-t~  fresh        ##########  11h 59m  in 12m   process" in lines
    assert all(line.isascii() for line in lines)


def test_colours_change_nothing_but_colours() -> None:
    coloured = shown(*ROLES, terminal=Terminal(colour=True))
    assert any("\x1b[31m" in line or "\x1b[33m" in line for line in coloured)
    assert [re.sub(r"\x1b\[\d+m", "", line) for line in coloured] == shown(*ROLES)


def test_without_colour_there_is_no_control_character() -> None:
    assert "\x1b" not in "".join(shown(*ROLES, config_error="x", file_error="y"))


@pytest.mark.parametrize("width", [8, 20, 40, 60, 79, 80, 81, 132, 400])
@pytest.mark.parametrize("unicode", [True, False])
def test_no_line_is_wider_than_the_terminal(width: int, unicode: bool) -> None:
    lines = shown(*ROLES, terminal=Terminal(width, unicode=unicode), config_error="a:1: " + "x" * 200, file_error="no")
    assert max(map(columns_of, lines)) <= width


def test_a_narrow_terminal_keeps_the_profile_its_state_and_its_time() -> None:
    line = shown(role(), terminal=Terminal(30))[3]
    assert line.split() == ["my-role", "fresh", "41m", "07s"]


def test_a_wide_terminal_does_not_shorten_a_long_name() -> None:
    assert "a-profile-with-a-name-that-goes-on-and-on " in "\n".join(shown(*ROLES, terminal=Terminal(132)))


@pytest.mark.parametrize("height", [6, 8, 10, 14])
def test_a_low_terminal_shows_the_roles_that_need_somebody_first(height: int) -> None:
    roles = [role(f"well-{number}") for number in range(30)]
    roles.insert(20, role("broken", left=300.0, state="failing", last_error=DENIED))
    lines = shown(*roles, terminal=Terminal(height=height))
    assert len(lines) <= height
    assert any(line.startswith("broken ") for line in lines)
    assert re.fullmatch(r"… \d+ more", lines[-1])


def test_without_a_daemon_it_says_whose_sessions_these_are() -> None:
    assert shown(role(), running=False)[0] == "assumed is not running; this is what readers find on the disk"


def test_a_bad_configuration_is_shown_with_every_problem_while_the_last_good_one_goes_on() -> None:
    lines = shown(role(), config_error="config.toml:3: no such key\nconfig.toml:9: no role")
    assert lines[-3:] == [
        "The configuration has an error; the last good one goes on:",
        "  config.toml:3: no such key",
        "  config.toml:9: no role",
    ]


def test_a_credentials_file_that_cannot_be_written_is_named_with_the_reason() -> None:
    lines = shown(role(), file_error="it is mounted by itself; mount its directory")
    assert " ".join(lines[-2:]) == (
        "/home/natan/.aws/credentials is not written: it is mounted by itself; mount its directory"
    )


def test_a_message_cannot_move_the_cursor_or_add_lines() -> None:
    error = {**DENIED, "message": "\x1b[2J\rgotcha\nrole  fresh", "advice": ""}
    lines = shown(role("x", state="failing", last_error=error))
    assert lines[-1] == "  AccessDenied: \\x1b[2J gotcha role  fresh"


def test_a_role_that_renews_at_this_moment_says_now() -> None:
    assert " now " in shown(role(next_renewal="2020-01-01T00:00:00Z"))[3]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0s"),
        (0.9, "0s"),
        (59.9, "59s"),
        (60, "1m 00s"),
        (2467, "41m 07s"),
        (3599, "59m 59s"),
        (3600, "1h 00m"),
        (43140, "11h 59m"),
        (86400, "1d 00h"),
        (129600, "1d 12h"),
    ],
)
def test_time_is_said_in_two_units_and_never_rounded_up(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


@pytest.mark.parametrize(
    ("left", "life", "drawn", "ascii_drawn"),
    [
        (3600.0, 3600.0, "██████████", "##########"),
        (1800.0, 3600.0, "█████░░░░░", "#####-----"),
        (1850.0, 3600.0, "█████▏░░░░", "#####-----"),
        (0.0, 3600.0, "░░░░░░░░░░", "----------"),
        (-9.0, 3600.0, "░░░░░░░░░░", "----------"),
        (9999.0, 3600.0, "██████████", "##########"),
        (None, None, "░░░░░░░░░░", "----------"),
        (5.0, 0.0, "░░░░░░░░░░", "----------"),
    ],
)
def test_the_bar_shows_the_share_of_life_that_is_left(
    left: float | None, life: float | None, drawn: str, ascii_drawn: str
) -> None:
    assert bar(left, life, Terminal()) == drawn
    assert bar(left, life, Terminal(unicode=False)) == ascii_drawn


@given(left=st.floats(0, 1e6), life=st.floats(0.001, 1e6), unicode=st.booleans())
def test_the_bar_always_takes_ten_columns(left: float, life: float, unicode: bool) -> None:
    assert len(bar(left, life, Terminal(unicode=unicode))) == 10


@given(text=st.text(), width=st.integers(1, 30))
def test_a_padded_text_takes_exactly_its_columns(text: str, width: int) -> None:
    assert columns_of(padded(text, width, Terminal())) == width
