"""The screen of `assumed status --watch`: a document and what was seen before it → as many lines as the terminal has.

Pure, like `render`, whose table it shows: with trouble at the top, what happens in the middle, and the last events at
the bottom, the newest last. What does not fit gives way in the order in which nobody would miss it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from assumed.engine.schedule import IN_FLIGHT
from assumed.redact import printable

from .health import Document, Role, is_enabled, trouble
from .render import (
    BAR_CELLS,
    GAP,
    STATE_COLOURS,
    Terminal,
    about,
    columns_of,
    in_words,
    posix,
    sentences,
    shortened,
    table,
    wrong,
)

MARKED = 5.0
"""Seconds for which a role that has just been renewed says so."""
WIDEST_BAR = 40
SENTENCE_LINES = 5
"""Lines that one role's trouble takes at most where there are others."""
LOW = 12
"""Lines of a terminal that is too low for events."""
EVENTS = ((24, 5), (18, 3), (0, 1))
"""Height → lines for events where roles want them, too."""
DAY = 86400.0
DISTANCE, LEAST_NEXT = "    ", 12
"""Between the two halves of the summary; columns below which there is no second."""
LEVEL_COLOURS = {"warning": "33", "error": "31"}
QUIT = "q quits"

PAINT = re.compile(r"\x1b\[[0-9;]*m")

Clock = Callable[[float], datetime]


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
        if document["daemon"] is not None:
            self.seen_running = now
        issued = {role["profile"]: (role["issued_at"], role["expiration"]) for role in document["roles"]}
        for profile, session in issued.items():
            if self.issued.get(profile, session) != session and session[0] is not None:
                self.renewed[profile] = now + MARKED
        self.issued = issued
        self.renewed = {profile: until for profile, until in self.renewed.items() if until > now}


def local(at: float) -> datetime:
    """An instant by the clock on the wall."""
    return datetime.fromtimestamp(at).astimezone()


