"""A status document as rich draws it on a terminal: what fails at the top, the last events at the bottom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.segment import SegmentLines
from rich.table import Column, Table
from rich.text import Text

from assumed.engine.schedule import IN_FLIGHT
from assumed.redact import printable

from .health import Document, Role
from .render import about, alarms, cells, collapsed, in_words, posix, sentences
from .terminal import Line, drawn

STYLES = {
    "fresh": "green",
    "renewed": "bold green",
    "pending": "blue",
    "failing": "yellow",
    "expired": "red",
    "needs login": "magenta",
}
LEVELS = {"warning": "yellow", "error": "red"}
COLUMNS = (("PROFILE", 0), ("STATE", 25), ("LEFT", 55), ("", 34), ("RENEWAL", 43), ("DELIVERY", 68))
"""Title, and the width of a terminal from which on the column is shown."""
NARROWEST_BAR, WIDEST_BAR = 10, 40
MARKED = 5.0
"""Seconds for which a role that has just been renewed says so."""
LOW = 12
"""Lines of a terminal that is too low for events."""
DAY = 86400.0

Lines = list[list[Any]]
"""rich's segments, a list of them for each line."""


def local(at: float) -> datetime:
    """An instant by the clock on the wall."""
    return datetime.fromtimestamp(at).astimezone()


@dataclass(slots=True)
class Memory:
    """What a watcher has seen so far."""

    seen_running: float | None = None
    """When a daemon last answered, in POSIX seconds."""
    issued: dict[str, Any] = field(default_factory=dict)
    renewed: dict[str, float] = field(default_factory=dict)
    """Profile → until when it is marked."""

    def take(self, document: Document, now: float) -> None:
        """See a document."""
        self.seen_running = now if document["daemon"] else self.seen_running
        for role in document["roles"]:
            profile, issued = role["profile"], role["issued_at"]
            if issued and self.issued.get(profile, issued) != issued:
                self.renewed[profile] = now + MARKED
            self.issued[profile] = issued


