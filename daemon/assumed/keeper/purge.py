"""Taking away what the daemon has written: our profiles, and the state beside the credentials file."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from assumed.config import Config
from assumed.core.errors import FileUnsettled
from assumed.edge.credentials_file import CredentialsFile
from assumed.files.state import remove
from assumed.paths import state_dir

from .post import Post

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Purged:
    """What is gone."""

    profiles: tuple[str, ...]
    state: Path | None
    left: tuple[str, ...] = ()
    """What lies in the state directory and is not of assumed: then the directory stays."""


def purge(config: Path, credentials_file: Path) -> Purged:
    """Remove the profiles that this configuration owns, and no others, then the state directory.

    Raises AlreadyRunning while a daemon keeps the file, FileRefused where the system does not allow it.
    """
    directory = state_dir(credentials_file)
    if not directory.parent.is_dir():
        return Purged((), None)
    existed = directory.exists()
    owner = Config(config, (), credentials_file).config_id
    post = Post(credentials_file)
    try:
        removed = _without_profiles(CredentialsFile(credentials_file, post.directory), owner)
        left = remove(post.directory)  # as long as the lock in it is ours
    finally:
        post.leave()
    return Purged(removed, post.directory if existed else None, tuple(left))


def _without_profiles(file: CredentialsFile, owner: str) -> tuple[str, ...]:
    for attempt in range(_TRIES):
        try:
            return file.write([], owner, remove_orphans=True).removed
        except FileUnsettled as unsettled:
            if attempt == _TRIES - 1:
                raise
            time.sleep(unsettled.retry_in)
    return ()
