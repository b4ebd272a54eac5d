"""Rotates every profile of a file until stdin is closed, as a process of its own. Prints how often it wrote."""

from __future__ import annotations

import select
import sys
from pathlib import Path

from assumed.credentials.file import CredentialsFile
from assumed.errors import FileUnsettled
from credentials.kit import CONFIG, keys


def main(path: Path, state: Path, profiles: int) -> None:
    file = CredentialsFile(path, state)
    generation = written = 0
    while not select.select([sys.stdin], [], [], 0.002)[0]:
        generation += 1
        kept = [keys(f"p{i}", generation) for i in range(profiles)]
        try:
            written += file.write(kept, CONFIG, False).written
        except FileUnsettled as unsettled:
            select.select([sys.stdin], [], [], unsettled.retry_in)
    sys.stdout.write(f"{written}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
