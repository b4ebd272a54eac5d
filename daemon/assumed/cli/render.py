"""A status document as lines of text. Pure: document, instant, width and abilities of the terminal in, lines out."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from assumed.engine.schedule import IN_FLIGHT
from assumed.redact import printable

from .health import Document, Role, explanation, is_enabled, stuck, trouble

BAR_CELLS = 10
EIGHTHS = " ▏▎▍▌▋▊▉"
GAP = "  "
LEAST_PROFILE = 12
"""Columns that the profile keeps when the terminal is narrow: other columns go first."""

STATE_COLOURS = {
    "fresh": "32",
    "renewed": "1;32",
    "pending": "34",
    "failing": "33",
    "expired": "31",
    "needs_login": "35",
}


@dataclass(frozen=True, slots=True)
class Terminal:
    """What the lines are for. `height` None: as many lines as it takes."""

    width: int = 80
    height: int | None = None
    colour: bool = False
    unicode: bool = True
    bar_cells: int = BAR_CELLS

    def paint(self, text: str, code: str) -> str:
        """The text in a colour, where there are colours."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code else text


def render(document: Document, now: float, terminal: Terminal, show_all: bool = False) -> list[str]:
    """Lines of at most `terminal.width` columns; `now` is in POSIX seconds.

    What fails alike is one line and stands first, unless `show_all`. Where the height does not suffice, well-served
    roles give way to those that need somebody.
    """
    head, foot = [about(document, now, terminal), ""], wrong(document, terminal)
    roles = document["roles"] if show_all else collapsed(document["roles"])
    lines = table(roles, now, terminal)
    blocks = [[line, *sentences(role, terminal)] for role, line in zip(roles, lines[1:], strict=True)]
    if terminal.height is not None:
        room = terminal.height - len(head) - len(foot) - 2
        blocks = _fitted(roles, blocks, room, terminal)
    body = [line for block in blocks for line in block]
    return [*head, *lines[:1], *body, *foot][: terminal.height]


def collapsed(roles: list[Role]) -> list[Role]:
    """The roles that need somebody, then the others. Those of one source that fail alike are one entry: that of the
    role with the least time left, under its name and how many more there are."""
    groups: dict[object, list[Role]] = {}
    for role in roles:
        groups.setdefault(_alike(role), []).append(role)
    shown = []
    for group in groups.values():
        first = min(group, key=lambda role: role["left_seconds"] or 0.0)
        more = len(group) - 1
        shown.append({**first, "profile": f"{first['profile']} and {more:,} more"} if more else first)
    return sorted(shown, key=lambda role: (trouble(role) is None, role["last_error"] is None))


def _alike(role: Role) -> object:
    """What roles that fail alike have in common."""
    reason = role["last_error"] or (role.get("waits") if trouble(role) else None)
    return (role["source"], role["state"], role["delivered"], str(reason)) if reason else role["profile"]


def _fitted(roles: list[Role], blocks: list[list[str]], room: int, terminal: Terminal) -> list[list[str]]:
    """The blocks that fit into `room` lines, those with trouble first, in the order of the configuration."""
    kept: set[int] = set()
    for index in sorted(range(len(blocks)), key=lambda i: trouble(roles[i]) is None):
        if room > 0:
            kept.add(index)
            blocks[index] = blocks[index][:room]
            room -= len(blocks[index])
    hidden = len(blocks) - len(kept)
    more = [[f"{'…' if terminal.unicode else '...'} {hidden} more"]] if hidden else []
    return [block for index, block in enumerate(blocks) if index in kept] + more


def about(document: Document, now: float, terminal: Terminal) -> str:
    """A line about the daemon."""
    daemon = document["daemon"]
    if daemon is None:
        state = "does not answer" if document.get("daemon_error") else "is not running"
        text = f"assumed {state}; this is what readers find on the disk"
        return terminal.paint(shortened(text, terminal), "33")
    up = in_words(now - posix(daemon["started_at"])) if daemon["started_at"] else "?"
    parts = [f"assumed {daemon['version']}", f"pid {daemon['pid']}", f"up {up}", printable(str(daemon["config"]))]
    return shortened((" · " if terminal.unicode else ", ").join(parts), terminal)


def wrong(document: Document, terminal: Terminal) -> list[str]:
    """What is wrong beyond single roles."""
    daemon, file = document["daemon"] or {}, document["credentials_file"]
    lines: list[str] = []
    if sentence := stuck(document):
        lines += ["", *wrapped(sentence, terminal, "", "31")]
    if daemon.get("config_error"):
        lines += ["", *wrapped("The configuration has an error; the last good one goes on:", terminal, "", "33")]
        for problem in str(daemon["config_error"]).splitlines():
            lines += wrapped(problem, terminal, "  ")
    if daemon.get("watch_error"):
        lines += ["", *wrapped(str(daemon["watch_error"]), terminal, "", "33")]
    if file.get("error"):
        lines += ["", *wrapped(f"{file['path']} is not written: {file['error']}", terminal, "", "31")]
    for broken in document.get("unreadable", ()):
        lines += ["", *wrapped(f"{broken['path']} cannot be used: {broken['error']}", terminal, "", "31")]
    return lines


@dataclass(frozen=True, slots=True)
class Column:
    """A column of fixed width; those with the highest `goes` go first on a narrow terminal."""

    title: str
    width: int
    """0: as wide as the bar."""
    goes: int
    cell: Callable[[Role, float, Terminal], str]


