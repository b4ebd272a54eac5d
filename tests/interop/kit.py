"""An AWS whose sessions end, a daemon, and one long-running consumer; what counts is what the server saw."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from assumed.demo.aws import Moto, WalkThrough, client, set_up
from assumed.demo.front import Front, Record
from world.daemon import DEFAULTS, Daemon, Home, role
from world.scores import Record as Hand
from world.waiting import eventually

WAYS = ["process", "exec"]
"""Profiles, and how a consumer gets at their sessions: it is given the profile, or runs under `assumed exec`."""
NO_SUCH_OBJECT = 404
"""An answer: rclone asks whether the directory is an object."""
SHORTEST = 900
"""Seconds: what STS gives at least."""
FIRST_SECONDS = 240.0
"""Until a consumer's first request: a JVM, or an import of mlflow, takes a while on a busy machine."""


@dataclass
class World:
    """The AWS, and a home whose daemon keeps a profile for each way."""

    front: Front
    facts: WalkThrough
    home: Home
    daemon: Daemon

    @property
    def variables(self) -> dict[str, str]:
        """What daemon and consumers need to find this AWS instead of the real one."""
        return {"AWS_ENDPOINT_URL": self.front.url}


@contextlib.contextmanager
def world(path: Path, session_seconds: int | None, objects: int = 0, older: bool = False) -> Iterator[World]:
    """A running daemon, in an AWS whose sessions live for `session_seconds` (None: 900 s, the shortest of STS's).

    `objects` is how many small objects lie in the bucket under `many/`. `older`: both AWS files have a section of the
    profile `process` already.
    """
    with Moto() as moto, Front(moto.url, session_seconds) as front:
        facts = set_up(front.url)
        s3 = client(front.url, "s3")
        for number in range(objects):
            s3.put_object(Bucket=facts.bucket, Key=f"many/{number:04}", Body=b"x" * 1000)
        moto.enforce_iam()
        home = Home(path)
        home.add_source(facts.natan.access_key_id, facts.natan.secret_access_key)
        if older:
            write_older_sections(home)
        home.configure(
            role("process", facts.reports_role, deliver="process"),
            role("exec", facts.my_role, external_id=facts.external_id),
            defaults=f"{DEFAULTS}duration_seconds = {SHORTEST}\n",
        )
        with Daemon(home, AWS_ENDPOINT_URL=front.url) as daemon:
            daemon.wait_until_fresh(*WAYS)
            yield World(front, facts, home, daemon)


def write_older_sections(home: Home) -> None:
    """Another tool's session in the credentials file; settings and a line of an older installation in the other."""
    with home.credentials.open("a") as file:
        file.write("[process]\naws_access_key_id = ASIAOLD\naws_secret_access_key = s\naws_session_token = t\n")
        file.write("aws_security_token = t\nexpiration = 2026-01-01 00:00:00\n")
    line = f"credential_process = /old/python -I -S /old/credential_process.py --state {home.state} process"
    home.aws_config.write_text(f"[profile process]\nregion = us-west-2\noutput = json\n{line}\n")


@dataclass
class Job:
    """One consumer's process, by one of the two ways, and what the server saw of it.

    Its input ends with the block, and it must end with that.
    """

    world: World
    way: str
    command: Sequence[str]
    more: dict[str, str] = field(default_factory=dict)
    _began: int = 0
    _process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        home = self.world.home
        under = [sys.executable, "-m", "assumed", "exec", "exec", "--"] if self.way == "exec" else []
        variables = {**self.world.variables, **({"AWS_PROFILE": "process"} if self.way == "process" else {})}
        self._began = len(self.world.front.records)
        with self._output.open("w") as output:
            self._process = subprocess.Popen(
                [*under, *self.command],
                env=home.environment(**variables | self.more),
                cwd=home.path,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._process is not None
        if exc[0] is not None:
            self._process.kill()
        with self._process:
            self._process.communicate(timeout=FIRST_SECONDS)

    @property
    def _output(self) -> Path:
        return self.world.home.path / f"{self.way}.output"

    @property
    def output(self) -> str:
        """What it has said."""
        return self._output.read_text()

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        assert self._process is not None
        return self._process.poll()

    @property
    def requests(self) -> list[Record]:
        """What the server has answered, but for the daemon's own requests and those that bore the other way's key."""
        other = {"process": self.world.facts.my_role, "exec": self.world.facts.reports_role}[self.way]
        issued = self.world.front.ledger.issued
        return [
            record
            for record in self.world.front.records[self._began :]
            if record.service != "sts"
            and not (record.access_key_id in issued and issued[record.access_key_id].role_arn == other)
        ]

    @property
    def keys(self) -> list[str]:
        """The different keys that its requests bore, in their order."""
        return list(dict.fromkeys(record.access_key_id or "none" for record in self.requests))

    @property
    def failures(self) -> list[str]:
        """Requests that were refused, or bore a key that had expired or was never issued to a role; and whatever the
        consumer itself complains of: a request that it could not sign never reaches the server."""
        issued = self.world.front.ledger.issued
        refused = [
            f"{record.operation} with {record.access_key_id}: {record.status} {record.error}"
            for record in self.requests
            if (record.status >= 400 and record.status != NO_SUCH_OBJECT)
            or record.access_key_id not in issued
            or record.time > issued[record.access_key_id].expiration
        ]
        return refused + [line for line in self.output.splitlines() if "error" in line.lower()]

    def goes_on_for(self, seconds: float) -> None:
        """Let it run, from its first request on. Raises AssertionError when it ends before that."""
        eventually(lambda: self.requests or self._ended(), FIRST_SECONDS, saying=f"a first request\n{self.output}")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert not self._ended(), f"it ended with {self.status}: {self.output}"
            time.sleep(0.1)

    def ends_within(self, seconds: float) -> None:
        """Wait for its end. Raises AssertionError when it takes longer."""
        eventually(self._ended, seconds, saying=f"the end of a transfer\n{self.output[-2000:]}")

    def _ended(self) -> bool:
        return self.status is not None


def must_have_worked(job: Job, name: str, record: Hand, keys: int = 3) -> None:
    """Each of its requests bore a good key, and there were several; the figures are handed in."""
    record(f"interop.{name}.{job.way}.requests", len(job.requests))
    record(f"interop.{name}.{job.way}.failures", len(job.failures))
    record(f"interop.{name}.{job.way}.keys", len(job.keys))
    assert not job.failures, f"{len(job.failures)} of {len(job.requests)}: {job.failures[:5]}"
    assert job.status == 0, job.output
    assert len(job.keys) >= keys, job.keys
