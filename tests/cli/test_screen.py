"""The status on a terminal, once and as the screen that one leaves open: what stands where, and what gives way."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from assumed.cli.screen import Screen, changes
from cli.documents import DENIED, NOW, document, iso, role

FAILING = {"state": "failing", "failures": 3, "last_error": DENIED}
EVENTS = [
    {"at": iso(NOW - 90_000), "level": "info", "event": "daemon.started", "profile": None, "message": "has started"},
    {
        "at": iso(NOW - 65),
        "level": "warning",
        "event": "role.renewal_failed",
        "profile": "b",
        "message": "AccessDenied",
    },
    {"at": iso(NOW - 5), "level": "info", "event": "role.renewed", "profile": "a", "message": "new session for 1 h"},
]


def shown(
    *roles: dict[str, Any],
    size: tuple[int, int | None] = (80, 24),
    events: list[dict[str, Any]] | None = None,
    colour: bool = False,
    hint: str = "",
    show_all: bool = False,
    **facts: Any,
) -> list[str]:
    """The lines of a screen, without the spaces at their ends."""
    out = io.StringIO()
    console = Console(
        file=out, width=size[0], force_terminal=True, color_system="standard" if colour else None, markup=False
    )
    utc = lambda at: datetime.fromtimestamp(at, UTC)  # noqa: E731
    screen = Screen(console, NOW, size[1], show_all, hint, clock=utc)
    console.print(screen.of({**document(*roles, **facts), "events": events}), end="")
    return [line.rstrip() for line in out.getvalue().splitlines()]


def names(lines: list[str]) -> list[str]:
    """The profiles of the table."""
    return [line.split()[0] for line in lines if re.match(r"[a-z]\S*( and \S+ more)? +(fresh|failing|renewed) ", line)]


def test_trouble_is_at_the_top_and_the_newest_event_at_the_bottom() -> None:
    """The whole screen, as a person sees it."""
    lines = shown(role("a"), role("b", left=300.0, **FAILING), role("c"), size=(80, 18), events=EVENTS, hint="q quits")
    assert lines == [
        "assumed 0.1.0 · pid 4711 · up 3h 20m · /home/natan/.config/assumed/config.toml",
        "2 fresh · 1 failing                                           next: a in 12m 10s",
        "",
        "PROFILE  STATE        LEFT                 RENEWAL  DELIVERY",
        "b        failing      ▊░░░░░░░░░  5m 00s   in 12m   keys",
        "  AccessDenied: User: arn:aws:iam::123456789012:user/natan is not authorized to",
        "  perform: sts:AssumeRole",
        "  → Allow sts:AssumeRole on the role in a policy of the user, and the user in",
        "    the role's trust policy",
        "a        fresh        ██████▊░░░  41m 07s  in 12m   keys",
        "c        fresh        ██████▊░░░  41m 07s  in 12m   keys",
        "",
        "",
        "",
        "LAST EVENTS                                                              q quits",
        "14.01.       has started",
        "07:58:55  b  AccessDenied",
        "07:59:55  a  new session for 1 h",
    ]


MANY = [role(f"r{n}", next_renewal=iso(NOW + 1000 - n)) for n in range(100)]


@pytest.mark.parametrize("size", [(80, 24), (60, 15), (120, 40), (20, 5), (200, 60), (8, 3), (80, 1), (1, 1)], ids=str)
@pytest.mark.parametrize("colour", [True, False])
def test_it_fits_whatever_the_terminal(size: tuple[int, int], colour: bool) -> None:
    """Nothing wraps and nothing scrolls."""
    roles = [*MANY, *(role(f"broken{n}", **FAILING) for n in range(20)), role("名前" * 30)]
    lines = shown(*roles, size=size, colour=colour, events=EVENTS * 6, config_error="x " * 300, file_error="y")
    assert len(lines) <= size[1]
    assert all(cell_len(re.sub(r"\x1b\[[0-9;]*m", "", line)) <= size[0] for line in lines)


def test_colours_change_nothing_but_colours() -> None:
    """NO_COLOR loses no fact."""
    roles = role("a"), role("b", **FAILING)
    coloured = shown(*roles, events=EVENTS, colour=True)
    assert any("\x1b[33m" in line for line in coloured)
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in coloured]
    assert plain == shown(*roles, events=EVENTS)


def test_where_not_all_fit_those_that_fail_have_their_line_before_a_sentence_has_room() -> None:
    """Grouped where they fail alike; --all shows each."""
    broken = [role(f"broken{n}", **{**FAILING, "last_error": {**DENIED, "message": f"no {n}"}}) for n in range(12)]
    lines = shown(*MANY, *broken, events=EVENTS)
    assert names(lines) == [f"broken{n}" for n in range(12)]
    assert len(lines) == 24
    assert "… and 100 fresh" in lines
    alike = shown(*(role(f"b{n}", **FAILING) for n in range(3)))
    assert names(alike) == ["b0"]
    assert "and 2 more" in alike[4]
    assert len(names(shown(*(role(f"b{n}", **FAILING) for n in range(3)), show_all=True))) == 3


def test_without_a_height_every_role_is_shown_and_no_event() -> None:
    """`assumed status` scrolls, and is no log."""
    lines = shown(*MANY, size=(80, None), events=EVENTS)
    assert len(names(lines)) == 100
    assert not any("LAST EVENTS" in line for line in lines)


def test_a_renewal_in_flight_is_seen() -> None:
    """In the summary, and in the role's line."""
    flying = role("a", next_renewal=None, waits="a renewal is in flight")
    lines = shown(flying, role("b"))
    assert lines[1].endswith("renewing a")
    assert " now " in lines[4]