def table(roles: list[Role], now: float, terminal: Terminal) -> list[str]:
    """The title line, and a line for each role."""
    columns = [column if column.width else replace(column, width=terminal.bar_cells) for column in COLUMNS]
    longest = max([7, *(columns_of(role["profile"]) for role in roles)])
    while columns and _rest(columns, terminal) < min(longest, LEAST_PROFILE):
        columns.remove(max(columns, key=lambda column: column.goes))
    width = max(1, min(longest, _rest(columns, terminal)))
    titles = GAP.join([padded("PROFILE", width, terminal), *(f"{c.title:<{c.width}}" for c in columns)])
    lines = [terminal.paint(titles.rstrip(), "1")]
    for role in roles:
        cells = [padded(column.cell(role, now, terminal), column.width, terminal) for column in columns]
        colour = STATE_COLOURS.get(role["state"], "") if is_enabled(role) else "2"
        for index, column in enumerate(columns):
            if column.title in COLOURED:
                cells[index] = terminal.paint(cells[index], colour)
        lines.append(GAP.join([padded(role["profile"], width, terminal), *cells]).rstrip())
    return lines


def _rest(columns: list[Column], terminal: Terminal) -> int:
    """Columns of the terminal that are left for the profile."""
    return terminal.width - sum(column.width + len(GAP) for column in columns)


def bar(left: float | None, life: float | None, terminal: Terminal) -> str:
    """Time left as a bar of `bar_cells` columns, in eighths of a column where there are block characters."""
    share = min(1.0, max(0.0, left / life)) if left is not None and life else 0.0
    cells = terminal.bar_cells
    if not terminal.unicode:
        full = round(share * cells)
        return "#" * full + "-" * (cells - full)
    full, rest = divmod(int(share * cells * 8), 8)
    part = EIGHTHS[rest] if rest else ""
    return "█" * full + part + "░" * (cells - full - len(part))


def in_words(seconds: float) -> str:
    """`59s`, `41m 07s`, `11h 59m`, `3d 04h`: two units at most, rounded down."""
    whole = max(0, int(seconds))
    for size, unit, small_size, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // small_size:02d}{small}"
    return f"{whole}s"


def _state(role: Role, _now: float, _terminal: Terminal) -> str:
    if not is_enabled(role):
        return "disabled"
    return str(role["state"]).replace("_", " ")


def _bar(role: Role, _now: float, terminal: Terminal) -> str:
    return bar(role["left_seconds"], role["life_seconds"], terminal)


def _left(role: Role, _now: float, _terminal: Terminal) -> str:
    left = role["left_seconds"]
    return in_words(left) if left is not None and left > 0 else "-"


def _renewal(role: Role, now: float, _terminal: Terminal) -> str:
    if not role["next_renewal"]:
        return "now" if role.get("waits") == IN_FLIGHT else "-"
    seconds = posix(role["next_renewal"]) - now
    return f"in {in_words(seconds).split()[0]}" if seconds >= 1 else "now"


def _delivery(role: Role, _now: float, _terminal: Terminal) -> str:
    if not is_enabled(role):
        return "-"
    return str(role["deliver"]) if role["delivered"] else "not written"


COLUMNS = (
    Column("STATE", 11, 0, _state),
    Column("LEFT", 0, 3, _bar),
    Column("", 7, 1, _left),
    Column("RENEWAL", 7, 2, _renewal),
    Column("DELIVERY", 11, 4, _delivery),
)
COLOURED = ("STATE", "LEFT")


def sentences(role: Role, terminal: Terminal) -> list[str]:
    """What is wrong with the role, and what to do about it."""
    error = role["last_error"]
    if error is None:
        quiet = role["state"] == "pending" and not role.get("waits")
        text = explanation(role)
        return [] if quiet or not text else wrapped(f"{text[0].upper()}{text[1:]}.", terminal, "  ")
    what = f"{error['code']}: {error['message']}" if error["code"] else error["message"]
    lines = wrapped(what, terminal, "  ")
    if error["advice"]:
        lines += wrapped(error["advice"], terminal, "  → " if terminal.unicode else "  -> ", "1")
    return lines


def wrapped(text: str, terminal: Terminal, indent: str, colour: str = "") -> list[str]:
    """The text in lines that fit, the first after `indent` and the others under it."""
    text = printable(text)
    # textwrap counts characters: wide ones take two columns each.
    width = terminal.width if columns_of(text) == len(text) else terminal.width // 2
    lines = textwrap.wrap(text, max(width, len(indent) + 1), initial_indent=indent, subsequent_indent=" " * len(indent))
    return [terminal.paint(line, colour) for line in lines]


def columns_of(text: str) -> int:
    """Columns that the text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def shortened(text: str, terminal: Terminal, width: int | None = None) -> str:
    """The text, cut with an ellipsis where it takes more than `width` columns (the terminal's by default)."""
    width = terminal.width if width is None else width
    if columns_of(text) <= width:
        return text
    mark = "…" if terminal.unicode else "~"
    while text and columns_of(text) + 1 > width:
        text = text[:-1]
    return text + mark


def padded(text: str, width: int, terminal: Terminal) -> str:
    """The text in exactly `width` columns."""
    text = shortened(printable(text), terminal, width)
    return text + " " * (width - columns_of(text))


def posix(instant: Any) -> float:
    """POSIX seconds of `YYYY-MM-DDTHH:MM:SSZ`."""
    return datetime.fromisoformat(str(instant)).timestamp()  # strptime imports the calendars of all locales
