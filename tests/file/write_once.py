"""One write of one generation, as a process of its own: what strace makes fail. Prints the outcome as one line."""

from __future__ import annotations

import sys
from pathlib import Path

from assumed.core.errors import FileRefused
from assumed.edge.credentials_file import CredentialsFile
from file.kit import CONFIG, keys


def main(path: Path, state: Path, generation: int) -> str:
    try:
        result = CredentialsFile(path, state).write([keys("p", generation)], CONFIG, True)
    except FileRefused as refused:
        return f"refused: {refused}"
    return f"written: durable={result.durable}"


if __name__ == "__main__":
    sys.stdout.write(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])) + "\n")