def screen(
    document: Document, now: float, terminal: Terminal, memory: Memory, *, keys: bool = False, clock: Clock = local
) -> list[str]:
    """At most `terminal.height` lines (24 where it has none) of at most its width. `keys`: whether q can be pressed."""
    height = terminal.height or 24
    terminal = replace(terminal, bar_cells=_bar_cells(document["roles"], terminal))
    head = _head(document, now, terminal, memory, clock)
    alarm = wrong(document, terminal)[: max(2, height // 3)]
    blocks = _blocks(document, now, terminal, memory)
    title, wanted = blocks[0][:1], sum(len(lines) for lines in blocks[1:])
    room = height - len(head) - len(alarm) - len(title)
    events = _events(document, terminal, now, clock)
    events = events[-_room_for_events(len(events), height, room - wanted) :] if height >= LOW else []
    foot = [_events_title(terminal, keys), *events] if events else []
    room -= len(foot) + (1 if foot else 0)
    body = _fitted(blocks[1:], document, now, room, terminal)
    gap = [""] * max(0, room - len(body)) if foot else []
    return [*head, *title, *body, *alarm, *gap, *([""] if foot else []), *foot][:height]


def _room_for_events(count: int, height: int, spare: int) -> int:
    """Lines for events: what the roles leave, and a few in any case. `spare` is without the title and its distance."""
    least = next(lines for low, lines in EVENTS if height >= low)
    return max(1, min(count, max(least, spare - 2)))


def _bar_cells(roles: list[Role], terminal: Terminal) -> int:
    """The bar takes half of what a wide terminal has to spare."""
    longest = max([7, *(columns_of(role["profile"]) for role in roles)])
    spare = terminal.width - 80 - max(0, longest - 26)
    return max(BAR_CELLS, min(WIDEST_BAR, BAR_CELLS + spare // 2))


def is_short(line: str, terminal: Terminal) -> bool:
    """Whether a line leaves a column free."""
    return columns_of(PAINT.sub("", line)) < terminal.width


# -- the head -----------------------------------------------------------------------------------------------------


def _head(document: Document, now: float, terminal: Terminal, memory: Memory, clock: Clock) -> list[str]:
    if document["daemon"] is not None:
        return [about(document, now, terminal), _summary(document, now, terminal), ""]
    since = ""
    if memory.seen_running is not None:
        since = f" since {clock(memory.seen_running):%H:%M:%S} ({in_words(now - memory.seen_running)})"
    text = f"The daemon is not running{since}. Start it with `assumed run`, or as a service."
    what = "This is what readers find on the disk:"
    return [terminal.paint(shortened(text, terminal), "1;31"), shortened(what, terminal), ""]


def _summary(document: Document, now: float, terminal: Terminal) -> str:
    """How many are in which state, and what comes next."""
    states = Counter(role["state"] if is_enabled(role) else "disabled" for role in document["roles"])
    order = [*STATE_COLOURS, *states]
    counted = [(f"{states[s]} {s.replace('_', ' ')}", s) for s in dict.fromkeys(order) if states[s]]
    mark = " · " if terminal.unicode else ", "
    left = mark.join(text for text, _ in counted)
    painted = mark.join(terminal.paint(text, STATE_COLOURS.get(state, "2")) for text, state in counted)
    if columns_of(left) > terminal.width:
        return shortened(left, terminal)
    room = terminal.width - columns_of(left) - len(DISTANCE)
    right = shortened(_next(document["roles"], now), terminal, room) if room >= LEAST_NEXT else ""
    space = terminal.width - columns_of(left) - columns_of(right)
    return painted + (" " * space + right if right else "")


def _next(roles: list[Role], now: float) -> str:
    """The renewals that happen now, or the next one."""
    flying = [role["profile"] for role in roles if role.get("waits") == IN_FLIGHT]
    if flying:
        more = f" and {len(flying) - 1} more" if len(flying) > 1 else ""
        return f"renewing {printable(flying[0])}{more}"
    times = [(posix(role["next_renewal"]) - now, role["profile"]) for role in roles if role["next_renewal"]]
    if not times:
        return ""
    seconds, profile = min(times)
    return f"next: {printable(profile)} {f'in {in_words(seconds)}' if seconds >= 1 else 'now'}"


# -- the roles ----------------------------------------------------------------------------------------------------


def _blocks(document: Document, now: float, terminal: Terminal, memory: Memory) -> list[list[str]]:
    """The title, and for each role its line and what is wrong with it; said once where several say the same."""
    roles = sorted(document["roles"], key=_urgency)
    shown = [_marked(role, memory) for role in roles]
    title, *lines = table(shown, now, terminal)
    blocks, said = [[title]], ""
    for role, line in zip(roles, lines, strict=True):
        text = sentences(role, terminal)
        blocks.append([line, *([] if str(text) == said else text)])
        said = str(text) if text else said
    return blocks


def _marked(role: Role, memory: Memory) -> Role:
    fresh = role["state"] == "fresh" and is_enabled(role)
    return {**role, "state": "renewed"} if fresh and role["profile"] in memory.renewed else role


def _urgency(role: Role) -> int:
    """Trouble first; in the order of the configuration otherwise, which sorting keeps."""
    if not is_enabled(role):
        return 4
    if trouble(role) is not None and role["state"] != "pending":
        return 0
    return {"failing": 1, "pending": 2}.get(role["state"], 3)


def _fitted(blocks: list[list[str]], document: Document, now: float, room: int, terminal: Terminal) -> list[str]:
    """What fits into `room` lines. Where it is not enough: all that fail, then what is wrong with them as far as there
    is room, then those whose renewal is nearest."""
    if sum(len(block) for block in blocks) <= room:
        return [line for block in blocks for line in block]
    roles = sorted(document["roles"], key=_urgency)
    order = sorted(range(len(blocks)), key=lambda i: (_urgency(roles[i]), _until_renewal(roles[i], now)))
    kept = order[: max(0, room - 1)]  # the last line says what is not shown
    failing = [index for index in kept if len(blocks[index]) > 1]
    spare = room - 1 - len(failing)
    short = {index: blocks[index][:1] for index in kept}
    for index in failing:
        lines = _cut(blocks[index][1:], min(spare, SENTENCE_LINES), terminal)
        short[index] += lines
        spare -= len(lines)
    kept = [index for index in kept if index in failing or (spare := spare - 1) >= 0]
    hidden = Counter(str(roles[i]["state"]).replace("_", " ") for i in set(order) - set(kept))
    more = ", ".join(f"{count} {state}" for state, count in hidden.most_common())
    last = [shortened(f"{'…' if terminal.unicode else '...'} and {more}", terminal)] if hidden else []
    return [line for index in kept for line in short[index]] + last


def _cut(sentence: list[str], most: int, terminal: Terminal) -> list[str]:
    """At most so many lines of a sentence: what to do next rather than all that was said."""
    arrow = "→" if terminal.unicode else "->"
    step = next((n for n, line in enumerate(sentence) if PAINT.sub("", line).lstrip().startswith(arrow)), 0)
    if len(sentence) <= most or step == 0 or most < 2:
        return sentence[: max(0, most)]
    said = max(1, most - (len(sentence) - step))
    last = [shortened(f"{sentence[said - 1]} …" if terminal.unicode else f"{sentence[said - 1]} ~", terminal)]
    return [*sentence[: said - 1], *last, *sentence[step : step + most - said]]


def _until_renewal(role: Role, now: float) -> float:
    return posix(role["next_renewal"]) - now if role["next_renewal"] else -math.inf


# -- the events ---------------------------------------------------------------------------------------------------


def _events(document: Document, terminal: Terminal, now: float, clock: Clock) -> list[str]:
    """A line for each of the last events, the newest last."""
    events = document.get("events") or []
    longest = max([0, *(columns_of(str(event["profile"])) for event in events if event["profile"])])
    width = min(longest, max(0, terminal.width // 4))
    return [_event(event, width, terminal, now, clock) for event in events]


def _event(event: dict[str, Any], width: int, terminal: Terminal, now: float, clock: Clock) -> str:
    at = posix(event["at"])
    when = f"{clock(at):%H:%M:%S}" if now - at < DAY else f"{clock(at):%d.%m.  }"
    profile = shortened(printable(event["profile"] or ""), terminal, width) if width else ""
    profile += " " * (width - columns_of(profile))
    before = f"{when}{GAP}{profile}{GAP if width else ''}"
    text = shortened(printable(event["message"]), terminal, max(1, terminal.width - columns_of(before)))
    painted = (
        terminal.paint(when, "2") + before[len(when) :] + terminal.paint(text, LEVEL_COLOURS.get(event["level"], ""))
    )
    return painted if columns_of(before) + columns_of(text) <= terminal.width else shortened(before + text, terminal)


def _events_title(terminal: Terminal, keys: bool) -> str:
    title, right = "LAST EVENTS", QUIT if keys else ""
    space = terminal.width - len(title) - len(right)
    if space < 2:
        return terminal.paint(shortened(title, terminal), "1")
    return (terminal.paint(title, "1") + (" " * space + terminal.paint(right, "2") if right else "")).rstrip()
