"""What `assumed demo` shows: the live status and what to paste on a terminal, plain lines elsewhere, a summary."""

from __future__ import annotations

import dataclasses
import shlex
import shutil
import sys
import time
from collections import Counter, deque
from pathlib import Path

from assumed.demo.front import Front, Record
from assumed.demo.home import DemoHome, roles_of
from assumed.demo.reader import Read, Reader

from .health import Document, is_served
from .render import render, shortened
from .terminal import CLEAR, END_OF_LINE, END_OF_SCREEN, HOME, is_smart, terminal_of, write

SHOWN_EVENTS = 6


class Show:
    """The demo as it goes on: reads through the kept profiles, what the AWS saw, and the screen."""

    def __init__(self, front: Front, home: DemoHome, life: int) -> None:
        self._front = front
        self._home = home
        self._life = life
        self._begun = time.monotonic()
        self._profiles = {arn: profile for profile, arn in roles_of(home.facts).items()}
        self._reader = Reader(home.credentials, home.facts.endpoint, home.facts.bucket)
        self._document: Document | None = None
        self._events: list[str] = []
        self._news: deque[tuple[float, str]] = deque()  # two threads add to it
        self._told = 0
        self._turn = 0
        self._refused_with: str | None = None
        self._redraws = is_smart(sys.stdout)

    @property
    def failed_reads(self) -> list[Read]:
        return [read for read in self._reader.reads if read.error]

    def begin(self) -> None:
        """Clears the screen, or says once what the frames of a terminal repeat."""
        if self._redraws:
            sys.stdout.write(CLEAR)
        else:
            write([*self._to_paste(), ""])

    def read(self) -> None:
        """Lists the bucket through the next kept profile that is served, and tries what has ended."""
        served = [role["profile"] for role in (self._document or {"roles": []})["roles"] if is_served(role)]
        if served:
            read = self._reader.read(served[self._turn % len(served)])
            self._turn += 1
            result = read.error or f"well, with {read.access_key_id}"
            self._tell(f"listing the bucket through {read.profile}: {result}")
        first = self._reader.first_session(self._front)
        if first and self._refused_with is None and time.time() >= first.expiration:
            self._refused_with = self._reader.try_first_session()
            self._tell(f"the first session, {first.access_key_id}, has ended; S3 answers it: {self._refused_with}")

    def look(self) -> None:
        """Takes in what happened since the last look, and shows it."""
        records = self._front.records
        for record in records[self._told :]:
            self._tell_of(record, records)
        self._told = len(records)
        self._document = self._home.status() or self._document
        news = [self._news.popleft() for _ in range(len(self._news))]
        lines = [f"{_clock(at)}  {sentence}" for at, sentence in sorted(news)]
        self._events += lines
        if not self._redraws:
            write(lines)
        elif self._document:
            self._draw(self._document)

    def summary(self) -> list[str]:
        """Writes what there was to see; returns the profiles that were never renewed."""
        issued = Counter(record.role_arn for record in self._front.records if record.issued)
        renewals = {profile: max(0, issued[arn] - 1) for arn, profile in self._profiles.items()}
        reads, failed = len(self._reader.reads), self.failed_reads
        lines = [
            "",
            f"{len(renewals)} roles kept for {time.monotonic() - self._begun:.0f} s, in sessions of {self._life} s:",
            *(f"  {profile:<10} {_times(count)}" for profile, count in renewals.items()),
            f"{reads} listings through the kept profiles: {reads - len(failed)} went well, {len(failed)} failed",
            *(f"  {read.profile}: {read.error}" for read in failed[:3]),
        ]
        if self._refused_with:
            lines.append(f"the first session has long ended, and whoever kept it is refused: {self._refused_with}")
        write(lines)
        return [profile for profile, count in renewals.items() if count == 0]

    def _tell_of(self, record: Record, records: list[Record]) -> None:
        profile = self._profiles.get(record.role_arn or "")
        if profile is None or record.operation != "AssumeRole":
            return
        if record.issued is None:
            self._tell(f"{profile}: refused with {record.error}")
            return
        first = next(r for r in records if r.issued and r.role_arn == record.role_arn) is record
        ends = self._front.ledger.issued[record.issued].expiration
        self._tell(f"{profile}: {'assumed' if first else 'renewed'}, {record.issued} until {_clock(ends)}", record.time)

    def _tell(self, sentence: str, at: float | None = None) -> None:
        self._news.append((at or time.time(), sentence))

    def _draw(self, document: Document) -> None:
        terminal = terminal_of(sys.stdout, full_screen=True)
        events = [shortened(event, terminal) for event in self._events[-SHOWN_EVENTS:]]
        hint = f"Sessions last {self._life} s here. Ctrl-C ends the demo and tidies up."
        below = ["", *self._to_paste(), "", *events, "", hint]
        rows = sum(max(1, -(-len(line) // terminal.width)) for line in below)
        height = max(6, (terminal.height or 24) - rows)
        lines = render(document, time.time(), dataclasses.replace(terminal, height=height)) + below
        sys.stdout.write(HOME)
        write([line + END_OF_LINE for line in lines[: terminal.height]])
        sys.stdout.write(END_OF_SCREEN)
        sys.stdout.flush()

    def _to_paste(self) -> list[str]:
        """What a second terminal can run, with the tool that is there."""
        bucket = self._home.facts.bucket
        variables = [f"  {name}={shlex.quote(value)} \\" for name, value in self._home.variables().items()]
        if shutil.which("aws"):
            command = f"aws s3 ls s3://{bucket} --recursive --profile my-role"
            return ["In a second terminal, as often as you like:", *variables, f"  {command}"]
        if beside := _beside_python("aws"):
            command = f"{shlex.quote(beside)} s3 ls s3://{bucket} --recursive --profile my-role"
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


def _beside_python(tool: str) -> str | None:
    """A tool of the same virtual environment, which need not be on PATH."""
    path = Path(sys.executable).with_name(tool)
    return str(path) if path.exists() else None


def _times(count: int) -> str:
    return {0: "never renewed", 1: "renewed once", 2: "renewed twice"}.get(count, f"renewed {count} times")


def _clock(posix: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(posix))
