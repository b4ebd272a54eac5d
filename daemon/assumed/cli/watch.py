"""`assumed status --watch`: look again and again, on a screen of its own or in blocks of lines.

Whatever ends it (q, Ctrl-C, Ctrl-\\, a signal, an error of ours), the terminal is as it was: its lines and their
history, its cursor, its echo. So it is while it is stopped by Ctrl-Z.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assumed.errors import AssumedError
from assumed.runtime.signals import relay

from .health import Document, stuck
from .place import locate
from .render import render
from .terminal import Line, console_of, is_smart, write

PERIOD = 1.0
"""Seconds between two looks: at the turn of each second, so that countdowns tick evenly."""

OF_ROLE = ("state", "issued_at", "expiration", "delivered", "enabled", "last_error")
"""What makes a role worth printing again."""
ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


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
    from rich.live import Live

    from .screen import Memory, Screen

    memory, problem, console = Memory(), "", console_of(sys.stdout)
    live = Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
    with _signals() as signals, _terminal(live) as keys:
        while True:
            memory.take(document, time.time())
            until = time.monotonic() + PERIOD - time.time() % PERIOD
            while True:
                size = os.get_terminal_size(sys.stdout.fileno())  # not $COLUMNS, which may be those of the shell
                console.size = size if size.columns and size.lines else console.size
                hint = "q quits" if keys else ""
                screen = Screen(console, time.time(), console.height, show_all, memory, hint, problem)
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
def _terminal(live: Any) -> Iterator[list[int]]:
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
