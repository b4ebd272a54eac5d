"""Taking away what the daemon has written: our profiles, and the state beside the credentials file."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from assumed.config import Config
from assumed.credentials.file import CredentialsFile
from assumed.credentials.process import ConfigFile
from assumed.errors import FileRefused, FileUnsettled
from assumed.paths import aws_config_file, state_dir
from assumed.runtime.instance import Instance
from assumed.state import remove
from assumed.store import Store

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
    post = Instance(credentials_file)
    try:
        removed = _without_profiles(CredentialsFile(credentials_file, post.directory), owner)
        place = Path(Store(post.directory).place().get("aws_config") or aws_config_file(os.environ))
        _without_lines(ConfigFile(place, credentials_file, post.directory), owner)
        left = remove(post.directory)  # as long as the lock in it is ours
    finally:
        post.release()
    return Purged(removed, post.directory if existed else None, tuple(left))


def _without_lines(file: ConfigFile, owner: str) -> None:
    """Our lines in the AWS config file go, too. A file without any is not touched, whatever is wrong with it."""
    try:
        is_marked = f" {owner}".encode() in file.read()
    except FileRefused:
        return
    if is_marked:
        _without_profiles(file, owner)


def _without_profiles(file: CredentialsFile, owner: str) -> tuple[str, ...]:
    for attempt in range(_TRIES):
        try:
            return file.write([], owner, remove_orphans=True).removed
        except FileUnsettled as unsettled:
            if attempt == _TRIES - 1:
                raise
            time.sleep(unsettled.retry_in)
    return ()
