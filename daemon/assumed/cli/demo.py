"""`assumed demo`: the real daemon against an AWS on this machine, where sessions last seconds."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

import click

from .app import FAILING, OK

if TYPE_CHECKING:
    from assumed.demo.front import Front

    from .demo_screen import Show

SESSION_SECONDS = 20
READ_EVERY_SECONDS = 2.0
LOOK_EVERY_SECONDS = 0.5
READ_PATIENCE_SECONDS = 6.0
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command()
@click.option("--seconds", type=click.IntRange(min=1), metavar="N", help="End by itself after N seconds.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="P", help="Port of the AWS [default: free].")
def demo(seconds: int | None, port: int) -> int:
    """Watch roles being kept, without an AWS account.

    Starts an AWS on this machine (moto, from `pip install 'assumed[demo]'`) with the user, the group and
    the roles of the walk-through, lets sessions end after seconds instead of hours, and keeps three roles
    with the real daemon in a temporary home. Nothing of yours is read or changed; everything is gone at
    the end. Exit status 0 when every role was renewed at least once.

    \b
    Examples:
      assumed demo                until Ctrl-C
      assumed demo --seconds 20   and a summary
    """
    from assumed.demo.aws import Moto, set_up
    from assumed.demo.home import DemoHome

    from .demo_screen import Show

    life = session_seconds(seconds)
    with _until_interrupted() as stop, contextlib.ExitStack() as world:
        with _step("an AWS on this machine"):
            moto = world.enter_context(Moto())
            front = _front(moto.url, life, port)
            world.callback(front.stop)
        with _step("the user natan, his group, three roles, a bucket"):
            facts = set_up(front.url)
            moto.enforce_iam()
            home = world.enter_context(DemoHome(facts))
        with _step("the daemon"):
            home.start_daemon()
        show = Show(front, home, life)
        if stop.is_set():
            return 128 + signal.SIGINT
        show.begin()
        _watch(show, stop, seconds)
        return _conclude(show, None if stop.is_set() else seconds)


def session_seconds(seconds: int | None) -> int:
    """Life of a session: short enough that each role is renewed within a demo of `seconds`."""
    if seconds is None:
        return SESSION_SECONDS
    return max(4, min(SESSION_SECONDS, seconds // 2))


def _watch(show: Show, stop: threading.Event, seconds: int | None) -> None:
    """Reads in a thread of its own: a slow reader must not hold the picture still."""
    ended = threading.Event()
    reader = threading.Thread(target=_keep_reading, args=(show, ended), name="reader", daemon=True)
    reader.start()
    deadline = time.monotonic() + (seconds or float("inf"))
    while not stop.is_set() and time.monotonic() < deadline:
        show.look()
        stop.wait(LOOK_EVERY_SECONDS)
    ended.set()
    reader.join(READ_PATIENCE_SECONDS)


def _keep_reading(show: Show, ended: threading.Event) -> None:
    while not ended.is_set():
        show.read()
        ended.wait(READ_EVERY_SECONDS)


def _conclude(show: Show, seconds: int | None) -> int:
    """The summary; FAILING, with the reason, when a role was never renewed or a read failed.

    `seconds`: after which the demo ended by itself, or None.
    """
    unrenewed = show.summary()
    if unrenewed:
        longer = f"; `assumed demo --seconds {max(20, 2 * seconds)}` gives it time" if seconds else ""
        click.echo(f"assumed: not renewed yet: {', '.join(unrenewed)}{longer}", err=True)
        return FAILING
    return FAILING if show.failed_reads else OK


@contextlib.contextmanager
def _step(what: str) -> Iterator[None]:
    """Says on stderr what is being set up, and how long it took: moto's server needs a second or two."""
    begun = time.monotonic()
    click.echo(f"Starting {what} … ", nl=False, err=True)
    try:
        yield
    except BaseException:
        click.echo("failed", err=True)
        raise
    click.echo(f"{time.monotonic() - begun:.1f} s", err=True)


def _front(upstream: str, life: int, port: int) -> Front:
    from assumed.demo.front import Front

    try:
        return Front(upstream, life, port).start()
    except OSError as error:
        raise click.UsageError(
            f"port {port} cannot be used ({error.strerror}); leave --port out to take a free one"
        ) from None


@contextlib.contextmanager
def _until_interrupted() -> Iterator[threading.Event]:
    """An event that Ctrl-C, SIGTERM or a closed terminal sets. Further ones change nothing: all is being put away."""
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, end) for number in ENDING}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
