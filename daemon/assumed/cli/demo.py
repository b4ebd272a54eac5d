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
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .app import FAILING, OK
from .health import Document, is_served
from .terminal import console_of, is_smart, say, write

if TYPE_CHECKING:
    from assumed.demo.front import Front, Record
    from assumed.demo.home import DemoHome

SESSION_SECONDS = 20
READ_EVERY_SECONDS = 2.0
LOOK_EVERY_SECONDS = 0.5
READ_PATIENCE_SECONDS = 6.0
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Event = dict[str, Any]
"""As the events of a status: at, level, profile, message."""


@click.command()
@click.option("--seconds", type=click.IntRange(min=1), metavar="N", help="Stop after N seconds.")
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
    from assumed.demo.front import Front
    from assumed.demo.home import DemoHome
    from assumed.runtime.signals import heeded, relay

    life, stop = session_seconds(seconds), threading.Event()
    with contextlib.ExitStack() as world:
        world.callback(relay(heeded(ENDING), lambda _: stop.set()))  # further ones change nothing: it is tidying up
        click.echo("Starting an AWS on this machine …", err=True)
        moto = world.enter_context(Moto())
        try:
            front = Front(moto.url, life, port).start()
        except OSError as error:
            problem = f"port {port} cannot be used ({error.strerror}); leave --port out to take a free one"
            raise click.UsageError(problem) from None
        world.callback(front.stop)
        click.echo("Creating the user natan, his group, three roles, a bucket …", err=True)
        facts = set_up(front.url)
        moto.enforce_iam()
        home = world.enter_context(DemoHome(facts))
        click.echo("Starting the daemon …", err=True)
        home.start_daemon()
        if stop.is_set():
            return 128 + signal.SIGINT
        show = Show(front, home, life)
        show.run(stop, seconds)
        unrenewed = show.summary()
    if unrenewed:
        longer = f"; `assumed demo --seconds {max(20, 2 * seconds)}` gives it time" if seconds else ""
        say(f"not renewed yet: {', '.join(unrenewed)}{longer}")
    return FAILING if unrenewed or show.failed_reads else OK


def session_seconds(seconds: int | None) -> int:
    """Life of a session: short enough that each role is renewed within a demo of `seconds`."""
    return SESSION_SECONDS if seconds is None else max(4, min(SESSION_SECONDS, seconds // 2))


class Show:
    """The demo as it goes on: reads through the kept profiles, what the AWS saw, and the screen."""

    def __init__(self, front: Front, home: DemoHome, life: int) -> None:
        from assumed.demo.home import roles_of
        from assumed.demo.reader import Reader

        self._front, self._home, self._life = front, home, life
        self._profiles = {arn: profile for profile, arn in roles_of(home.facts).items()}
        self._reader = Reader(home.credentials, home.facts.endpoint, home.facts.bucket)
        self._roles: list[Event] = []
        self._events: deque[Event] = deque()  # two threads add to it
        self._seen = 0
        self._refused_with: str | None = None

    @property
    def failed_reads(self) -> list[str]:
        """Reads through a kept profile that went wrong: each breaks the promise."""
        return [f"{read.profile}: {read.error}" for read in self._reader.reads if read.error]

    def run(self, stop: threading.Event, seconds: int | None) -> None:
        """Show what happens until `stop`, or for so many seconds."""
        ended = threading.Event()
        # A thread of its own: a slow reader must not hold the picture still.
        reader = threading.Thread(target=self._keep_reading, args=[ended], name="reader", daemon=True)
        reader.start()
        deadline = time.monotonic() + (seconds or float("inf"))
        with self._screen() as draw:
            while not stop.is_set() and time.monotonic() < deadline:
                records = self._front.records
                for record in records[self._seen :]:
                    self._add_record(record, records)
                self._seen = len(records)
                if document := self._home.status():
                    self._roles = document["roles"]
                    draw(document)
                stop.wait(LOOK_EVERY_SECONDS)
        ended.set()
        reader.join(READ_PATIENCE_SECONDS)

    def summary(self) -> list[str]:
        """Writes what there was to see; returns the profiles that were never renewed."""
        issued = Counter(record.role_arn for record in self._front.records if record.issued)
        renewals = {profile: max(0, issued[arn] - 1) for arn, profile in self._profiles.items()}
        reads, failed = len(self._reader.reads), self.failed_reads
        listings = f"{reads} listings through the kept profiles: {reads - len(failed)} succeeded, {len(failed)} failed"
        counted = [f"  {profile:<10} renewals: {count}" for profile, count in renewals.items()]
        write(["", f"{len(renewals)} roles in sessions of {self._life} s:", *counted, listings, *failed[:3]])
        if self._refused_with:
            write([f"the first session ended long ago; a reader that kept it is refused: {self._refused_with}"])
        return [profile for profile, count in renewals.items() if count == 0]

    @contextlib.contextmanager
    def _screen(self) -> Iterator[Callable[[Document], None]]:
        """What can be pasted, then the live status below it on a terminal, lines elsewhere. Yields what shows news."""
        pasted = [*self._to_paste(), ""]
        write(pasted)
        if not is_smart(sys.stdout):
            yield lambda _: write([_line(self._events.popleft()) for _ in range(len(self._events))])
            return
        from rich.live import Live

        from .screen import Screen

        console = console_of(sys.stdout)
        hint = f"sessions last {self._life} s here; Ctrl-C ends the demo and tidies up"
        with Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:

            def draw(document: Document) -> None:
                height = max(12, min(18, console.height - len(pasted) - 1))
                screen = Screen(console, time.time(), height, hint=hint)
                live.update(screen.of({**document, "events": list(self._events)[-6:]}), refresh=True)

            yield draw

    def _keep_reading(self, ended: threading.Event) -> None:
        """List the bucket through each kept profile in turn, and try the first session once it has ended."""
        while not ended.wait(READ_EVERY_SECONDS):
            served = [role["profile"] for role in self._roles if is_served(role)]
            if served:
                read = self._reader.read(served[len(self._reader.reads) % len(served)])
                self._add(read.profile, read.error or f"bucket listed with {read.access_key_id}")
            first = self._reader.first_session(self._front)
            if first and self._refused_with is None and time.time() >= first.expiration:
                self._refused_with = self._reader.try_first_session()
                self._add(first.access_key_id, f"this first session has ended; S3 answers it: {self._refused_with}")

    def _add_record(self, record: Record, records: list[Record]) -> None:
        profile = self._profiles.get(record.role_arn or "")
        if profile is None or record.operation != "AssumeRole":
            return
        if record.issued is None:
            self._add(profile, f"refused with {record.error}", record.time)
            return
        first = next(r for r in records if r.issued and r.role_arn == record.role_arn) is record
        ends = datetime.fromtimestamp(self._front.ledger.issued[record.issued].expiration).astimezone()
        self._add(profile, f"{'assumed' if first else 'renewed'}, {record.issued} until {ends:%H:%M:%S}", record.time)

    def _add(self, profile: str, message: str, at: float | None = None) -> None:
        instant = datetime.fromtimestamp(at or time.time(), UTC).isoformat()
        self._events.append({"at": instant, "level": "info", "profile": profile, "message": message})

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


def _line(event: Event) -> str:
    at = datetime.fromisoformat(event["at"]).astimezone()
    return f"{at:%H:%M:%S}  {event['profile']}: {event['message']}"
