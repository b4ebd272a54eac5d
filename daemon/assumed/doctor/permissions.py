"""Who and what may keep the credentials file from being replaced, read it, or copy what lies beside it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from assumed.credentials.file import CredentialsFile
from assumed.errors import FileRefused, FileUnsettled
from assumed.model import Finding
from assumed.paths import real_path, state_dir
from assumed.state import is_left_behind, trouble

OTHERS = stat.S_IRWXG | stat.S_IRWXO

_SYNCED = re.compile(
    r"(dropbox|onedrive|nextcloud|owncloud)([ -].*)?|google ?drive.*|my drive|icloud ?drive|mobile documents"
    r"|cloudstorage|pcloud ?drive|mega(sync)?|box sync|seafile|syncthing",
    re.IGNORECASE,
)
_MARKS = (".stfolder", ".dropbox", ".dropbox.cache", ".nextcloudsync.log", ".owncloudsync.log")
"""What Syncthing, Dropbox, Nextcloud and ownCloud put into a folder that they synchronize."""


def credentials_file(path: Path) -> Iterator[Finding]:
    """Whether the file can be replaced, by what the write itself looks at, and what a rewrite takes away."""
    real = real_path(path)
    try:
        CredentialsFile(path, state_dir(path)).check_writable()
    except FileUnsettled:
        pass  # another program is writing it at this moment
    except FileRefused as refusal:
        yield Finding("error", str(real), refusal.message, refusal.advice)
        return
    if not os.path.lexists(real):
        yield Finding("ok", str(real), "does not exist yet; it will be created (0600)")
        return
    wrong = list(_kept_from(real, os.lstat(real)))
    yield from wrong or [Finding("ok", str(real), "writable, and readable by its owner alone")]


def _kept_from(path: Path, found: os.stat_result) -> Iterator[Finding]:
    subject = str(path)
    if _is_mounted(path):
        # a rename over a mount point fails with EBUSY, and one outside leaves the container with the old file
        message = "is mounted by itself, so it cannot be replaced"
        yield Finding("error", subject, message, f"mount its directory, {path.parent}, instead of the file")
    if found.st_nlink > 1:
        message = "has another name (a hard link), which keeps the old content when this one is rewritten"
        yield Finding("warning", subject, message, "use a symbolic link instead: ln -s")
    if found.st_mode & OTHERS:
        message = f"is open to other accounts (mode {stat.S_IMODE(found.st_mode):04o}) until it is rewritten (0600)"
        yield Finding("warning", subject, message, f"chmod 600 {path}")


def _is_mounted(path: Path) -> bool:
    """Whether a file is a mount point (proc(5), mountinfo: the fifth field, with spaces and the like as octal)."""
    escaped = re.sub(r"[ \t\n\\]", lambda match: f"\\{ord(match[0]):03o}", str(path))
    try:
        mounts = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        mounts = []
    return os.path.ismount(path) or any(line.split(" ")[4] == escaped for line in mounts)


def state(credentials_file: Path) -> Iterator[Finding]:
    """Where the sessions lie, and how other accounts and machines may get hold of them there."""
    path = state_dir(credentials_file)
    try:
        wrong = None if is_left_behind(path) or not os.path.lexists(path) else trouble(path)
    except OSError as error:
        wrong = f"cannot be read: {error.strerror}", "check its owner and mode"
    if wrong:
        yield Finding("error", str(path), *wrong)
        return
    yield Finding("ok", str(path), "sessions are stored here")
    yield from _copies(path, real_path(credentials_file))


def _copies(state: Path, credentials_file: Path) -> Iterator[Finding]:
    """git copies what lies in a work tree to every clone; a synchronized folder to every machine."""
    repository = next((path for path in state.parents if os.path.lexists(path / ".git")), None)
    if repository is not None:
        message = f"lies in the git work tree {repository}; its own .gitignore keeps it out of commits"
        yield Finding("warning", str(state), message, f"keep {credentials_file} out of commits, too: it holds keys")
    marked = (path for path in state.parents for mark in _MARKS if os.path.lexists(path / mark))
    synced = next((path for path in state.parents if _SYNCED.fullmatch(path.name)), next(marked, None))
    if synced is not None:
        message = f"lies in {synced}, which is synchronized with other machines, sessions included"
        yield Finding("warning", str(state), message, f"exclude it there, or keep {credentials_file} elsewhere")