@dataclass(frozen=True, slots=True)
class Screen:
    """What a screen is drawn with."""

    console: Console
    now: float
    height: int | None = None
    """Lines that there are; None: as many as it takes."""
    show_all: bool = False
    """Each role in the configuration's order, none collapsed."""
    memory: Memory = field(default_factory=Memory)
    hint: str = ""
    """What stands at the right of the events' title."""
    problem: str = ""
    """Why what is shown is no longer looked at."""
    clock: Callable[[float], datetime] = local

    def of(self, document: Document) -> SegmentLines:
        """The lines of a document: head, roles, what else is wrong, the last events at the bottom."""
        height = self.height or 1_000_000
        head, wrong = self._lines(*self._head(document), ""), self._lines(*alarms(document))[: height // 3]
        events = (document.get("events") or []) if LOW <= height < 1_000_000 else []
        room = height - len(head) - len(wrong)
        reserved = min(len(events) + 2, height // 4) if events else 0
        body = self._roles(document["roles"] if self.show_all else collapsed(document["roles"]), room - reserved)
        foot = self._events(events, room - len(body)) if events else []
        gap: Lines = [[] for _ in range(room - len(body) - len(foot) if foot else 0)]
        return SegmentLines([*head, *body, *wrong, *gap, *foot][:height], new_lines=True)

    def _lines(self, *parts: RenderableType | Line) -> Lines:
        shown = (drawn(part) if isinstance(part, Line) else part for part in parts)
        return [line for part in shown for line in self.console.render_lines(part, pad=False)]

    def _head(self, document: Document) -> Iterable[RenderableType | Line]:
        if self.problem:
            yield Line(self.problem.splitlines()[0], "red")
        line = about(document, self.now)
        if document["daemon"] is None and self.memory.seen_running:
            ago = in_words(self.now - self.memory.seen_running)
            line = Line(f"assumed stopped {ago} ago; this is what readers find on the disk", "bold red")
        yield _cut(str(line), line.style)
        counted = Counter(cells(role, self.now)[1] for role in document["roles"])
        states = sorted(counted, key=[*STYLES, *counted].index)
        summary = Text(" · ").join(Text(f"{counted[state]} {state}", STYLES.get(state, "dim")) for state in states)
        yield _ends(summary, _next(document["roles"], self.now) if document["daemon"] else "")

    def _roles(self, roles: list[Role], room: int) -> Lines:
        """The title, and what fits of the roles: all that fail, then what is wrong with them, then the others."""
        title, *rows = self._lines(self._table(roles[:room]))
        texts = [self._lines(*sentences(role)) for role in roles[:room]]
        failing = sum(map(bool, texts))
        spare = room - 1  # without the title
        if len(roles) + sum(map(len, texts)) > spare:
            failing, spare = min(failing, spare - 1), spare - 1  # the last line says what is not shown
        spare -= failing
        lines, hidden = [title], Counter(cells(role, self.now)[1] for role in roles[len(rows) :])
        for role, row, text in zip(roles, rows, texts, strict=False):
            if failing > 0 and text:
                failing -= 1
                lines += [row, *text[:spare]]
                spare -= len(text[:spare])
            elif spare > 0 and not text:
                lines.append(row)
                spare -= 1
            else:
                hidden[cells(role, self.now)[1]] += 1
        more = ", ".join(f"{count} {state}" for state, count in hidden.items())
        return [*lines, *(self._lines(_cut(f"… and {more}")) if more else [])]

    def _table(self, roles: list[Role]) -> Table:
        shown = [number for number, (_, least) in enumerate(COLUMNS) if self.console.width >= least]
        # rich takes room from the one that could wrap first
        columns = (Column(COLUMNS[number][0], no_wrap=number > 0) for number in shown)
        table = Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        longest = max([0, *(cell_len(role["profile"]) for role in roles)])
        spare = self.console.width - 80 - max(0, longest - 26)
        width = max(NARROWEST_BAR, min(WIDEST_BAR, NARROWEST_BAR + spare // 2))
        for role in roles:
            row = self._row(role, width)
            table.add_row(*(row[number] for number in shown))
        return table

    def _row(self, role: Role, width: int) -> list[RenderableType]:
        profile, state, *words = cells(role, self.now)
        if state == "fresh" and self.memory.renewed.get(role["profile"], 0.0) > self.now:
            state = "renewed"
        style = STYLES.get(state, "dim")
        left, life = max(0.0, role["left_seconds"] or 0.0), role["life_seconds"] or 1.0
        full, eighths = divmod(int(min(1.0, left / life) * width * 8), 8)
        bar = ("█" * full + "▏▎▍▌▋▊▉"[eighths - 1 : eighths]).ljust(width, "░")
        return [_cut(profile), Text(f"{state:<11}", style), Text(bar, style), *(Text(f"{word:<7}") for word in words)]

    def _events(self, events: list[dict[str, Any]], room: int) -> Lines:
        """The last events, the newest last, under their title."""
        profiles = Column(no_wrap=True, max_width=self.console.width // 4)
        grid = Table.grid(Column(no_wrap=True), profiles, Column(), padding=(0, 2, 0, 0))
        for event in events[2 - room :]:
            at = posix(event["at"])
            when = f"{self.clock(at):%H:%M:%S}" if self.now - at < DAY else f"{self.clock(at):%d.%m.}"
            message = _cut(event["message"], LEVELS.get(event["level"], ""))
            grid.add_row(Text(when, "dim"), _cut(event["profile"] or ""), message)
        return self._lines("", _ends(Text("LAST EVENTS", "bold"), self.hint), grid)


def _cut(text: str, style: str = "") -> Text:
    """A line that ends with an ellipsis where it is too long."""
    return Text(printable(text), style, no_wrap=True, overflow="ellipsis")


def _ends(left: Text, right: str) -> Table:
    """A line with something at either end."""
    grid = Table.grid(Column(no_wrap=True), Column(justify="right"), expand=True, padding=(0, 2, 0, 0), pad_edge=False)
    grid.add_row(left, _cut(right, "dim"))
    return grid


def _next(roles: list[Role], now: float) -> str:
    """The renewals that happen now, or the next one."""
    if flying := [role["profile"] for role in roles if role.get("waits") == IN_FLIGHT]:
        return f"renewing {flying[0]}" + (f" and {len(flying) - 1} more" if len(flying) > 1 else "")
    times = [(posix(role["next_renewal"]) - now, role["profile"]) for role in roles if role["next_renewal"]]
    if not times:
        return ""
    seconds, profile = min(times)
    return f"next: {profile} {f'in {in_words(seconds)}' if seconds >= 1 else 'now'}"
