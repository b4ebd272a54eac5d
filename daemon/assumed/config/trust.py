"""Whether only this user and root can write the configuration: it decides which roles are assumed and what hooks run.

Strict like ssh's StrictModes, about the file and every directory and link on the way to it, and open to the set-ups
that exist: docs/decisions/0016-a-configuration-that-only-we-can-write.md lists them.
"""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

from assumed.model import Finding
from assumed.paths import account_name

MOST_LINKS = 40
"""As many as Linux follows."""

ACL, ACL_USER, ACL_OWNING_GROUP, ACL_GROUP, ACL_MASK, ACL_WRITE = "system.posix_acl_access", 2, 4, 8, 16, 2
"""The extended attribute of POSIX ACLs, and the tags and the bit in it: linux/posix_acl_xattr.h, linux/posix_acl.h."""

OVERFLOW_UID = 65534
"""The owner of what a user namespace has no name for (user_namespaces(7), "Unmapped user and group IDs")."""


def findings(path: Path) -> Iterator[Finding]:
    """Everything that lets another account write the configuration at `path`, each an error or a warning.

    What does not exist or cannot be reached is not reported here: opening it says so.
    """
    uid, is_shared = os.geteuid(), False
    try:
        for place, found in _way(os.fspath(path)):
            finding = _owner(place, found, uid, is_shared) or _writers(place, found, uid)
            if finding:
                yield finding
            is_shared = stat.S_ISDIR(found.st_mode) and bool(found.st_mode & stat.S_IWOTH)
    except OSError:
        return


def problems(path: Path) -> list[str]:
    """The errors among the findings, a sentence each."""
    refused = "is refused: other accounts could decide which roles are assumed and which hooks run"
    return [
        f"{path}: {refused}: {finding.subject} {finding.message} → {finding.advice}"
        for finding in findings(path)
        if finding.severity == "error"
    ]


def _way(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """Each directory, each link and at last the file that opening the absolute `path` passes. Raises OSError."""
    here, links = "/", 0
    names = path.split("/")[::-1]
    yield here, os.lstat(here)
    while names:
        name = names.pop()
        if name in ("", "."):
            continue
        if name == "..":
            here = os.path.dirname(here)
            continue
        place = os.path.join(here, name)
        found = os.lstat(place)
        yield place, found
        if not stat.S_ISLNK(found.st_mode):
            here = place
            continue
        links += 1
        if links > MOST_LINKS:
            return
        target = os.readlink(place)
        names += target.split("/")[::-1]
        here = "/" if target.startswith("/") else here


def _owner(place: str, found: os.stat_result, uid: int, is_shared: bool) -> Finding | None:
    """`is_shared`: whether everyone can make entries in the directory that holds it."""
    owner = found.st_uid
    if owner in (0, uid) or (owner == OVERFLOW_UID and not is_shared and _hides_root()):
        return None
    message = f"belongs to {_account(owner)}, and assumed runs as {_account(uid)}"
    if uid == 0 and os.environ.get("SUDO_UID") == str(owner):
        return Finding("error", place, message, "run it without sudo")
    advice = f"run it as {_account(owner)}, or use a configuration of your own or of root"
    return Finding("error", place, message, advice)


def _hides_root() -> bool:
    """Whether this is a user namespace without the machine's root, whose files then have no owner that we could see:
    a user manager's PrivateUsers=yes, a rootless container."""
    try:
        lines = Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()
    except OSError:
        return False
    return not any(line.split()[1] == "0" for line in lines)


def _writers(place: str, found: os.stat_result, uid: int) -> Finding | None:
    mode = found.st_mode
    if stat.S_ISLNK(mode) or not mode & (stat.S_IWGRP | stat.S_IWOTH):
        return None
    if stat.S_ISDIR(mode) and mode & stat.S_ISVTX:
        return None  # whose entries others cannot replace, and each entry on the way is ours or root's
    who, by_a_group = ("everyone", False) if mode & stat.S_IWOTH else _group_writers(place, found, uid)
    if not who:
        return None
    # A ConfigMap is 0777 on a read-only mount. The sandbox of a systemd service makes read-only mounts of everything
    # for the service alone: there it says nothing about others.
    if not os.environ.get("INVOCATION_ID") and os.statvfs(place).f_flag & os.ST_RDONLY:
        return None
    message = f"can be written by {who} (mode {stat.S_IMODE(mode):04o})"
    advice = f"{'' if found.st_uid == uid else 'sudo '}chmod go-w {shlex.quote(place)}"
    is_roots_choice = by_a_group and found.st_uid == 0 and stat.S_ISREG(mode)
    return Finding("warning" if is_roots_choice else "error", place, message, advice)


def _group_writers(place: str, found: os.stat_result, uid: int) -> tuple[str, bool]:
    """Who but `uid` and root can write by the group bits, in words, and whether that is a group; else an empty text."""
    users, groups = _acl(place, found)
    for user in users:
        if user not in (0, uid):
            return f"{_account(user)}, by an ACL", False
    return next((who for gid in groups if (who := _others_in(gid, uid))), ""), True


def _acl(place: str, found: os.stat_result) -> tuple[list[int], list[int]]:
    """The users and the groups that the group bits let write: with an ACL these are its mask (acl(5))."""
    try:
        data = os.getxattr(place, ACL)
    except (OSError, AttributeError):  # none, no such file system; no such call (macOS)
        return [], [found.st_gid]
    entries = [entry for entry in struct.iter_unpack("<HHI", data[4:]) if entry[1] & ACL_WRITE]
    groups = [found.st_gid for tag, _, _ in entries if tag == ACL_OWNING_GROUP]
    groups += [name for tag, _, name in entries if tag == ACL_GROUP]
    return [name for tag, _, name in entries if tag == ACL_USER], groups


def _others_in(gid: int, uid: int) -> str:
    """The group and one of its members that is neither `uid` nor root; empty where there is none."""
    accounts, own = pwd.getpwall(), account_name(uid)
    try:
        group = grp.getgrgid(gid)
        name, members = group.gr_name, set(group.gr_mem)
        is_listed = any(known.gr_gid == gid for known in grp.getgrall())
    except KeyError:  # a number without a name, as a pod's fsGroup
        name, members, is_listed = f"gid {gid}", set(), True
    members |= {account.pw_name for account in accounts if account.pw_gid == gid}
    others = members - {own} - {account.pw_name for account in accounts if account.pw_uid in (0, uid)}
    if others:
        return f"the group {name}, which {min(others)} is in"
    # A directory service (sssd, winbind) mostly lists neither its accounts nor their primary groups.
    is_listed = is_listed and (not own or any(account.pw_uid == uid for account in accounts))
    return "" if is_listed or name == own else f"the group {name}, whose members this machine does not list"


def _account(uid: int) -> str:
    name = account_name(uid)
    return f"{name} (uid {uid})" if name else f"uid {uid}"
