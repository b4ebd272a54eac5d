"""What `exec`, `serve` and `env` share: a supply of sessions, and private files."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assumed.errors import NotKept
from assumed.jobs.supply import path_of, supplied

from .app import nearest, say
from .terminal import show_line

if TYPE_CHECKING:
    from assumed.jobs.supply import Supply
    from assumed.model import Session

__all__ = ["first_session", "path_of", "private_directory", "supply_of", "write_private"]

FIRST = 60.0
"""Seconds for the first session: a source that asks a password manager takes a while."""


@contextmanager
def supply_of(config_path: Path | None, profiles: Sequence[str]) -> Iterator[Supply]:
    """A supply of these profiles. Raises UsageError for one that is not kept, with the nearest that is."""
    try:
        with supplied(config_path, profiles, _told) as supply:
            yield supply
    except NotKept as error:
        raise click.UsageError(
            f"{error.profile} is not a managed profile.{nearest(error.profile, error.kept)}"
        ) from None


def _told(profile: str, problem: str) -> None:
    """The session in use goes on; a person may look into it meanwhile."""
    say(f"{profile}: {problem}" if problem else f"{profile}: renewed again")


def first_session(supply: Supply, profile: str, meanwhile: Callable[[], None] = lambda: None) -> Session:
    """The first session of a profile; `meanwhile` is called over and over, and may raise what ends it.

    Raises AssumedError with the reason why there is none.
    """
    began, shown = time.monotonic(), 0

    def waiting() -> None:
        nonlocal shown
        meanwhile()
        seconds = time.monotonic() - began
        if seconds > 1:
            shown = show_line(f"waiting for a session of {profile} ({seconds:.0f} s)", shown)

    try:
        return supply.wait_for(profile, FIRST, waiting)
    finally:
        show_line("", shown)


@contextmanager
def private_directory() -> Iterator[Path]:
    """A directory of this user alone (0700), gone in the end."""
    directory = tempfile.mkdtemp(prefix="assumed-")
    try:
        yield Path(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def write_private(path: Path, text: str) -> None:
    """Write a file of this user alone (0600), replacing what is there."""
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
