"""The command that starts `assumed` from a service: absolute, and the same after an upgrade of the tool."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from assumed.core.errors import AssumedError

from .site import Account

SECONDS = 30.0
_PLAIN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def program(argv0: str | None = None, executable: str | None = None, path: str | None = None) -> tuple[str, ...]:
    """The words that start this very tool. Raises AssumedError where that cannot outlive a cleaned cache.

    Links are kept: pipx and uv leave one in ~/.local/bin that outlives what it leads to, and a virtual environment's
    `bin/python` outlives the Python behind it. Where we were started by what such a link leads to, the link is taken.
    """
    argv0 = argv0 or sys.argv[0]
    if os.path.basename(argv0) == "__main__.py":  # noqa: PTH119
        return (os.path.abspath(executable or sys.executable), "-m", "assumed")  # noqa: PTH100 (Path.absolute keeps `..`)
    started = os.path.abspath(argv0)  # noqa: PTH100
    if "/.cache/" in started or "/.cache/" in os.path.realpath(started):
        raise AssumedError(
            f"{started} lies in a cache (uvx, pipx run), which is emptied some day; install it first: "
            "uv tool install assumed, or pipx install assumed"
        )
    return (_link_to(started, os.environ.get("PATH", "") if path is None else path) or started,)


def _link_to(started: str, path: str) -> str | None:
    """The link that it was started by, or the first on PATH that leads to it, as a tool installer makes one."""
    links = [os.path.join(directory, os.path.basename(started)) for directory in path.split(os.pathsep)]  # noqa: PTH119
    for link in [started, *links]:
        # Not Path.is_symlink: it raises where PATH names a directory that we may not enter (`sudo -u`).
        if link.startswith("/") and os.path.islink(link) and os.path.realpath(link) == os.path.realpath(started):  # noqa: PTH114
            return link
    return None


def trial(words: Sequence[str], account: Account) -> str:
    """Starts the program as a service would: from /, as the account, without this shell's environment.

    Returns what it says of its version, nothing where we may not act as the account. Raises AssumedError with what
    stands in the way.
    """
    ours = account.uid == os.getuid()
    if not ours and os.geteuid() != 0:
        return ""  # a dry run for somebody else: who will start it is not us
    environ = {"HOME": str(account.home), "PATH": _PLAIN_PATH, "USER": account.name, "LOGNAME": account.name}
    command = " ".join([*words, "--version"])
    try:
        done = subprocess.run(
            [*words, "--version"],
            cwd="/",
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            user=None if ours else account.uid,
            group=None if ours else account.gid,
            extra_groups=None if ours else [],
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AssumedError(f"{account.name} cannot start {Path(words[0])}: {error}; {_HINT}") from None
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise AssumedError(f"`{command}` fails outside of this shell: {said}; {_HINT}")
    return done.stdout.strip()


_HINT = "install assumed where that account may read it (pipx, uv tool, a virtual environment), and run that one"
