"""`assumed demo`: the real daemon against an AWS on this machine, where sessions last seconds."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from .app import FAILING, OK
from .health import Document, is_served
from .terminal import console_of, is_smart, write

if TYPE_CHECKING:
    from assumed.demo.front import Front, Record
    from assumed.demo.home import DemoHome
    from assumed.demo.reader import Read

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
        if stop.is_set():
            return 128 + signal.SIGINT
        show = Show(front, home, life)
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

    def keep_reading() -> None:
        while not ended.is_set():
            show.read()
            ended.wait(READ_EVERY_SECONDS)

    reader = threading.Thread(target=keep_reading, name="reader", daemon=True)
    reader.start()
    deadline = time.monotonic() + (seconds or float("inf"))
    with show.on_screen() as draw:
        while not stop.is_set() and time.monotonic() < deadline:
            draw(show.look())
            stop.wait(LOOK_EVERY_SECONDS)
    ended.set()
    reader.join(READ_PATIENCE_SECONDS)


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


class Show:
    """The demo as it goes on: reads through the kept profiles, what the AWS saw, and the screen."""

    def __init__(self, front: Front, home: DemoHome, life: int) -> None:
        from assumed.demo.home import roles_of
        from assumed.demo.reader import Reader

        self._front, self._home, self._life = front, home, life
        self._begun = time.monotonic()
        self._profiles = {arn: profile for profile, arn in roles_of(home.facts).items()}
        self._reader = Reader(home.credentials, home.facts.endpoint, home.facts.bucket)
        self._document: Document | None = None
        self._news: deque[tuple[float, str, str]] = deque()  # two threads add to it
        self._seen = 0
        self._turn = 0
        self._refused_with: str | None = None

    @property
    def failed_reads(self) -> list[Read]:
        return [read for read in self._reader.reads if read.error]

    @contextlib.contextmanager
    def on_screen(self) -> Iterator[Any]:
        """What can be pasted, then the live status below it on a terminal, lines elsewhere. Yields what shows news."""
        pasted = [*self._to_paste(), ""]
        write(pasted)
        if not is_smart(sys.stdout):
            yield lambda news: write([f"{_clock(at)}  {profile}: {message}" for at, profile, message in news])
            return
        from rich.live import Live

        from .screen import Screen

        console, events = console_of(sys.stdout), []
        hint = f"sessions last {self._life} s here; Ctrl-C ends the demo and tidies up"
        with Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:

            def draw(news: list[tuple[float, str, str]]) -> None:
                for at, profile, message in news:
                    instant = datetime.fromtimestamp(at, UTC).isoformat()
                    events.append({"at": instant, "level": "info", "profile": profile, "message": message})
                if self._document:
                    height = max(12, console.height - len(pasted) - 1)
                    screen = Screen(console, time.time(), height, hint=hint)
                    live.update(screen.of({**self._document, "events": events[-6:]}), refresh=True)

            yield draw

    def read(self) -> None:
        """Lists the bucket through the next kept profile that is served, and tries what has ended."""
        served = [role["profile"] for role in (self._document or {"roles": []})["roles"] if is_served(role)]
        if served:
            read = self._reader.read(served[self._turn % len(served)])
            self._turn += 1
            self._add(read.profile, f"bucket listed with {read.access_key_id}" if not read.error else read.error)
        first = self._reader.first_session(self._front)
        if first and self._refused_with is None and time.time() >= first.expiration:
            self._refused_with = self._reader.try_first_session()
            self._add(first.access_key_id, f"this first session has ended; S3 answers it: {self._refused_with}")

    def look(self) -> list[tuple[float, str, str]]:
        """Takes in what happened since the last look: when, to which profile, what."""
        records = self._front.records
        for record in records[self._seen :]:
            self._add_record(record, records)
        self._seen = len(records)
        self._document = self._home.status() or self._document
        return sorted(self._news.popleft() for _ in range(len(self._news)))

    def summary(self) -> list[str]:
        """Writes what there was to see; returns the profiles that were never renewed."""
        issued = Counter(record.role_arn for record in self._front.records if record.issued)
        renewals = {profile: max(0, issued[arn] - 1) for arn, profile in self._profiles.items()}
        reads, failed = len(self._reader.reads), self.failed_reads
        lines = [
            "",
            f"{len(renewals)} roles kept for {time.monotonic() - self._begun:.0f} s, in sessions of {self._life} s:",
            *(f"  {profile:<10} {_times(count)}" for profile, count in renewals.items()),
            f"{reads} listings through the kept profiles: {reads - len(failed)} succeeded, {len(failed)} failed",
            *(f"  {read.profile}: {read.error}" for read in failed[:3]),
        ]
        if self._refused_with:
            lines.append(f"the first session ended long ago; a reader that kept it is refused: {self._refused_with}")
        write(lines)
        return [profile for profile, count in renewals.items() if count == 0]

    def _add_record(self, record: Record, records: list[Record]) -> None:
        profile = self._profiles.get(record.role_arn or "")
        if profile is None or record.operation != "AssumeRole":
            return
        if record.issued is None:
            self._add(profile, f"refused with {record.error}")
            return
        first = next(r for r in records if r.issued and r.role_arn == record.role_arn) is record
        ends = _clock(self._front.ledger.issued[record.issued].expiration)
        self._add(profile, f"{'assumed' if first else 'renewed'}, {record.issued} until {ends}", record.time)

    def _add(self, profile: str, message: str, at: float | None = None) -> None:
        self._news.append((at or time.time(), profile, message))

    def _to_paste(self) -> list[str]:
        """What a second terminal can run, with the tool that is there."""
        bucket = self._home.facts.bucket
        variables = [f"  {name}={shlex.quote(value)} \\" for name, value in self._home.variables().items()]
        beside = Path(sys.executable).with_name("aws")  # of the same virtual environment, which need not be on PATH
        if aws := "aws" if shutil.which("aws") else shlex.quote(str(beside)) if beside.exists() else None:
            command = f"{aws} s3 ls s3://{bucket} --recursive --profile my-role"
            return ["In a second terminal, as often as you like:", *variables, f"  {command}"]
        program = (
            "import boto3; "
            f"print(boto3.Session(profile_name='my-role').client('s3').list_objects_v2(Bucket='{bucket}')['Contents'])"
        )
        return [
            "In a second terminal (there is no `aws` here; `pip install awscli` brings it), the same with Python:",
            *variables,
            f"  {shlex.quote(sys.executable)} -c {shlex.quote(program)}",
        ]


def _times(count: int) -> str:
    return {0: "never renewed", 1: "renewed once", 2: "renewed twice"}.get(count, f"renewed {count} times")


def _clock(posix: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(posix))


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
    """An event that Ctrl-C, SIGTERM or a closed terminal sets. Further ones change nothing: it is tidying up."""
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, end) for number in ENDING}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
