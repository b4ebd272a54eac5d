"""The `[hooks]` table: commands that are run when something has changed. Words only; nothing is run here.

No shell runs them. A message of an STS that is not AWS's could otherwise become a command, and the daemon has no
terminal, login files or PATH of the person's who would miss them. Who wants one names it: ["sh", "-c", "…"].
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from assumed import paths

from .keys import Key
from .report import show, type_words

_EXAMPLE = '["systemctl", "--user", "reload", "my-job"]'

HOOK_KEYS: tuple[Key, ...] = (
    Key(
        "after_renewal",
        "command",
        _EXAMPLE,
        "none",
        "Run when a profile has a new session and readers find it: for a program that has to be told to read it.",
    ),
    Key(
        "after_failure",
        "command",
        '"logger -t assumed renewal failed"',
        "none",
        "Run when a role begins to fail, and when it fails for another reason; not at each retry.",
    ),
    Key(
        "when_needed",
        "command",
        '["sh", "-c", \'notify-send -u critical assumed "$ASSUMED_MESSAGE. $ASSUMED_ADVICE"\']',
        "none",
        "Run when nothing goes on without a person (a login, a mistake in the configuration), and when that is over.",
    ),
    Key(
        "timeout_seconds",
        "integer",
        "10",
        "10",
        "How long a command may take; then it is killed, with its process group.",
        unit="seconds",
        least=1,
        most=600,
    ),
)
HOOKS = {key.name: key for key in HOOK_KEYS}
COMMANDS = tuple(key.name for key in HOOK_KEYS if key.kind == "command")

SHELLS_WORK = re.compile(r"[$`]|^~|^(?:\d*[<>].*|[|&;]+)$|[;|]$")
"""A word that means something to a shell alone."""


def words_of(value: str | list[str]) -> tuple[str, ...]:
    """A command as words: a list as it is, a text cut at its spaces as a shell would. Raises ValueError."""
    return tuple(shlex.split(value)) if isinstance(value, str) else tuple(value)


def check_command(key: Key, value: Any) -> Iterator[str]:
    """What is wrong with a command; nothing when it is right."""
    as_in = f"as in {key.name} = {key.example}"
    if not isinstance(value, str | list):
        yield f"{type_words(value)}; write a list of words, {as_in}"
        return
    for position, word in enumerate(value if isinstance(value, list) else [], start=1):
        if not isinstance(word, str):
            yield f"item {position} {type_words(word)}; write each word in quotes, {as_in}"
            return
    try:
        words = words_of(value)
    except ValueError as error:
        yield f"cannot be cut into words ({str(error).lower()}); write a list of words, {as_in}"
        return
    if not words or not words[0]:
        yield f"names no program; write it {as_in}, or leave the line out"
    elif any("\0" in word for word in words):
        yield f"holds a NUL; write it {as_in}"
    elif isinstance(value, str):
        yield from (
            f'has {show(word)}, which only a shell understands, and none runs it; write ["sh", "-c", "…"]'
            for word in [words[0].removeprefix("~"), *words[1:]]
            if SHELLS_WORK.search(word)
        )


def resolved_words(value: str | list[str], base: Path, environ: Mapping[str, str]) -> tuple[str, ...]:
    """A right command as words. A program with a slash in its name is found as any other path of the file is; one
    without is looked up in $PATH when it is run. Raises ValueError as `paths.resolve` does."""
    program, *arguments = words_of(value)
    return (str(paths.resolve(program, base, environ)) if "/" in program else program, *arguments)
