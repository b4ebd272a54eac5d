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
        name = account_name(owner)
        raise FileRefused(
            f"{path} belongs to {name}, who could not use files that root makes there",
            f"Run it as {name} (sudo -u {name} -H …), or with root's own home (sudo -H …)",
        )


def account_name(uid: int) -> str:
    """The name of an account; `uid 1000` where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
