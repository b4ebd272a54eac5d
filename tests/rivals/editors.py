"""Another program that writes the credentials file, as a process of its own: edit after edit, each with its own mark.

A batch puts a new mark into each of its profiles; then it is waited for until all of them are in the file, and what is
not there after some seconds is lost. Prints the counts.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import sys
import time
from collections.abc import Callable
from configparser import RawConfigParser
from pathlib import Path

from awscli.customizations.configure.writer import ConfigFileWriter
from botocore.configloader import raw_config_parse
from botocore.exceptions import ConfigParseError

OWN = 5
"""Profiles `own0`… that nobody touches."""
WAIT = 4.0
"""Seconds after which an edit that is not in the file is lost: a writer is given one to finish, twice at most."""

_serial = itertools.count(1)


def aws_cli(path: Path, profile: str, mark: str) -> None:
    """`aws configure set`: truncates and writes in place; appends where the profile is new."""
    ConfigFileWriter().update_config({"__section__": profile, "mark": mark}, str(path))


def in_place(path: Path, profile: str, mark: str) -> None:
    """An editor that keeps the file's inode: reads all, truncates, writes in two parts."""
    text = _changed(path.read_text(), profile, mark)
    with path.open("w") as file:
        file.write(text[: len(text) // 2])
        file.flush()
        file.write(text[len(text) // 2 :])


def renaming(path: Path, profile: str, mark: str) -> None:
    """An editor that writes a new file and renames it."""
    _replace(path, _changed(path.read_text(), profile, mark))


def ini_tool(path: Path, profile: str, mark: str) -> None:
    """As saml2aws and its like: parses, sets, writes everything anew without the comments, and renames."""
    file = RawConfigParser()
    file.read_string(path.read_text())
    file[profile] = {"mark": mark}
    temp = path.with_name(f"tool.{next(_serial)}")
    with temp.open("w") as stream:
        file.write(stream)
    temp.chmod(0o600)
    temp.rename(path)


def appending(path: Path, profile: str, mark: str) -> None:
    """`cat >> credentials`; a profile that is there already gets its new mark as an editor would do it."""
    if f"[{profile}]" in path.read_text():
        in_place(path, profile, mark)
        return
    with path.open("a") as file:
        file.write(f"\n[{profile}]\nmark = {mark}\n")


KINDS: dict[str, Callable[[Path, str, str], None]] = {
    "aws_cli": aws_cli,
    "in_place": in_place,
    "renaming": renaming,
    "ini_tool": ini_tool,
    "appending": appending,
}
TEARING = ("aws_cli", "in_place", "appending")
"""Those that leave readers half a file themselves."""


def _changed(text: str, profile: str, mark: str) -> str:
    found = re.search(rf"^\[{profile}\]\nmark = .*$", text, re.MULTILINE)
    section = f"[{profile}]\nmark = {mark}"
    if found is None:
        return f"{text}\n{section}\n"
    return text[: found.start()] + section + text[found.end() :]


def _replace(path: Path, text: str) -> None:
    temp = path.with_name(f"editor.{next(_serial)}")
    temp.write_text(text)
    temp.chmod(0o600)
    temp.rename(path)


def _marks(path: Path) -> dict[str, str]:
    try:
        profiles = raw_config_parse(str(path))
    except ConfigParseError:
        return {}
    return {name: values.get("mark", "") for name, values in profiles.items()}


def contest(kind: str, path: Path, batches: int, profiles: int, pause: float) -> dict[str, int]:
    """So many batches of so many edits, with pauses between half and one and a half times `pause`."""
    edit, chance = KINDS[kind], random.Random(os.getpid())
    lost = destroyed = 0
    for batch in range(batches):
        wanted = {f"{kind}-{i}": f"{batch}.{i}" for i in range(profiles)}
        for profile, mark in wanted.items():
            text = path.read_text()
            destroyed += sum(f"[own{i}]" not in text for i in range(OWN))
            edit(path, profile, mark)
            time.sleep(pause * chance.uniform(0.5, 1.5))
        deadline = time.monotonic() + WAIT
        while (missing := wanted.items() - _marks(path).items()) and time.monotonic() < deadline:
            time.sleep(0.02)
        lost += len(missing)
        if missing and os.environ.get("RIVALS_DEBUG"):
            sys.stderr.write(f"{kind} {sorted(missing)}\n")
    return {"edits": batches * profiles, "lost": lost, "destroyed": destroyed}


if __name__ == "__main__":
    outcome = contest(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
    sys.stdout.write(json.dumps(outcome) + "\n")