def test_without_a_daemon_the_sessions_on_the_disk_are_shown() -> None:
    """Readers find them all the same."""
    lines = shown(role(), running=False)
    assert lines[0].startswith("assumed is not running")
    assert names(lines) == ["my-role"]


def test_bars_show_the_share_of_life_that_is_left_and_are_longer_on_a_wide_terminal() -> None:
    """In eighths of a column, never more than the whole."""
    assert [shown(role(), size=(columns, 24))[4].count("█") for columns in (80, 120)] == [6, 20]
    for left, life, bar in [
        (3600.0, 3600.0, "██████████"),
        (1850.0, 3600.0, "█████▏░░░░"),
        (-9.0, 3600.0, "░░░░░░░░░░"),
        (9999.0, 3600.0, "██████████"),
        (None, None, "░░░░░░░░░░"),
        (5.0, 0.0, "██████████"),
    ]:
        assert shown(role(left=left, life=life))[4].split()[2] == bar


def test_a_narrow_terminal_keeps_the_profile_its_state_and_its_time() -> None:
    """Other columns go first."""
    assert shown(role(), size=(40, 24))[4].split() == ["my-role", "fresh", "41m", "07s"]


def test_text_from_outside_is_neither_markup_nor_control_characters() -> None:
    """Of an event, of an error, of a profile."""
    event = {**EVENTS[0], "profile": "\x1b[2J[bold]", "message": "a\x1b[31mb\r\n[link=x]"}
    error = {**DENIED, "message": "[red]\x1b[2Jgotcha[/red] :smile:"}
    text = "\n".join(shown(role("[x]", **{**FAILING, "last_error": error}), events=[event]))
    assert "\x1b" not in text
    assert all(word in text for word in ("[bold]", "[link=x]", "[red]", "[/red] :smile:", "[x]"))


def test_a_sentence_without_a_mark_begins_at_the_left_edge() -> None:
    """What is wrong beyond single roles, on a terminal."""
    lines = shown(role(), file_error="line 3 is broken", size=(80, None))
    assert lines[-1].startswith("cannot write ")


def test_an_older_daemon_that_tells_no_events_is_shown_all_the_same() -> None:
    """The keys of a status only grow."""
    assert shown(role(), events=None)[4].startswith("my-role")


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ([role("a")], [role("a", left_seconds=5.0, next_renewal=None)], []),
        ([role("a"), role("b")], [role("a"), role("b", issued_at="later")], ["b"]),
        ([role("a")], [role("a", **FAILING)], ["a"]),
        ([role("a")], [role("a"), role("b")], ["a", "b"]),
    ],
)
def test_lines_for_a_pipe_come_when_something_has_changed(
    before: list[dict[str, Any]], after: list[dict[str, Any]], named: list[str]
) -> None:
    """Time alone is no news."""
    lines = [str(line) for line in changes(document(*before), document(*after), NOW)]
    assert [line.split()[0] for line in lines if re.match(r"[ab] ", line)] == named
    assert bool(lines) == bool(named)


def test_lines_for_a_pipe_begin_with_everything_and_say_when_the_daemon_goes() -> None:
    """A log of what happened."""
    first = changes(None, document(role("a")), NOW)
    assert str(first[0]).startswith("assumed 0.1.0")
    gone = changes(document(role("a")), document(role("a"), running=False), NOW)
    assert str(gone[0]).startswith("assumed is not running")
