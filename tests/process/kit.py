"""Shared by the process tests: role ARNs, a continuous reader of the credentials file, short waits."""

from __future__ import annotations

import configparser
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from world.daemon import DEFAULTS, Daemon, Home, role
from world.fake_sts import FakeSts

CREDENTIALS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")


def arn(name: str) -> str:
    """The role of that name in the fake STS's account."""
    return f"arn:aws:iam::123456789012:role/{name}"


def key_of(home: Home, profile: str) -> str:
    """The access key id that a reader of the profile gets; empty if there is none."""
    return (home.profile(profile) or {}).get("aws_access_key_id", "")


def in_words(role: dict[str, Any]) -> str:
    """Everything that status says about why a role fails."""
    error = role["last_error"] or {}
    return f"{error.get('code')}: {error.get('message')}; {error.get('advice')}"


def temporaries(directory: Path) -> list[str]:
    """Files under `directory` that a writer meant to rename."""
    return [str(path) for path in directory.rglob("*.tmp")]


@dataclass
class Reader:
    """Reads managed profiles continuously, as a developer's tools do, and records the time left of each session.

    The true end of a session is the one STS checks: the whole second named in its answer.
    """

    home: Home
    sts: FakeSts
    profiles: tuple[str, ...]
    shares: dict[str, list[float]] = field(default_factory=dict)
    """Profile → the share of the session's life left at each read (STS uses whole seconds)."""
    faults: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._read, name="reader", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        assert self._thread is not None
        self._thread.join()

    def least(self, profile: str) -> float:
        return min(self.shares[profile])

    def _read(self) -> None:
        while not self._stop.wait(0.02):
            text = self.home.credentials.read_text()
            file = configparser.RawConfigParser()
            try:
                file.read_string(text)
                for profile in self.profiles:
                    self._look(profile, dict(file[profile]))
            except (configparser.Error, KeyError) as error:
                self.faults.append(f"{error}: {text!r}")

    def _look(self, profile: str, section: dict[str, str]) -> None:
        key = self.sts.key(section["aws_access_key_id"])
        if (section["aws_secret_access_key"], section["aws_session_token"]) != (
            key.secret_access_key,
            key.session_token,
        ):
            self.faults.append(f"{profile} holds keys of two sessions")
        issued = next(call for call in reversed(self.sts.calls) if call.issued == key.access_key_id)
        assert key.expiration is not None
        life = key.expiration - int(issued.time)
        self.shares.setdefault(profile, []).append((key.expiration - time.time()) / life)


def rounds(daemon: Daemon, profile: str) -> int:
    """The number of renewals of a profile in the log."""
    return sum(1 for event in daemon.events("role.renewed") if event["profile"] == profile)


def text(*profiles: str) -> str:
    """A configuration of these roles, each named like its profile."""
    return "\n".join([DEFAULTS, *(role(name, arn(name)) for name in profiles)])


def atomic(path: Path, new: str) -> None:
    """Write a temporary file beside it and rename it over."""
    temp = path.with_name(".config.toml.swp-new")
    temp.write_text(new)
    temp.replace(path)


def fail(daemon: Daemon, *profiles: str) -> None:
    """Wait until each of the profiles has failed."""
    daemon.wait_until(lambda status: all(e["failures"] for e in status["roles"] if e["profile"] in profiles))


def fail_again(daemon: Daemon, *profiles: str, often: int = 1) -> None:
    """Request renewals this many times, and wait for each failure: none is in flight on return."""
    for _ in range(often):
        before = {entry["profile"]: entry["failures"] for entry in daemon.status()["roles"]}
        daemon.ask("refresh", profiles=list(profiles))
        daemon.wait_until(
            lambda status, before=before: all(  # type: ignore[misc]
                entry["failures"] > before[entry["profile"]]
                for entry in status["roles"]
                if entry["profile"] in profiles
            )
        )
