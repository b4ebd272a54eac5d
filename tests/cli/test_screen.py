"""The screen that one leaves open: what stands where, and what gives way."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from assumed.cli.render import Terminal, columns_of
from assumed.cli.screen import MARKED, Memory, is_short, screen
from assumed.cli.watch import changes
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
    size: tuple[int, int] = (80, 24),
    memory: Memory | None = None,
    events: list[dict[str, Any]] | None = None,
    **facts: Any,
) -> list[str]:
    seen = {**document(*roles, **{k: v for k, v in facts.items() if k not in ("keys", "terminal")}), "events": events}
    terminal = Terminal(size[0], size[1], **facts.get("terminal", {}))
    utc = lambda at: datetime.fromtimestamp(at, UTC)  # noqa: E731
    return screen(seen, NOW, terminal, memory or Memory(), keys=facts.get("keys", False), clock=utc)


def test_trouble_is_at_the_top_and_the_newest_event_at_the_bottom() -> None:
    lines = shown(role("a"), role("b", left=300.0, **FAILING), role("c"), size=(80, 18), events=EVENTS, keys=True)
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
@pytest.mark.parametrize("terminal", [{}, {"unicode": False}, {"colour": True}], ids=str)
def test_it_fits_whatever_the_terminal(size: tuple[int, int], terminal: dict[str, Any]) -> None:
    roles = [*MANY, *(role(f"broken{n}", **FAILING) for n in range(20))]
    lines = shown(*roles, size=size, terminal=terminal, events=EVENTS * 6, config_error="x " * 300, file_error="y")
    assert len(lines) <= size[1]
    assert all(columns_of(re.sub(r"\x1b\[[0-9;]*m", "", line)) <= size[0] for line in lines)
    assert all(is_short(line, Terminal(size[0])) for line in lines if not line)


def test_where_not_all_fit_those_that_fail_and_those_that_are_next_do() -> None:
    """All that fail have their line before one of them has its sentence."""
    lines = shown(*MANY, *(role(f"broken{n}", **FAILING) for n in range(3)), events=EVENTS)
    names = [line.split()[0] for line in lines if re.match(r"[a-z]\w* +(fresh|failing) ", line)]
    assert names[:3] == ["broken0", "broken1", "broken2"]
    assert names[3:] == [f"r{n}" for n in range(99, 99 - len(names[3:]), -1)]
    assert len(lines) == 24
    assert f"… and {100 - len(names[3:])} fresh" in lines


def test_a_sentence_that_many_share_is_said_once() -> None:
    lines = shown(*(role(f"b{n}", **FAILING) for n in range(3)))
    assert [line.split()[0] for line in lines[4:]] == ["b0", "AccessDenied:", "perform:", "→", "the", "b1", "b2"]


def test_a_sentence_that_is_cut_keeps_the_next_step() -> None:
    lines = shown(*MANY, role("b", **FAILING), size=(60, 12), events=EVENTS)
    assert [line.strip().split()[0] for line in lines[4:8]] == ["b", "AccessDenied:", "→", "user,"]
    assert lines[5].endswith(" …")


def test_a_role_that_has_just_been_renewed_says_so_for_a_moment() -> None:
    memory = Memory()
    memory.take(document(role("a", issued_at="t1"), role("b", issued_at="t1")), NOW - 2)
    assert memory.renewed == {}
    memory.take(document(role("a", issued_at="t2"), role("b", issued_at="t1")), NOW)
    assert [line.split()[1] for line in shown(role("a"), role("b"), memory=memory)[4:6]] == ["renewed", "fresh"]
    memory.take(document(role("a", issued_at="t2"), role("c", issued_at="t1")), NOW + MARKED)
    assert memory.renewed == {}


def test_a_renewal_in_flight_is_seen() -> None:
    flying = role("a", next_renewal=None, waits="a renewal is in flight")
    lines = shown(flying, role("b"))
    assert lines[1].endswith("renewing a")
    assert " now " in lines[4]


def test_a_daemon_that_has_gone_is_missed_since_it_was_last_seen() -> None:
    memory = Memory(seen_running=NOW - 130)
    assert shown(role(), running=False, memory=memory)[0] == (
        "The daemon is not running since 07:57:50 (2m 10s). Start it with `assumed run`,…"
    )
    assert shown(role(), running=False)[0].startswith("The daemon is not running. Start it")


def test_a_daemon_that_is_stuck_is_said_to_be() -> None:
    text = " ".join(line.strip() for line in shown(role(), beat_age_seconds=240.0))
    assert "assumed answers, but has renewed nothing for 240 s" in text


def test_a_wide_terminal_has_longer_bars() -> None:
    narrow, wide = (shown(role(), size=(columns, 24))[4] for columns in (80, 120))
    assert (narrow.count("█"), wide.count("█")) == (6, 20)


def test_no_control_character_of_an_event_reaches_the_terminal() -> None:
    event = {**EVENTS[0], "profile": "\x1b[2J", "message": "a\x1b[31mb\r\n"}
    assert "\x1b" not in "".join(shown(role(), events=[event]))


def test_an_older_daemon_that_tells_no_events_is_shown_all_the_same() -> None:
    assert shown(role(), events=None)[4].startswith("my-role")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ([role("a")], [role("a", left_seconds=5.0, next_renewal=None)], []),
        ([role("a"), role("b")], [role("a"), role("b", issued_at="later")], ["b"]),
        ([role("a")], [role("a", **FAILING)], ["a"]),
        ([role("a")], [role("a"), role("b")], ["a", "b"]),
    ],
)
def test_lines_for_a_pipe_come_when_something_has_changed(
    before: list[dict[str, Any]], after: list[dict[str, Any]], said: list[str]
) -> None:
    lines = changes(document(*before), document(*after), NOW, Terminal())
    assert [line.split()[0] for line in lines if re.match(r"[ab] ", line)] == said
    assert bool(lines) == bool(said)


def test_lines_for_a_pipe_begin_with_everything_and_say_when_the_daemon_goes() -> None:
    first = changes(None, document(role("a")), NOW, Terminal())
    assert first[0].startswith("assumed 0.1.0")
    gone = changes(document(role("a")), document(role("a"), running=False), NOW, Terminal())
    assert gone[0].startswith("assumed is not running")
