"""Accounts and groups for the tests, in a mount namespace with its own /etc/passwd and /etc/group."""

from __future__ import annotations

import functools
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from world.daemon import Home

US, STRANGER = 1000, 1001
USER_PRIVATE, DEVELOPERS, BUILDERS, ONLY_OURS, STRANGERS_PRIMARY = 1000, 2000, 30000, 2001, 2002
PASSWD = f"""\
root:x:0:0::/root:/bin/sh
alice:x:{US}:{USER_PRIVATE}::/home/alice:/bin/sh
mallory:x:{STRANGER}:{STRANGERS_PRIMARY}::/home/mallory:/bin/sh
"""
GROUP = f"""\
root:x:0:
alice:x:{USER_PRIVATE}:
developers:x:{DEVELOPERS}:alice,mallory
nixbld:x:{BUILDERS}:mallory
only-ours:x:{ONLY_OURS}:root,alice
everybody:x:{STRANGERS_PRIMARY}:
"""
BIND = 'mount --bind "$1" /etc/passwd && mount --bind "$2" /etc/group && '
BECOME = (
    f"setpriv --reuid={US} --regid={USER_PRIVATE} --clear-groups "
    # to reach an interpreter in root's home; it grants no write access
    "--inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search --bounding-set=-all,+dac_read_search"
)


@functools.cache
def missing() -> str | None:
    """Why this process cannot use other accounts; None if it can."""
    if os.geteuid() != 0:
        return "only root can be several accounts"
    if not shutil.which("setpriv") or not shutil.which("unshare"):
        return "setpriv or unshare is not installed"
    tried = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "t", "/mnt"], capture_output=True, check=False)
    return "no mount namespaces" if tried.returncode else None


needs_accounts = pytest.mark.skipif(missing() is not None, reason=str(missing()))


PREFIX = str(Path(sys.base_prefix).resolve())
WITHOUT_ROOT = ("unshare", "--user", f"--map-user={US}", f"--map-group={USER_PRIVATE}")
"""A user namespace with only her, as with PrivateUsers=yes in a user unit and in rootless containers."""


def readable_interpreter(base: Path) -> str:
    """Mounts that give every account access to the interpreter, even in root's home."""
    if not PREFIX.startswith("/root/"):
        return "true"
    aside = base / "interpreter"
    aside.mkdir()
    away = f"mount --bind {PREFIX} {aside} && mount -t tmpfs -o mode=755 t /root"
    return f"{away} && mkdir -p {PREFIX} && mount --bind {aside} {PREFIX}"


def machine_root(base: Path, mode: int) -> tuple[str, str]:
    """Mounts for a machine whose `/` has another mode and a shared group, and the command that enters it."""
    upper, work, root = (base / name for name in ("upper", "work", "root"))
    for place in (upper, work, root):
        place.mkdir()
    overlay = f"mount -t overlay -o lowerdir=/,upperdir={upper},workdir={work} o {root}"
    shared = " && ".join(
        f"mount --rbind /{name} {root}/{name}" for name in ("tmp", "proc", "dev", "etc/passwd", "etc/group")
    )
    return f"{overlay} && chown 0:{BUILDERS} {root} && chmod {mode:o} {root} && {shared}", f"chroot {root} "


def as_alice(base: Path, mounts: str = "true", enter: str = "") -> list[str]:
    """A command prefix for alice, after `mounts` (shell, as root)."""
    passwd, group = base / "passwd", base / "group"
    passwd.write_text(PASSWD)
    group.write_text(GROUP)
    script = f'{BIND} {{ {mounts}; }} && shift 2 && exec {enter}{BECOME} "$@"'
    return ["unshare", "-m", "sh", "-c", script, "sh", str(passwd), str(group)]


def give(owner: int, *paths: Path, group: int | None = None) -> None:
    """Change the owner of these paths, not of link targets."""
    for path in paths:
        os.chown(path, owner, USER_PRIVATE if group is None else group, follow_symlinks=False)


def give_home(home: Home) -> None:
    """Give the whole home to alice."""
    give(US, home.path, *home.path.rglob("*"))


def let_write(path: Path, *, users: tuple[int, ...] = (), groups: tuple[int, ...] = ()) -> None:
    """Like setfacl -m u:USER:rw,g:GROUP:rw (linux/posix_acl_xattr.h)."""
    nobody = 0xFFFFFFFF
    entries = [(1, 6, nobody), *((2, 6, user) for user in users), (4, 4, nobody)]
    entries += [*((8, 6, group) for group in groups), (16, 6, nobody), (32, 4, nobody)]
    data = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(path, "system.posix_acl_access", data)
    except OSError as error:
        pytest.skip(f"no ACLs here: {error.strerror}")
