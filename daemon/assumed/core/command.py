"""The `credential_process` line: one text that a shell, shlex and every SDK split into the same words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .errors import ConfigError

_BARE = re.compile(r"[A-Za-z0-9._/@=+,:-]+")
_QUOTED = re.compile(r"[A-Za-z0-9._/@=+,: -]+")

_ADVICE = (
    'only letters, digits, spaces and . _ / @ = + , : - are read alike by every SDK. Rename it, or use deliver = "keys"'
)


def process_command(argv: Sequence[str]) -> str:
    """`argv` as the value of `credential_process`.

    botocore splits it by `shlex`, Go, Java, Rust and .NET give it to `sh -c`, JavaScript to a shell: only what
    all of them read alike is let through, words with spaces in double quotes as AWS documents it. The program
    must be absolute, for PATH may be empty in cron and systemd. Raises ConfigError with what to change.
    """
    if not argv or not argv[0].startswith("/"):
        raise ConfigError([f"credential_process needs an absolute path, not {list(argv[:1])!r}"])
    command = " ".join(_word(part) for part in argv)
    if command.startswith('"') and command.endswith('"'):
        # Go strips the quotes around a value that both begins and ends with one
        raise ConfigError([f"{command} begins and ends with a quoted word, which the Go SDK takes apart wrongly"])
    return command


def _word(part: str) -> str:
    if _BARE.fullmatch(part):
        return part
    if _QUOTED.fullmatch(part):
        return f'"{part}"'
    raise ConfigError([f"{part!r} cannot stand in credential_process: {_ADVICE}"])
