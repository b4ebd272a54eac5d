"""Hooks that write down how they were called."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from world.daemon import DEFAULTS, Home

RECORDER = """\
import configparser, json, os, sys, time
told = {name: value for name, value in os.environ.items()}
section = {}
if told.get("ASSUMED_PROFILE"):
    parser = configparser.RawConfigParser()
    parser.read(os.path.join(told["HOME"], ".aws", "credentials"))
    if parser.has_section(told["ASSUMED_PROFILE"]):
        section = dict(parser[told["ASSUMED_PROFILE"]])
descriptors = sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else []
record = {
    "at": time.time(),
    "argv": sys.argv[1:],
    "environ": told,
    "umask": os.umask(0o077),
    "leader": os.getsid(0) == os.getpid(),
    "stdin": sys.stdin.read(),
    "descriptors": len(descriptors),
    "expires": section.get("x_security_token_expires"),
    "key": section.get("aws_access_key_id"),
}
with open(os.path.join(told["HOME"], "told.jsonl"), "a") as file:
    file.write(json.dumps(record) + "\\n")
"""


def recorder(home: Home) -> list[str]:
    """A command that appends to `told.jsonl` what it finds: variables, descriptors, and the profile it is told of."""
    script = home.path / "recorder.py"
    script.write_text(RECORDER)
    return [sys.executable, "-I", "-S", str(script)]


def hooks(**keys: Any) -> str:
    """A `[hooks]` table and the defaults."""
    return "\n".join(["[hooks]", *(f"{name} = {json.dumps(value)}" for name, value in keys.items()), "", DEFAULTS])


def told(home: Home, event: str | None = None) -> list[dict[str, Any]]:
    """What the recorder has been told so far; of one event."""
    file: Path = home.path / "told.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    records = [json.loads(line) for line in lines if line.endswith("}")]
    return [record for record in records if event in (None, record["environ"]["ASSUMED_EVENT"])]
