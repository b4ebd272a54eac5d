"""Taking away what the daemon has written: our profiles, and the state beside the credentials file."""

from __future__ import annotations

import os
import shutil
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from assumed.config import Config
from assumed.core.errors import FileRefused, FileUnsettled
from assumed.edge.credentials_file import CredentialsFile
from assumed.edge.store import state_dir

from .post import Post

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Purged:
    """What is gone."""

    profiles: tuple[str, ...]
    state: Path | None


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
        removed = _without_profiles(CredentialsFile(credentials_file, directory), owner)
        _remove_tree(directory)  # as long as the lock in it is ours
    finally:
        post.leave()
    return Purged(removed, directory if existed else None)


def _without_profiles(file: CredentialsFile, owner: str) -> tuple[str, ...]:
    for attempt in range(_TRIES):
        try:
            return file.write([], owner, remove_orphans=True).removed
        except FileUnsettled as unsettled:
            if attempt == _TRIES - 1:
                raise
            time.sleep(unsettled.retry_in)
    return ()


def _remove_tree(directory: Path) -> None:
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise FileRefused(f"{directory} is no directory of yours", "Look at what lies there, and remove it by hand")
    try:
        shutil.rmtree(directory)
    except OSError as error:
        raise FileRefused(f"cannot remove {directory}: {error.strerror}", "Remove it by hand") from error
