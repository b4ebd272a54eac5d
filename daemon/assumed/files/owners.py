"""Whose a file is, and where root must not make any."""

from __future__ import annotations

import os
from pathlib import Path

from assumed.errors import FileRefused
from assumed.paths import account_name


def refuse_as_root(path: Path) -> None:
    """What root makes in a directory of another account, that account can neither read nor replace: `sudo assumed env`
    with the user's HOME would end the user's own daemon. Raises FileRefused, OSError."""
    owner = path.stat().st_uid
    if os.geteuid() == 0 and owner != 0:
        raise FileRefused(
            f"{path} belongs to {shown_account(owner)}, who could not use files that root makes there",
            f"Run it as that account (sudo -u {sudo_name(owner)} -H …), or with root's own home (sudo -H …)",
        )


def shown_account(uid: int) -> str:
    """An account in a message: its name, or `uid 1000` where it has none."""
    return account_name(uid) or f"uid {uid}"


def sudo_name(uid: int) -> str:
    """An account as sudo and chown are told of it."""
    return account_name(uid) or f"'#{uid}'"
