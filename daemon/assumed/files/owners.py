"""Whose a file is, and where root must not make any."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from assumed.core.errors import FileRefused


def refuse_as_root(path: Path) -> None:
    """What root makes in a directory of another account, that account can neither read nor replace: `sudo assumed env`
    with the user's HOME would end the user's own daemon. Raises FileRefused, OSError."""
    owner = path.stat().st_uid
    if os.geteuid() == 0 and owner != 0:
        raise FileRefused(
            f"{path} belongs to {account_name(owner)}, who could not use files that root makes there",
            f"Run it as that account (sudo -u {sudo_name(owner)} -H …), or with root's own home (sudo -H …)",
        )


def account_name(uid: int) -> str:
    """The name of an account; `uid 1000` where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def sudo_name(uid: int) -> str:
    """An account as sudo and chown are told of it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"'#{uid}'"
