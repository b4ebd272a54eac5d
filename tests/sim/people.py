"""A person and other programs that edit the credentials file and the configuration while the daemon runs."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from .readers import chunks, foreign

FIRST = """\
[default]
aws_access_key_id = AKIASIMSOURCE
aws_secret_access_key = CanarySource

[work]
region = eu-west-1
output = json
"""


@dataclass(frozen=True, slots=True)
class Spec:
    """A role as the person wants it."""

    profile: str
    arn: str
    source: str
    seconds: int
    deliver: str = "keys"


def toml(specs: list[Spec]) -> str:
    """A configuration of these roles."""
    parts = ['log_format = "json"']
    parts += [
        f'[[roles]]\nprofile = "{s.profile}"\nrole_arn = "{s.arn}"\nsource_profile = "{s.source}"\n'
        f'duration_seconds = {s.seconds}\ndeliver = "{s.deliver}"\nregion = "us-west-2"'
        for s in specs
    ]
    return "\n\n".join(parts) + "\n"


@dataclass(slots=True)
class Person:
    """Writes files, and remembers what must be in them."""

    path: Path
    random: random.Random
    kept: set[str]
    """Every profile that is, was or will be managed: foreign sections never have these names."""
    accepted: list[tuple[str, ...]] = field(default_factory=list)
    """The unmanaged part of the file as last written, and its previous content while an edit is still pending."""
    torn_since: float | None = None
    """While a write is in progress."""
    orphaned: bool = False
    """The daemon died during a write, and its open files with it."""
    edits: int = 0

    def begin(self) -> None:
        """The file before there is a daemon."""
        self.path.write_text(FIRST)
        self.accepted = [foreign(FIRST, self.kept)]

    def read(self) -> str:
        """The file as an editor loads it."""
        try:
            return self.path.read_text()
        except FileNotFoundError:
            return ""

    def edited(self, text: str) -> str:
        """`text` with one change outside managed sections."""
        self.edits += 1
        parts = chunks(text)
        own = [i for i, (name, _) in enumerate(parts) if name and name not in self.kept]
        what = self.random.choice(["add", "add", "change", "remove", "note"])
        if what == "add" or not own:
            glue = "" if not text or text.endswith("\n") else "\n"
            end = self.random.choice(["\n", "", "\n\n"])
            return f"{text}{glue}[person-{self.edits}]\naws_access_key_id = AKIAPERSON{self.edits}{end}"
        at = self.random.choice(own)
        name, chunk = parts[at]
        if what == "remove":
            parts[at] = (name, "")
        else:
            header, _, rest = chunk.partition("\n")
            line = f"# note {self.edits}" if what == "note" else f"cli_pager = less-{self.edits}"
            kept_lines = [row for row in rest.split("\n") if not row.startswith("cli_pager")]
            parts[at] = (name, "\n".join([header, line, *kept_lines]))
        return "".join(chunk for _, chunk in parts)

    def save_whole(self, text: str) -> None:
        """Like an editor that writes a new file and renames it."""
        temp = self.path.with_name("credentials.swp")
        temp.write_text(text)
        temp.chmod(0o600)
        temp.rename(self.path)
        self._meant(text)

    def save_in_place(self, text: str, now: float, then: Callable[[], None]) -> Writing:
        """Like the AWS CLI: truncate, and write a moment later."""
        self.torn_since = now
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._stamp(fd)
        self.accepted.append(foreign(text, self.kept))
        return Writing(self, fd, text.encode(), then)

    def save_by_appending(self, text: str, now: float, then: Callable[[], None]) -> Writing:
        """Like a script: `: > file`, then `cat part >> file`."""
        self.torn_since = now
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._stamp(fd)
        os.close(fd)
        self.accepted.append(foreign(text, self.kept))
        return Writing(self, None, text.encode(), then)

    def delete(self) -> None:
        """Delete it."""
        self.path.unlink(missing_ok=True)
        self._meant("")

    def overwrite_profile(self, profile: str) -> None:
        """Another credentials tool writes its own keys into a managed profile."""
        self.edits += 1
        keys = (
            f"aws_access_key_id = ASIARIVAL{self.edits}\naws_secret_access_key = r\naws_session_token = t{self.edits}"
        )
        rest = [chunk for name, chunk in chunks(self.read()) if name != profile]
        text = "".join(rest)
        glue = "" if not text or text.endswith("\n") else "\n"
        self.save_whole(f"{text}{glue}[{profile}]\n{keys}\n")

    def _meant(self, text: str) -> None:
        self.accepted.append(foreign(text, self.kept))

    def _stamp(self, fd: int) -> None:
        """Simulated hours pass in real microseconds, so the kernel's clock would not distinguish two writes."""
        self.edits += 1
        os.utime(fd, ns=(self.edits, self.edits))


@dataclass(slots=True)
class Writing:
    """A write in several steps that others can observe in between."""

    person: Person
    fd: int | None
    rest: bytes
    then: Callable[[], None]

    def step(self, share: float) -> None:
        """Write this much of the rest; all of it ends the write."""
        cut = len(self.rest) if share >= 1 else int(len(self.rest) * share)
        fd = self.fd
        if fd is None:
            fd = os.open(self.person.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(fd, self.rest[:cut])
        self.rest = self.rest[cut:]
        self.person._stamp(fd)
        if self.fd is None or share >= 1:
            os.close(fd)
        if share >= 1:
            self.person.torn_since = None
            self.then()


def changed(spec: Spec, chance: random.Random, serial: int) -> Spec:
    """The role with another value in its request."""
    if chance.random() < 0.5:
        return replace(spec, arn=f"arn:aws:iam::123456789012:role/{spec.profile}-{serial}")
    return replace(spec, seconds=spec.seconds // 2 if spec.seconds >= 1800 else spec.seconds * 2)
