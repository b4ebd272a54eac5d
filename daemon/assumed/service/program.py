"""The command that starts `assumed` from a service: absolute, and the same after an upgrade of the tool."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from assumed.errors import AssumedError

SECONDS = 30.0
PLAIN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What systemd gives to a service that has no PATH of its own (systemd.exec(5), "Environment variables")."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whose roles are kept."""

    name: str
    uid: int
    gid: int
    home: Path

    @property
    def groups(self) -> list[int]:
        """All of its groups: systemd gives them to what it starts as this account."""
        return os.getgrouplist(self.name, self.gid)


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
    if account.uid != os.getuid() and os.geteuid() != 0:
        return ""  # a dry run for somebody else: who will start it is not us
    command = " ".join([*words, "--version"])
    done = run_as(account, [*words, "--version"], {})
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise AssumedError(f"`{command}` fails outside of this shell: {said}; {_HINT}")
    return done.stdout.strip()


def run_as(account: Account, words: Sequence[str], more: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """A program of ours as that account, to its end. Raises AssumedError where it cannot be started.

    It gets nothing of root's: not the environment (who has the same uid reads that of a process in /proc) but `more`,
    no terminal, which takes input from whoever holds it (TIOCSTI), no directory, no group.
    """
    ours = account.uid == os.getuid()
    environ = {"HOME": str(account.home), "PATH": PLAIN_PATH, "USER": account.name, "LOGNAME": account.name}
    if not ours and list(words[1:3]) == ["-m", "assumed"]:
        words = [words[0], "-I", *words[1:]]  # its answer counts: no module of the account's own in it
    try:
        return subprocess.run(
            words,
            cwd="/",
            env={**environ, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
            start_new_session=True,
            user=None if ours else account.uid,
            group=None if ours else account.gid,
            extra_groups=None if ours else account.groups,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AssumedError(f"{account.name} cannot start {Path(words[0])}: {error}; {_HINT}") from None


def typed(arguments: Sequence[str], *, as_root: bool, setting: str = "") -> str:
    """One of our commands as a person types it. `as_root`: by a path, where sudo's own PATH does not lead to it."""
    words: tuple[str, ...] = ("assumed",)
    with contextlib.suppress(AssumedError):  # of a cache: what stands there today is no command for tomorrow
        if as_root and os.path.dirname(program()[0]) not in PLAIN_PATH.split(os.pathsep):
            words = program()
    before = [*(["sudo"] if as_root and os.geteuid() != 0 else []), *([setting] if setting else [])]
    return shlex.join([*before, *words, *arguments])


_HINT = "install assumed where that account may read it (pipx, uv tool, a virtual environment), and run that one"
