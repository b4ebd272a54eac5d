"""Draws docs/status.svg and docs/watch.svg: `assumed status` and `assumed status --watch` of an invented document,
through the real renderer.

.venv/bin/python docs/picture.py
"""

from __future__ import annotations

import html
import io
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

from assumed.cli.screen import Screen
from assumed.cli.terminal import ansi

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
COLUMNS, CELL_WIDTH, LINE_HEIGHT, MARGIN = 80, 8.4, 19, 16
COLOURS = {"32": "#4cb782", "33": "#e2b93d", "31": "#e5534b", "34": "#6cb6ff", "35": "#c678dd", "1": "#ffffff"}
COLOURS |= {"2": "#7d8590", "1;32": "#7ee2a8", "1;31": "#ff7b72"}
LINES = 24
PAINTED = re.compile(r"\x1b\[([0-9;]+)m(.*?)\x1b\[0m")


def iso(minutes: float) -> str:
    """An instant so many minutes from now."""
    return (NOW + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def role(profile: str, left: float, renewal: float, **facts: Any) -> dict[str, Any]:
    """One role of the picture: minutes left of an hour, minutes until its renewal."""
    return {
        "profile": profile,
        "role_arn": f"arn:aws:iam::123456789012:role/{profile}",
        "source": "profile:default",
        "deliver": "keys",
        "enabled": True,
        "state": "fresh",
        "delivered": True,
        "issued_at": iso(left - 60),
        "expiration": iso(left),
        "left_seconds": left * 60,
        "life_seconds": 3600,
        "next_renewal": iso(renewal),
        "waits": None,
        "failures": 0,
        "last_error": None,
        **facts,
    }


def document() -> dict[str, Any]:
    """Four roles on a good morning: one of them is being refused."""
    refused = {
        "code": "AccessDenied",
        "message": "User: arn:aws:iam::123456789012:user/natan is not authorized to perform: sts:AssumeRole",
        "advice": "check that default may sts:AssumeRole on arn:aws:iam::210987654321:role/Audit",
    }
    return {
        "daemon": {
            "pid": 4211,
            "version": "0.1.0",
            "started_at": iso(-60 * 24 * 12),
            "config": "~/.config/assumed/config.toml",
            "config_error": None,
        },
        "roles": [
            role("my-role", 52.3, 20),
            role("prod-admin", 34.8, 2.5),
            role("nightly-etl", 41.2, 9.1, deliver="process"),
            role("audit", 11.6, 8.2, state="failing", failures=4, last_error=refused),
        ],
        "credentials_file": {"path": "~/.aws/credentials", "written_at": iso(-1), "error": None},
    }


def event(minutes: float, name: str, profile: str | None, message: str, level: str = "info") -> dict[str, Any]:
    """One of the last events, so many minutes ago."""
    return {"at": iso(-minutes), "level": level, "event": name, "profile": profile, "message": message}


def watched() -> dict[str, Any]:
    """The same morning with more to see: a source asks for a login, and a role has been renewed this second."""
    login = {
        "code": "SSOTokenLoadError",
        "message": "profile:partner-sso: Token has expired and refresh failed",
        "advice": "run: aws sso login --profile partner-sso",
    }
    seen = document()
    seen["roles"] = [
        *seen["roles"][:3],
        role("warehouse", 59.95, 32.4),
        role("warehouse/reports", 47.7, 21.3, deliver="process"),
        seen["roles"][3],
        role("partner", 24.5, 0.6, state="needs_login", failures=2, last_error=login),
    ]
    refused = seen["roles"][5]["last_error"]
    tried = f"AccessDenied, tried again in 10 min: {refused['message']}"
    seen["events"] = [
        event(11.9, "role.renewed", "warehouse/reports", "new session for 1 h"),
        event(7.7, "role.renewed", "my-role", "new session for 1 h"),
        event(3.1, "source.not_resolved", None, login["message"], "warning"),
        event(1.8, "role.renewal_failed", "audit", tried, "error"),
        event(0.05, "role.renewed", "warehouse", "new session for 1 h"),
    ]
    return seen


def spans(line: str) -> str:
    """A line with terminal colours as SVG text."""
    parts, done = [], 0
    for match in PAINTED.finditer(line):
        parts.append(html.escape(line[done : match.start()]))
        parts.append(f'<tspan fill="{COLOURS.get(match[1], "#9aa4b2")}">{html.escape(match[2])}</tspan>')
        done = match.end()
    return "".join(parts) + html.escape(line[done:])


def pictures() -> dict[str, str]:
    """File → its whole SVG."""
    return {
        "status.svg": drawn(["$ assumed status", *lines(document())]),
        "watch.svg": drawn(lines(watched(), height=LINES, hint="q quits")),
    }


def lines(seen: dict[str, Any], **screen: Any) -> list[str]:
    """What a terminal of COLUMNS columns gets."""
    console = Console(file=io.StringIO(), width=COLUMNS, force_terminal=True, color_system="standard", markup=False)
    at = lambda posix: datetime.fromtimestamp(posix, UTC)  # noqa: E731
    return ansi(console, Screen(console, NOW.timestamp(), clock=at, **screen).of(seen)).splitlines()


def drawn(lines: list[str]) -> str:
    """Lines with terminal colours as an SVG."""
    width, height = round(COLUMNS * CELL_WIDTH + 2 * MARGIN), len(lines) * LINE_HEIGHT + 2 * MARGIN
    texts = [
        f'<text x="{MARGIN}" y="{MARGIN + LINE_HEIGHT * (n + 0.75):.0f}" xml:space="preserve">{spans(line)}</text>'
        for n, line in enumerate(lines)
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">',
            f'<rect width="{width}" height="{height}" rx="8" fill="#161b22"/>',
            '<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,monospace" font-size="14" fill="#c9d1d9">',
            *texts,
            "</g>",
            "</svg>",
            "",
        ]
    )


if __name__ == "__main__":
    for name, svg in pictures().items():
        Path(__file__).with_name(name).write_text(svg, encoding="utf-8")
