"""Our side of the contest, as a process of its own: rewrites its profiles until stdin is closed.

Prints how often it wrote, how often it had to wait for another program, and how often names traded places: more often
than it wrote, if another program had slipped in.
"""

from __future__ import annotations

import itertools
import json
import select
import sys
from pathlib import Path

from assumed import files as exchange
from assumed.credentials.file import CredentialsFile
from assumed.errors import FileUnsettled
from credentials.kit import CONFIG, keys


def stopped(within: float) -> bool:
    """Whether stdin has been closed; waits so long for it."""
    return bool(select.select([sys.stdin], [], [], within)[0])


def rewrite(file: CredentialsFile, profiles: list[str]) -> tuple[int, int]:
    """One write after the other, each with new sessions."""
    written = waited = generation = 0
    while not stopped(0.0):
        generation += 1
        try:
            file.signature()
            written += file.write([keys(name, generation) for name in profiles], CONFIG, False).written
        except FileUnsettled:
            waited += 1
            stopped(0.002)
    return written, waited


def main(path: Path, state: Path, profiles: int) -> None:
    """Until stdin is closed."""
    really, trades = exchange.exchange, itertools.count()

    def counted(dir_fd: int, one: str, other: str) -> None:
        really(dir_fd, one, other)
        next(trades)

    exchange.exchange = counted
    file = CredentialsFile(path, state)
    file.sweep()
    written, waited = rewrite(file, [f"p{i}" for i in range(profiles)])
    sys.stdout.write(json.dumps({"written": written, "waited": waited, "trades": next(trades)}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
