"""`assumed once` under strace in a home where it has to rewrite the credentials file: its calls, and the state of the
file if a call fails or is the last."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from process.kit import arn
from world.daemon import Home, role
from world.fake_sts import FakeSts
from world.traces import whole_lines

_LINE = re.compile(r"(?:\d+ +)?(?P<name>\w+)\((?P<args>.*)\) += (?P<result>-?\w+)")
FILES = "openat,write,pwrite64,ftruncate,fsync,fdatasync,close,mkdir,unlink,unlinkat,rename,renameat,renameat2,fchmod"
"""The system calls that can change a file or its names."""
MINE = "[mine]\naws_access_key_id = AKIATEST\naws_secret_access_key = canary\n# the last line, which has no newline"
"""A foreign profile."""


@dataclass(frozen=True, slots=True)
class Call:
    """One completed system call. Strings in `args` are hexadecimal escapes."""

    name: str
    args: str
    result: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one run; `calls` are those of FILES."""

    done: subprocess.CompletedProcess[str]
    calls: tuple[Call, ...]
    hit: bool
    """Whether the call that should fail or be the last was made."""


class Rewrite:
    """Add the profile `new` to a file with a managed profile and a foreign one. STS is not needed: the session is in
    the store."""

    def __init__(self, directory: Path, sts: FakeSts) -> None:
        self.home = Home(directory / "home")
        self._as_it_was = directory / "before"
        self._environ = {"AWS_ENDPOINT_URL_STS": sts.url, "PYTHONDONTWRITEBYTECODE": "1"}
        self.home.path.mkdir()
        self.home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
        with self.home.credentials.open("a") as file:
            file.write(MINE)
        self.home.configure(role("kept", arn("kept")))
        assert self.run().returncode == 0
        self.old = self.home.credentials.read_bytes()
        self.home.configure(role("kept", arn("kept")), role("new", arn("new")))
        assert self.run().returncode == 0
        self.new = self.home.credentials.read_bytes()
        assert MINE.encode() in self.new
        self.home.credentials.write_bytes(self.old)
        shutil.copytree(self.aws, self._as_it_was)

    @property
    def aws(self) -> Path:
        return self.home.credentials.parent

    def run(self, *before: str) -> subprocess.CompletedProcess[str]:
        return self.home.assumed("once", before=before, **self._environ)

    def reset(self) -> None:
        """Restore the home."""
        shutil.rmtree(self.aws)
        shutil.copytree(self._as_it_was, self.aws)

    def act(self, *inject: str) -> Outcome:
        """Run in a fresh home; `inject` as strace's option takes it."""
        self.reset()
        trace = self.home.path / "trace"
        options = [] if any("signal=" in one for one in inject) else ["--seccomp-bpf"]  # which misses signals
        options += ["-e", f"trace={FILES}", *(word for one in inject for word in ("-e", f"inject={one}"))]
        done = self.run("strace", "-f", "-qq", "-xx", "-s", "100000", "-o", str(trace), *options)
        text = trace.read_text()
        hit = "(INJECTED)" in text or done.returncode == -signal.SIGKILL
        return Outcome(done, tuple(_calls(text)), hit)

    def found(self) -> bytes:
        return self.home.credentials.read_bytes()

    def strays(self) -> list[str]:
        """What is beside the file, except its state directory."""
        return sorted(path.name for path in self.aws.iterdir() if path.name not in ("credentials", "assumed"))


def in_the_file(calls: tuple[Call, ...]) -> Iterator[tuple[Call, int]]:
    """The calls from the last write's first one on, each with its number among the run's calls of that name: those
    that affect the credentials file."""
    begins = max(n for n, call in enumerate(calls) if call.name == "openat" and "O_EXCL" in call.args)
    seen: Counter[str] = Counter()
    for n, call in enumerate(calls):
        seen[call.name] += 1
        if n >= begins:
            yield call, seen[call.name]


def _calls(trace: str) -> Iterator[Call]:
    for line in whole_lines(trace):
        found = _LINE.match(line)
        if found and found["result"] != "?":
            yield Call(found["name"], found["args"], int(found["result"], 0))
