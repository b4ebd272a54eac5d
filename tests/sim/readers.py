"""What readers of the credentials file and of `credential_process` get, with a parser independent of the daemon's."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from assumed.paths import safe_name

from .aws import Grant

Values = dict[str, str]


class Torn(Exception):
    """No reader could parse this file."""


def chunks(text: str) -> list[tuple[str, str]]:
    """(section name, its text with its header); the name of the part before the first section is empty."""
    first, *parts = f"\n{text}".split("\n[")
    found = [("", f"{first}\n"[1:] if parts else first[1:])]
    for number, part in enumerate(parts, 1):
        name, bracket, _ = part.partition("]")
        if not bracket or "\n" in name:
            raise Torn(f"half a header: [{name!r}")
        found.append((name, f"[{part}\n" if number < len(parts) else f"[{part}"))
    return found


def foreign(text: str, kept: Iterable[str]) -> tuple[str, ...]:
    """Everything outside managed sections. Empty lines between sections are not counted."""
    kept = set(kept)
    return tuple(t for name, chunk in chunks(text) if name not in kept and (t := chunk.rstrip("\n")))


def sections(text: str) -> dict[str, Values]:
    """Section → keys and values. Raises Torn also for what configparser would refuse."""
    found: dict[str, Values] = {}
    for name, chunk in chunks(text):
        if name in found:
            raise Torn(f"[{name}] stands there twice")
        values: Values = {}
        for line in chunk.split("\n")[1 if name else 0 :]:
            if not line or line[0] in "#; \t\r":
                continue
            key, equals, value = line.partition("=")
            if not equals:
                raise Torn(f"[{name}]: {line!r} is no key and value")
            values[key.strip()] = value.strip()
        if name or values:
            found[name] = values
    return found


@dataclass(slots=True)
class Readers:
    """The content of the disk, read again only when it changes."""

    path: Path
    state: Path
    grants: dict[str, Grant]
    text: str = ""
    sections: dict[str, Values] = field(default_factory=dict)
    _look: tuple[int, ...] | None = None
    _stored: dict[str, str | None] = field(default_factory=dict)
    """Profile → key id in the session store; cleared when something there changes."""

    def refresh(self) -> bool:
        """Read the file if it has changed. Raises Torn. True if it had."""
        try:
            status = os.stat(self.path)
            look = (status.st_ino, status.st_size, status.st_mtime_ns)
        except FileNotFoundError:
            look = ()
        if look == self._look:
            return False
        self.text = self.path.read_text() if look else ""
        self.sections = sections(self.text)
        self._look = look
        return True

    def store_changed(self) -> None:
        """Something in the state directory changed."""
        self._stored.clear()

    def in_file(self, profile: str) -> str | None:
        """The key id that a reader of the credentials file gets; None if there is none of ours."""
        values = self.sections.get(profile)
        return values.get("aws_access_key_id") if values else None

    def in_store(self, profile: str) -> str | None:
        """The key id that `credential-process` gets."""
        if profile not in self._stored:
            try:
                document = json.loads((self.state / "sessions" / f"{safe_name(profile)}.json").read_bytes())
                self._stored[profile] = document["AccessKeyId"]
            except (OSError, ValueError, KeyError):
                self._stored[profile] = None
        return self._stored[profile]

    def incoherent(self, names: Iterable[str], canary: str) -> str:
        """The first managed profile whose keys are not of one session; empty if there is none."""
        for name in names:
            values = self.sections.get(name)
            key_id = values.get("aws_access_key_id", "") if values else ""
            if not values or key_id not in self.grants:
                continue
            number = int(key_id.removeprefix("ASIASIM"))
            whole = values.get("aws_secret_access_key") == f"{canary}Secret{number}"
            if not whole or values.get("aws_session_token") != f"{canary}Token{number}":
                return name
            if self.grants[key_id].profile != name:
                return name
        return ""
