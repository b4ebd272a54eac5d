"""A reader of the credentials file, as a process of its own: botocore's parser, again and again, until stdin is closed.

Torn is what botocore cannot parse, and what lacks a profile that always is there. Prints the counts, and every session
that it has seen: key, secret and token.
"""

from __future__ import annotations

import json
import select
import sys
from pathlib import Path

from botocore.configloader import raw_config_parse
from botocore.exceptions import BotoCoreError

from rivals.editors import OWN

KEYS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")


def sessions(path: Path, profiles: int) -> set[tuple[str, ...]] | None:
    """Those that one read finds; None where something is missing."""
    try:
        found = raw_config_parse(str(path))
        if any(found[f"own{i}"]["key"] != f"canary{i}" for i in range(OWN)):
            return None
        return {tuple(found[f"p{i}"][key] for key in KEYS) for i in range(profiles)}
    except (BotoCoreError, KeyError):
        return None


if __name__ == "__main__":
    reads = torn = 0
    seen: set[tuple[str, ...]] = set()
    sys.stdout.write("reading\n")
    sys.stdout.flush()
    while not select.select([sys.stdin], [], [], 0.002)[0]:
        reads += 1
        found = sessions(Path(sys.argv[1]), int(sys.argv[2]))
        torn += found is None
        seen |= found or set()
    sys.stdout.write(json.dumps({"reads": reads, "torn": torn, "sessions": sorted(seen)}) + "\n")
