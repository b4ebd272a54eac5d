"""Judgements on owners and modes: what `stat` told in, findings out."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from assumed.model import Finding

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
OTHERS = stat.S_IRWXG | stat.S_IRWXO
READ_ONLY = "lies on a file system that is mounted read-only"
REMOUNT = "mount it so that it can be written (in a container: without :ro), or name another credentials_file"
_OURS = "run assumed as that user; it rewrites only its own files"


def credentials_file(
    path: Path, found: os.stat_result, uid: int, *, mounted: bool, acl: bool = False
) -> Iterator[Finding]:
    """The file that is replaced at each renewal. `acl`: whether it has an access control list."""
    subject = str(path)
    if not stat.S_ISREG(found.st_mode):
        yield Finding("error", subject, "is no plain file", "put a plain file in its place")
        return
    if found.st_uid != uid:
        yield Finding("error", subject, "belongs to another user", _OURS)
    if mounted:
        # a rename over a mount point fails with EBUSY, and one outside leaves the container with the old file
        message = "is mounted by itself, so it cannot be replaced"
        yield Finding("error", subject, message, f"mount its directory, {path.parent}, instead of the file")
    if found.st_nlink > 1:
        message = "has another name (a hard link), which keeps the old content when this one is rewritten"
        yield Finding("warning", subject, message, "link to it symbolically instead: ln -s")
    if acl:
        message = "has an ACL, which is gone at the next rewrite: the new file is for its owner alone (0600)"
        yield Finding("warning", subject, message, f"setfacl -b {path}; who else needs a role keeps one of its own")
    elif found.st_mode & OTHERS_WRITE:
        yield Finding("error", subject, f"may be written by others ({_mode(found)})", f"chmod 600 {path}")
    elif found.st_mode & OTHERS:
        message = f"may be read by others ({_mode(found)}) until the next rewrite makes it 0600"
        yield Finding("warning", subject, message, f"chmod 600 {path}")


def directory(
    path: Path, found: os.stat_result, uid: int, *, writable: bool, read_only: bool = False
) -> Iterator[Finding]:
    """The directory of the credentials file: replacing a file is writing in its directory."""
    subject = str(path)
    if not stat.S_ISDIR(found.st_mode):
        yield Finding("error", subject, "is no directory", "name another credentials_file")
    elif found.st_uid != uid:
        yield Finding("error", subject, "belongs to another user", _OURS)
    elif read_only:
        yield Finding("error", subject, f"{READ_ONLY}, so no file in it can be replaced", REMOUNT)
    elif not writable:
        yield Finding("error", subject, "may not be written, so no file in it can be replaced", f"chmod u+wx {path}")
    elif found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        message = "may be written by everybody, so anybody could put in another file"
        yield Finding("error", subject, message, f"chmod o-w {path}")


def state_directory(path: Path, found: os.stat_result) -> Iterator[Finding]:
    """One of ours, which the daemon narrows at its next start."""
    if found.st_mode & OTHERS:
        yield Finding("warning", str(path), f"is open to others ({_mode(found)})", f"chmod 700 {path}")


def _mode(found: os.stat_result) -> str:
    return f"mode {stat.S_IMODE(found.st_mode):04o}"
