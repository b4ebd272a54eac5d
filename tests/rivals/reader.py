"""A reader of the credentials file, as a process of its own: botocore's parser, again and again, until stdin is closed.

Torn is what botocore cannot parse, what lacks a profile that always is there, and what mixes two of our generations.
"""

from __future__ import annotations

import json
import select
import sys
from pathlib import Path

from botocore.configloader import raw_config_parse
from botocore.exceptions import BotoCoreError

from rivals.editors import OWN


def is_whole(path: Path, profiles: int) -> bool:
    """Whether one read finds everything."""
    try:
        found = raw_config_parse(str(path))
        ours = [found[f"p{i}"] for i in range(profiles)]
        seen = {v[key].rsplit("-", 1)[1] for v in ours for key in ("aws_secret_access_key", "aws_session_token")}
        return len(seen) == 1 and all(found[f"own{i}"]["key"] == f"canary{i}" for i in range(OWN))
    except (BotoCoreError, KeyError):
        return False


if __name__ == "__main__":
    reads = torn = 0
    sys.stdout.write("reading\n")
    sys.stdout.flush()
    while not select.select([sys.stdin], [], [], 0.002)[0]:
        reads += 1
        torn += not is_whole(Path(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.write(json.dumps({"reads": reads, "torn": torn}) + "\n")
