"""Who copies what lies in a directory: git, for whoever clones the repository, and folders that are synchronized."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from assumed.model import Finding

_SYNCED = re.compile(
    r"(dropbox|onedrive|nextcloud|owncloud)([ -].*)?|google ?drive.*|my drive|icloud ?drive|mobile documents"
    r"|cloudstorage|pcloud ?drive|mega(sync)?|box sync|seafile|syncthing",
    re.IGNORECASE,
)
_MARKS = (".stfolder", ".dropbox", ".dropbox.cache", ".nextcloudsync.log", ".owncloudsync.log")
"""What Syncthing, Dropbox, Nextcloud and ownCloud put into a folder that they synchronize."""


def copies(state: Path, credentials_file: Path) -> Iterator[Finding]:
    """Warnings for a state directory whose content may leave this machine."""
    above = list(state.parents)
    repository = next((path for path in above if os.path.lexists(path / ".git")), None)
    if repository is not None:
        message = f"lies in the git work tree {repository}; its own .gitignore keeps it out of commits"
        yield Finding("warning", str(state), message, f"keep {credentials_file} out of commits, too: it holds keys")
    synced = next((path for path in above if _is_synced(path)), None)
    if synced is not None:
        message = f"lies in {synced}, which is synchronized with other machines, sessions included"
        yield Finding("warning", str(state), message, f"exclude it there, or keep {credentials_file} elsewhere")


def _is_synced(path: Path) -> bool:
    return _SYNCED.fullmatch(path.name) is not None or any(os.path.lexists(path / mark) for mark in _MARKS)
