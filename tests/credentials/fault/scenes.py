"""What is done under fault: a scene fills a directory, acts once in it, and has one file that must stay whole.

An act answers with one line: `written`, `written, not durable`, or `refused: ` and a sentence. Anything else that it
raises is a defect and is answered with `crashed: `.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from assumed.credentials.file import CredentialsFile
from assumed.errors import FileRefused
from assumed.files import explained
from assumed.state import make_state_dir
from assumed.store import Store
from credentials.kit import CONFIG, keys, merged, session

MINE = b"[mine]\naws_access_key_id = AKIATEST\naws_secret_access_key = canary\n"
"""A profile of somebody else's."""
LATER = b"\n# the last line of the file, which has no newline"

_writers: dict[Path, CredentialsFile] = {}
"""Directory → its writer: in the daemon, too, it outlives its writes, and knows what it has swept."""


@dataclass(frozen=True, slots=True)
class Scene:
    """`act` is done in a directory that `prepare` has filled; `target` is the file, below that directory."""

    prepare: Callable[[Path], None]
    act: Callable[[Path], str]
    target: str
    stored: bool = False
    """Whether it is a session in the store. Those are not flushed: a damaged one counts as none."""

    def whole(self, directory: Path) -> object:
        """What a reader gets: the file's bytes or the session in it; None when there is none."""
        path = directory / self.target
        if not path.exists():
            return None
        return Store(directory / "aws/assumed").load("p") if self.stored else path.read_bytes()


def said(act: Callable[[Path], str], directory: Path) -> str:
    """What an act answers, in one line."""
    try:
        return act(directory)
    except FileRefused as refused:
        return f"refused: {refused}"
    except Exception as error:  # noqa: BLE001 - these are what is looked for
        return f"crashed: {error!r}"


def restart(directory: Path) -> str:
    """What a start of the daemon does first about the leftovers of the one before it."""
    Store(directory / "aws/assumed").sweep()
    _writers.clear()
    _writer(directory).sweep()
    return "written"


def _writer(directory: Path) -> CredentialsFile:
    return _writers.setdefault(directory, CredentialsFile(directory / "aws/credentials", directory / "aws/assumed"))


def _home(directory: Path) -> None:
    (directory / "aws").mkdir(0o700)
    make_state_dir(directory / "aws/assumed")
    path = directory / "aws/credentials"
    path.write_bytes(merged(MINE, keys("p", 1)) + LATER)
    path.chmod(0o700)  # unlike a new file's, so that a mode has to be set


def _write(directory: Path) -> str:
    result = _writer(directory).write([keys("p", 2)], CONFIG, True)
    return "written" if result.durable else "written, not durable"


def _crashed(directory: Path) -> None:
    """A writer was killed here with half a file written, and a symbolic link leads to the file (dotfile managers)."""
    _home(directory)
    (directory / "aws/credentials").rename(directory / "aws/real")
    (directory / "aws/credentials").symlink_to("real")
    half = directory / "aws/.real.assumed.1.0123456789abcdef.tmp"
    half.write_bytes(MINE)
    os.utime(half, (1, 1))


def _start(directory: Path) -> str:
    restart(directory)
    return _write(directory)


def _stored(directory: Path) -> None:
    _home(directory)
    Store(directory / "aws/assumed").save(session("p", 1))


def _store(directory: Path) -> str:
    Store(directory / "aws/assumed").save(session("p", 2))
    return "written"


def _remembered(directory: Path) -> None:
    _home(directory)
    Store(directory / "aws/assumed").keep_config("# the first\n" * 40)


def _remember(directory: Path) -> str:
    Store(directory / "aws/assumed").keep_config("# the second\n" * 40)
    return "written"


def _write_in_place(directory: Path) -> str:
    path = directory / "aws/credentials"
    text = merged(path.read_bytes(), keys("p", 2))
    with explained("write", path), path.open("wb") as file:
        file.write(text)
    return "written"


SCENES = {
    "a rewrite": Scene(_home, _write, "aws/credentials"),
    "the first write": Scene(lambda _: None, _write, "aws/credentials"),
    "a start after a crash, behind a link": Scene(_crashed, _start, "aws/real"),
    "a session": Scene(_stored, _store, "aws/assumed/sessions/p.json", stored=True),
    "the first session": Scene(_home, _store, "aws/assumed/sessions/p.json", stored=True),
    "the last good configuration": Scene(_remembered, _remember, "aws/assumed/config.last-good.toml"),
}
NO_EXCHANGE = "renameat2:error=ENOSYS:when=1+"
"""To be injected: a system that cannot have two files trade places."""
IN_PLACE = "as most tools write"
"""Not ours: here to show that what looks for torn files finds them."""
TWICE = "a rewrite, and a second look"
ALL = {
    **SCENES,
    TWICE: Scene(_home, lambda directory: _write(directory) and _write(directory), "aws/credentials"),
    IN_PLACE: Scene(_home, _write_in_place, "aws/credentials"),
}
