"""What stdout and stderr can show, and how lines get there: through rich on a terminal, plain in a pipe."""

from __future__ import annotations

import codecs
import io
import os
import re
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TextIO

from assumed.redact import crash, printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

ASCII = dict(zip("→·…✓✗█▉▊▋▌▍▎▏░", ">|~+x########-", strict=True))
"""One column each, so that what is aligned stays aligned."""


class Line(NamedTuple):
    """A sentence. On a terminal it is wrapped, its further lines under its first. Styles are rich's."""

    text: str
    style: str = ""
    indent: str = ""
    mark: str = ""
    """The style of `indent`."""

    def __str__(self) -> str:
        return f"{self.indent}{printable(self.text)}"


def prepare() -> None:
    """Have stdout and stderr replace what they cannot encode, rather than raise; a bug is one line."""
    sys.excepthook = lambda _kind, error, _trace: write([crash(error)], sys.stderr)
    codecs.register_error("assumed", _replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            encoding = "ascii" if stream.isatty() and _is_plain_locale() else stream.encoding
            stream.reconfigure(encoding=encoding, errors="assumed")


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(ASCII.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


def _is_plain_locale() -> bool:
    """Whether the person's locale is C, for which Python writes UTF-8 all the same (PEP 540): the terminal may not."""
    named = os.environ.get("LC_ALL") or os.environ.get("LANG") or "C"
    return bool(sys.flags.utf8_mode) and "PYTHONUTF8" not in os.environ and named in ("C", "POSIX")


def is_smart(stream: TextIO) -> bool:
    """Whether there is a terminal that understands control sequences."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def console_of(stream: TextIO) -> Console:
    """rich's console on a terminal. It interprets nothing in a text: no markup, no emoji, no highlighting."""
    from rich.console import Console

    system: Literal["standard"] | None = None if os.environ.get("NO_COLOR") else "standard"
    return Console(file=stream, force_terminal=True, color_system=system, markup=False, emoji=False, highlight=False)


def drawn(line: Line) -> Table:
    """A line as rich draws it."""
    from rich.table import Table
    from rich.text import Text

    grid, text = Table.grid(), Text(printable(line.text), style=line.style)
    grid.add_row(*([Text(line.indent, line.mark)] if line.indent else []), text)  # an empty cell takes a column
    return grid


def ansi(console: Console, part: RenderableType) -> str:
    """What a terminal gets for a part, without the spaces at the ends of lines: a narrower window would wrap them."""
    with console.capture() as captured:
        console.print(part, end="")
    return re.sub(r"(?m) +(\x1b\[0m)? *$", r"\1", captured.get())


def write(lines: Iterable[str | Line], stream: TextIO | None = None) -> None:
    """Write the lines: a Line wrapped and in its style on a terminal, a text as it is."""
    stream = stream or sys.stdout
    console = None
    for line in lines:
        if isinstance(line, Line) and is_smart(stream):
            console = console or console_of(stream)
            stream.write(ansi(console, drawn(line)))
        else:
            stream.write(f"{line}\n")
    stream.flush()


def show_line(text: str, shown: int) -> int:
    """Keep one line of progress on stderr where that is a terminal, cut to its width; returns how long it is.

    `shown` is what the last call returned: an empty text takes the line away, if there is one.
    """
    if not is_smart(sys.stderr):
        return 0
    import shutil

    text = text[: shutil.get_terminal_size().columns - 1]
    if text or shown:
        sys.stderr.write(f"\r{text}\x1b[K")
        sys.stderr.flush()
    return len(text)


def say(sentence: str) -> None:
    """One message for the person, on stderr; into the journal with its priority, where a start fails unseen.

    Its line feeds are layout: text from outside has none, it has passed the gate.
    """
    if "JOURNAL_STREAM" in os.environ:
        from assumed import logs

        if logs.goes_to_journal(sys.stderr):
            logs.tell_failure(sentence)
            return
    write([printable(line) for line in f"assumed: {sentence}".split("\n")], sys.stderr)


def nearest(word: str, known: Any) -> str:
    """` Did you mean 'x'?` for the nearest known word, or nothing."""
    from difflib import get_close_matches

    found = get_close_matches(word, list(known), n=1)
    return f" Did you mean '{found[0]}'?" if found else ""
