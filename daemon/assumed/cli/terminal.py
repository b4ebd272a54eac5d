"""What stdout can show, and how lines get there."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TextIO

from .render import Terminal

SIGNS = "█▏░…·→✓✗"
CLEAR, HOME, END_OF_LINE, END_OF_SCREEN = "\x1b[2J", "\x1b[H", "\x1b[K", "\x1b[J"


def terminal_of(stream: TextIO, *, full_screen: bool = False, elsewhere: int = 80) -> Terminal:
    """The abilities of the terminal behind `stream`; `elsewhere` (or $COLUMNS) plain columns where there is none."""
    size = shutil.get_terminal_size((elsewhere, 24))
    return Terminal(
        width=size.columns,
        height=size.lines - 1 if full_screen else None,
        colour=is_smart(stream) and not os.environ.get("NO_COLOR"),
        unicode=_can_show(stream, SIGNS) and not (stream.isatty() and _is_plain_locale()),
    )


def is_smart(stream: TextIO) -> bool:
    """Whether there is a terminal that understands control sequences."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def write(lines: list[str], stream: TextIO | None = None) -> None:
    """Write the lines; what the stream's encoding lacks becomes `?` rather than a traceback."""
    stream = stream or sys.stdout
    encoding = stream.encoding or "utf-8"
    text = "".join(f"{line}\n" for line in lines)
    stream.write(text.encode(encoding, "replace").decode(encoding))
    stream.flush()


def _is_plain_locale() -> bool:
    """Whether the person's locale is C, for which Python writes UTF-8 all the same (PEP 540): the terminal may not."""
    named = os.environ.get("LC_ALL") or os.environ.get("LANG") or "C"
    return bool(sys.flags.utf8_mode) and "PYTHONUTF8" not in os.environ and named in ("C", "POSIX")


def _can_show(stream: TextIO, signs: str) -> bool:
    try:
        signs.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def show_line(text: str, shown: int) -> int:
    """Keep one line of progress on stderr where that is a terminal, cut to its width; returns how long it is.

    `shown` is what the last call returned: an empty text takes the line away, if there is one.
    """
    if not is_smart(sys.stderr):
        return 0
    text = text[: shutil.get_terminal_size().columns - 1]
    if text or shown:
        sys.stderr.write(f"\r{text}\x1b[K")
        sys.stderr.flush()
    return len(text)
