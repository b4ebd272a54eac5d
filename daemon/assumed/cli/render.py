"""A status document in words: all that a pipe gets, and what `screen` draws on a terminal."""

from __future__ import annotations

from datetime import datetime
from itertools import chain
from typing import Any

from assumed.engine.schedule import IN_FLIGHT
from assumed.redact import printable

from .health import Document, Role, explanation, is_enabled, stuck, trouble
from .terminal import Line

TITLES = ("PROFILE", "STATE", "LEFT", "RENEWAL", "DELIVERY")


def render(document: Document, now: float, show_all: bool = False) -> list[str | Line]:
    """Lines for a pipe; `now` is in POSIX seconds. What fails alike is one line and stands first, unless `show_all`."""
    roles = document["roles"] if show_all else collapsed(document["roles"])
    rows: list[tuple[str, ...]] = [TITLES, *(cells(role, now) for role in roles)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    title, *lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    blocks = [[line, *map(str, sentences(role))] for role, line in zip(roles, lines, strict=True)]
    return [about(document, now), "", title, *chain.from_iterable(blocks), *alarms(document)]


def collapsed(roles: list[Role]) -> list[Role]:
    """The roles in trouble, then the others. Those of one source that fail alike are one entry: that of the role with
    the least time left, under its name and how many more there are."""
    groups: dict[object, list[Role]] = {}
    for role in roles:
        groups.setdefault(_alike(role), []).append(role)
    shown = []
    for group in groups.values():
        first = min(group, key=lambda role: role["left_seconds"] or 0.0)
        more = {"profile": f"{first['profile']} and {len(group) - 1:,} more"} if len(group) > 1 else {}
        shown.append({**first, **more})
    return sorted(shown, key=lambda role: (trouble(role) is None, role["last_error"] is None))


def _alike(role: Role) -> object:
    """What roles that fail alike have in common."""
    reason = role["last_error"] or (role.get("waits") if trouble(role) else None)
    return (role["source"], role["state"], role["delivered"], str(reason)) if reason else role["profile"]


def about(document: Document, now: float) -> Line:
    """The daemon, in a line."""
    daemon = document["daemon"]
    if daemon is None:
        state = "does not answer" if document.get("daemon_error") else "is not running"
        return Line(f"assumed {state}; this is what readers find on the disk", "yellow")
    up = in_words(now - posix(daemon["started_at"])) if daemon["started_at"] else "?"
    return Line(f"assumed {daemon['version']} · pid {daemon['pid']} · up {up} · {daemon['config']}")


def alarms(document: Document) -> list[Line]:
    """What is wrong beyond single roles, each after an empty line."""
    daemon, file = document["daemon"] or {}, document["credentials_file"]
    lines = []
    if sentence := stuck(document):
        lines += [Line(""), Line(sentence, "red")]
    if daemon.get("config_error"):
        lines += [Line(""), Line("The configuration has an error; the last good one stays in force:", "yellow")]
        lines += [Line(problem, indent="  ") for problem in str(daemon["config_error"]).splitlines()]
    if daemon.get("watch_error"):
        lines += [Line(""), Line(str(daemon["watch_error"]), "yellow")]
    if error := file.get("error"):
        text = error if file["path"] in error else f"cannot write {file['path']}: {error}"
        lines += [Line(""), Line(text, "red")]
    for broken in document.get("unreadable", ()):
        lines += [Line(""), Line(f"cannot use {broken['path']}: {broken['error']}", "red")]
    return lines


def cells(role: Role, now: float) -> tuple[str, ...]:
    """What stands in the table about a role, under `TITLES`."""
    left, enabled = role["left_seconds"], is_enabled(role)
    renewal = "now" if role.get("waits") == IN_FLIGHT else "-"
    if role["next_renewal"]:
        seconds = posix(role["next_renewal"]) - now
        renewal = f"in {in_words(seconds).split()[0]}" if seconds >= 1 else "now"
    return (
        printable(role["profile"]),
        str(role["state"]).replace("_", " ") if enabled else "disabled",
        in_words(left) if left is not None and left > 0 else "-",
        renewal,
        "-" if not enabled else str(role["deliver"]) if role["delivered"] else "not written",
    )


def sentences(role: Role) -> list[Line]:
    """What is wrong with the role, and what to do about it."""
    error = role["last_error"]
    if error is None:
        quiet = role["state"] == "pending" and not role.get("waits")
        text = "" if quiet else explanation(role)
        return [Line(f"{text[0].upper()}{text[1:]}.", indent="  ")] if text else []
    what = f"{error['code']}: {error['message']}" if error["code"] else error["message"]
    return [Line(what, indent="  "), *([Line(error["advice"], "bold", "  → ")] if error["advice"] else [])]


def in_words(seconds: float) -> str:
    """`59s`, `41m 07s`, `11h 59m`, `3d 04h`: two units at most, rounded down."""
    whole = max(0, int(seconds))
    for size, unit, small_size, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // small_size:02d}{small}"
    return f"{whole}s"


def posix(instant: Any) -> float:
    """POSIX seconds of `YYYY-MM-DDTHH:MM:SSZ`."""
    return datetime.fromisoformat(str(instant)).timestamp()  # strptime imports the calendars of all locales
