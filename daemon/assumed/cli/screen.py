"""The status on a terminal, drawn by rich: once, or as the screen of `assumed status --watch`.

What fails stands at the top, the last events at the bottom. Whatever ends the screen (q, Ctrl-C, Ctrl-\\, a signal, an
error), the terminal is as it was: its lines and their history, its cursor, its echo. So it is while Ctrl-Z stops it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import termios
import time
import tty
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.live import Live
from rich.segment import SegmentLines
from rich.table import Column, Table
from rich.text import Text

from assumed.engine.schedule import IN_FLIGHT
from assumed.errors import AssumedError
from assumed.redact import printable
from assumed.runtime.signals import relay

from .health import Document, Role, stuck
from .place import locate
from .render import about, alarms, cells, collapsed, in_words, posix, render, sentences
from .terminal import Line, console_of, drawn, is_smart, write

STYLES = {
    "fresh": "green",
    "pending": "blue",
    "failing": "yellow",
    "expired": "red",
    "needs login": "magenta",
}
LEVELS = {"warning": "yellow", "error": "red"}
COLUMNS = (("PROFILE", 0), ("STATE", 25), ("LEFT", 55), ("", 34), ("RENEWAL", 43), ("DELIVERY", 68))
"""Title, and the width of a terminal from which on the column is shown."""
NARROWEST_BAR, WIDEST_BAR = 10, 40
LOW = 12
"""Lines of a terminal that is too low for events."""
DAY = 86400.0
PERIOD = 1.0
"""Seconds between two looks: at the turn of each second, so that countdowns tick evenly."""

OF_ROLE = ("state", "issued_at", "expiration", "delivered", "enabled", "last_error")
"""What makes a role worth printing again."""
ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

Lines = list[list[Any]]
"""rich's segments, a list of them for each line."""


def local(at: float) -> datetime:
    """An instant by the clock on the wall."""
    return datetime.fromtimestamp(at).astimezone()


@dataclass(frozen=True, slots=True)
class Screen:
    """What a screen is drawn with."""

    console: Console
    now: float
    height: int | None = None
    """Lines that there are; None: as many as it takes."""
    show_all: bool = False
    """Each role in the configuration's order, none collapsed."""
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


def watch(config_path: Path | None, as_json: bool, show_all: bool) -> int:
    """Look until the person has seen enough. Returns the exit status. Raises AssumedError when the first look fails."""
    document = locate(config_path).document()
    try:
        if as_json or not is_smart(sys.stdout):
            _blocks(config_path, document, as_json)
        else:
            return _screen(config_path, document, show_all)
    except KeyboardInterrupt:  # click would write an empty line
        return 128 + signal.SIGINT
    return 0


def _blocks(config_path: Path | None, document: Document, as_json: bool) -> None:
    """Lines for a pipe or a simple terminal: JSON at each look; words when something has changed, and about that."""
    before: Document | None = None
    while True:
        if as_json:
            write([json.dumps(document)])
        elif lines := changes(before, document, time.time()):
            write([time.strftime("%H:%M:%S"), *lines, ""])
        before = document
        time.sleep(PERIOD)
        document = locate(config_path).document()


def changes(before: Document | None, document: Document, now: float) -> list[str | Line]:
    """What is new since `before`: everything at first and where it concerns all roles, else the roles that have
    changed; nothing where time alone has passed."""
    old_common, old = _essence(before) if before else ([], {})
    common, new = _essence(document)
    if old_common != common:
        return render(document, now)
    changed = [role for role in document["roles"] if old[role["profile"]] != new[role["profile"]]]
    return render({**document, "roles": changed}, now)[2:] if changed else []


def _essence(document: Document) -> tuple[list[Any], dict[str, list[Any]]]:
    """What is worth printing again, of all roles and of each: time left is not in it, that changes always."""
    daemon, file = document["daemon"] or {}, document["credentials_file"]
    roles = {role["profile"]: [role.get(name) for name in OF_ROLE] for role in document["roles"]}
    whole = [daemon.get("pid"), daemon.get("config_error"), file.get("error"), document.get("unreadable")]
    return [*whole, stuck(document) is None, list(roles)], roles


def _screen(config_path: Path | None, document: Document, show_all: bool) -> int:
    """Redraw in place until q, Ctrl-C or SIGTERM. A daemon that goes away is waited for, and so is a configuration."""
    problem, console = "", console_of(sys.stdout)
    live = Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
    with _signals() as signals, _terminal(live) as keys:
        while True:
            until = time.monotonic() + PERIOD - time.time() % PERIOD
            while True:
                size = os.get_terminal_size(sys.stdout.fileno())  # not $COLUMNS, which may be those of the shell
                console.size = size if size.columns and size.lines else console.size
                hint = "q quits" if keys else ""
                screen = Screen(console, time.time(), console.height, show_all, hint, problem)
                live.update(screen.of(document), refresh=True)
                left = until - time.monotonic()
                if left <= 0:
                    break
                ready, _, _ = select.select([signals, *keys], [], [], left)
                if signals in ready and (number := os.read(signals, 1)[0]) in ENDING:
                    return 128 + number
                if keys and keys[0] in ready and (not (typed := os.read(keys[0], 512)) or b"q" in typed.lower()):
                    return 0
            try:
                document, problem = locate(config_path).document(), ""
            except AssumedError as error:
                # What was seen last stays on the screen, under the reason why it is not looked at any more.
                document, problem = {**document, "daemon": None}, str(error)


@contextlib.contextmanager
def _terminal(live: Live) -> Iterator[list[int]]:
    """The alternate screen, and keys without a return; while Ctrl-Z holds us, the terminal is the shell's.

    Yields the descriptor of the keys, if there are any.
    """
    keys = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
    before: Any = termios.tcgetattr(keys) if keys is not None else None

    def is_ours() -> bool:
        """Who changes a terminal from the background is stopped by the system (SIGTTOU), `kill %1` or not."""
        return keys is not None and os.tcgetpgrp(keys) == os.getpgrp()

    def enter() -> None:
        if keys is not None and is_ours():
            tty.setcbreak(keys, termios.TCSANOW)
        live.start()

    def leave() -> None:
        with contextlib.suppress(OSError, ValueError):  # it has been closed
            live.stop()
        if keys is not None and is_ours():
            with contextlib.suppress(termios.error):
                termios.tcsetattr(keys, termios.TCSANOW, before)

    def stop(_number: int, _frame: object) -> None:
        leave()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        # Here it goes on, after SIGCONT.
        signal.signal(signal.SIGTSTP, stop)
        enter()

    old = signal.signal(signal.SIGTSTP, stop)
    try:
        enter()
        yield [] if keys is None else [keys]
    finally:
        leave()
        signal.signal(signal.SIGTSTP, old)


@contextlib.contextmanager
def _signals() -> Iterator[int]:
    """A descriptor to wait for: each signal that ends us, or wants a redraw, is a byte."""
    outlet, inlet = os.pipe()

    def note(number: int) -> None:
        os.write(inlet, bytes([number]))

    restore = relay((*ENDING, signal.SIGWINCH, signal.SIGCONT), note)
    try:
        yield outlet
    finally:
        restore()
        os.close(inlet)
        os.close(outlet)
