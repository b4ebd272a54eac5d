"""The `credential_process` line: one text that a shell, shlex and every SDK split into the same words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .ownership import Unfit

_BARE = re.compile(r"[A-Za-z0-9._/@=+,:-]+")
_NOT_QUOTED = frozenset('"\\$`#;')
"""In double quotes a shell still acts on the first four; `#` and `;` begin a comment for some SDKs, quoted or not."""


def process_command(argv: Sequence[str]) -> str:
    """`argv` as the value of `credential_process`. Raises Unfit for words that cannot be written.

    botocore splits the value with `shlex`, JavaScript, Go, Java, Rust and .NET pass it to `sh -c`: both read text in
    double quotes alike, as long as it holds none of `_NOT_QUOTED`. The program must be absolute, because PATH may be
    empty in cron and systemd.
    """
    if not argv or not argv[0].startswith("/"):
        raise _unfit(f"the program of credential_process has no absolute path: {list(argv[:1])!r}")
    command = " ".join(map(_word, argv))
    if command.startswith('"') and command.endswith('"'):
        raise _unfit(f"{command} begins and ends with a quoted word, and the Go SDK removes such quotes")
    return command


def _word(part: str) -> str:
    if _BARE.fullmatch(part):
        return part
    # isprintable: no line breaks, no control characters, no bytes that are not UTF-8; letters of every script
    bad = next((char for char in part if char in _NOT_QUOTED or not char.isprintable()), None)
    if part and bad is None:
        return f'"{part}"'
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in part)
    raise _unfit(f"SDKs disagree on how to read {bad or ''!a} in {shown!r}, a word of its credential_process line")


def _unfit(reason: str) -> Unfit:
    return Unfit(reason, 'Use deliver = "keys", or move what lies there to a path without that character')
