"""`assumed status --watch`: look again and again, on a screen of its own or in blocks of lines.

Whatever ends it (q, Ctrl-C, Ctrl-\\, a signal, an error of ours), the terminal is as it was: its lines and their
history, its cursor, its echo. So it is while it is stopped by Ctrl-Z.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from assumed.errors import AssumedError

from .health import Document, Role, stuck
from .place import locate
from .render import Terminal, render, wrapped
from .screen import Memory, is_short, screen
from .terminal import END_OF_LINE, END_OF_SCREEN, HOME, is_smart, terminal_of, write

PERIOD = 1.0
"""Seconds between two looks: at the turn of each second, so that countdowns tick evenly."""
ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
"""The alternate screen without a cursor and without wrapping, and back (xterm's control sequences)."""

# What makes a role worth printing again. Time left is not in it: that changes always.
OF_ROLE = ("state", "issued_at", "expiration", "delivered", "enabled", "last_error")


def watch(config_path: Path | None, as_json: bool) -> int:
    """Look until somebody has seen enough. Returns the exit status. Raises AssumedError when the first look fails."""
    document = locate(config_path).document()
    try:
        if as_json or not is_smart(sys.stdout):
            _blocks(config_path, document, as_json)
        else:
            _screen(config_path, document)
    except KeyboardInterrupt:  # click would write an empty line
        return 128 + signal.SIGINT
    return 0


def _blocks(config_path: Path | None, document: Document, as_json: bool) -> None:
    """Lines for a pipe or a simple terminal: JSON at each look; words when something has changed, and about that."""
    before: Document | None = None
    while True:
        if as_json:
            write([json.dumps(document)])
        elif lines := changes(before, document, time.time(), terminal_of(sys.stdout)):
            write([time.strftime("%H:%M:%S"), *lines, ""])
        before = document
        time.sleep(PERIOD)
        document = locate(config_path).document()


def changes(before: Document | None, document: Document, now: float, terminal: Terminal) -> list[str]:
    """What there is to say since `before`: everything at first and where it concerns everybody, else the roles that
    have changed; nothing where time alone has passed."""
    if before is None or _common(before) != _common(document):
        return render(document, now, terminal)
    old = {role["profile"]: _essence(role) for role in before["roles"]}
    changed = [role for role in document["roles"] if old.get(role["profile"]) != _essence(role)]
    return render({**document, "roles": changed}, now, terminal)[2:] if changed else []


def _common(document: Document) -> object:
    daemon, file = document["daemon"] or {}, document["credentials_file"]
    profiles = [role["profile"] for role in document["roles"]]
    broken = document.get("unreadable")
    return [daemon.get("pid"), daemon.get("config_error"), file.get("error"), broken, stuck(document) is None, profiles]


def _essence(role: Role) -> object:
    return [role.get(name) for name in OF_ROLE]


def _screen(config_path: Path | None, document: Document) -> None:
    """Redraw in place until q, Ctrl-C or SIGTERM. A daemon that goes away is waited for, and so is a configuration."""
    memory, problem = Memory(), ""
    with _signals() as wait_for_signal, _terminal() as is_typing:
        while True:
            now = time.time()
            memory.take(document, now)
            _draw(document, now, memory, problem, is_typing)
            until = time.monotonic() + PERIOD - now % PERIOD
            while (left := until - time.monotonic()) > 0:
                if wait_for_signal(left, is_typing):
                    return
                _draw(document, time.time(), memory, problem, is_typing)
            try:
                document, problem = locate(config_path).document(), ""
            except AssumedError as error:
                # What was seen last stays on the screen, under the reason why it is not looked at any more.
                document, problem = {**document, "daemon": None}, str(error)


def _draw(document: Document, now: float, memory: Memory, problem: str, keys: bool) -> None:
    terminal = _size()
    above = wrapped(problem.splitlines()[0], terminal, "", "31")[:3] if problem else []
    terminal = replace(terminal, height=max(1, (terminal.height or 24) - len(above)))
    lines = [*above, *screen(document, now, terminal, memory, keys=keys)]
    encoding = sys.stdout.encoding or "utf-8"
    # A line that takes the whole width leaves the cursor on its last character: nothing is to be erased there.
    text = HOME + "\n".join(f"{line}{END_OF_LINE}" if is_short(line, terminal) else line for line in lines)
    text += END_OF_SCREEN if is_short(lines[-1], terminal) else ""
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def _size() -> Terminal:
    """The terminal as it is now: $COLUMNS and $LINES may be those of the shell that it was started from."""
    terminal = terminal_of(sys.stdout)
    with contextlib.suppress(OSError):
        size = os.get_terminal_size(sys.stdout.fileno())
        if size.columns and size.lines:
            return replace(terminal, width=size.columns, height=size.lines)
    return replace(terminal, height=shutil.get_terminal_size().lines)


# -- the terminal's state ------------------------------------------------------------------------------------------


def _put(sequence: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # it has been closed: nobody sees it any more
        sys.stdout.write(sequence)
        sys.stdout.flush()


@contextlib.contextmanager
def _terminal() -> Iterator[bool]:
    """The screen of our own, and keys without a return. Yields whether there are keys."""
    keys = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
    before: Any = termios.tcgetattr(keys) if keys is not None else None

    def is_ours() -> bool:
        """Who changes a terminal from the background is stopped by the system (SIGTTOU), `kill %1` or not."""
        return keys is not None and os.tcgetpgrp(keys) == os.getpgrp()

    def enter() -> None:
        if keys is not None and is_ours():
            tty.setcbreak(keys, termios.TCSANOW)
        _put(ENTER)

    def leave() -> None:
        _put(LEAVE)
        if keys is not None and is_ours():
            with contextlib.suppress(termios.error):
                termios.tcsetattr(keys, termios.TCSANOW, before)

    try:
        enter()
        with _stopping(enter, leave):
            yield keys is not None
    finally:
        leave()


@contextlib.contextmanager
def _stopping(enter: Callable[[], None], leave: Callable[[], None]) -> Iterator[None]:
    """While Ctrl-Z holds us, the terminal is the shell's."""

    def stop(_number: int, _frame: object) -> None:
        leave()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        # Here it goes on, after SIGCONT.
        signal.signal(signal.SIGTSTP, stop)
        enter()

    old = signal.signal(signal.SIGTSTP, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, old)


@contextlib.contextmanager
def _signals() -> Iterator[Callable[[float, bool], bool]]:
    """A wait that a signal ends at once: SIGWINCH for a redraw. SIGTERM unwinds everything, as an exception does.

    Yields `wait(seconds, keys) → whether to quit`.
    """
    outlet, inlet = os.pipe()
    os.set_blocking(inlet, False)

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    handlers = {
        signal.SIGWINCH: lambda *_: None,
        signal.SIGCONT: lambda *_: None,
        signal.SIGTERM: end,
        signal.SIGHUP: end,
        signal.SIGQUIT: end,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    wakeup = signal.set_wakeup_fd(inlet, warn_on_full_buffer=False)

    def wait(seconds: float, keys: bool) -> bool:
        with selectors.DefaultSelector() as selector:
            for file in [outlet, *([sys.stdin] if keys else [])]:
                selector.register(file, selectors.EVENT_READ)
            heard = [key.fileobj for key, _ in selector.select(seconds)]
        if outlet in heard:
            os.read(outlet, 512)
        if sys.stdin in heard:
            typed = os.read(sys.stdin.fileno(), 512)
            return b"q" in typed.lower() or not typed
        return False

    try:
        yield wait
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(inlet)
        os.close(outlet)
