"""Our side of the contest, as a process of its own: rewrites its profiles until stdin is closed.

`tight` calls the credentials file again and again; `daemon` goes the daemon's way: looks, waits, compares, writes.
Prints how often it wrote, how often it had to wait for another program, and how often names traded places: more often
than it wrote, if another program had slipped in.
"""

from __future__ import annotations

import itertools
import json
import select
import sys
import time
from pathlib import Path

from assumed.credentials.file import CredentialsFile
from assumed.engine.decide import RoleState
from assumed.errors import FileUnsettled
from assumed.files import exchange
from assumed.model import Role
from assumed.runtime.delivery import Delivery
from credentials.kit import CONFIG, keys, session


def stopped(within: float) -> bool:
    """Whether stdin has been closed; waits so long for it."""
    return bool(select.select([sys.stdin], [], [], within)[0])


def tight(file: CredentialsFile, profiles: list[str], pause: float) -> tuple[int, int]:
    """One write after the other, each with new sessions."""
    written = waited = generation = 0
    while not stopped(pause):
        generation += 1
        try:
            file.signature()
            written += file.write([keys(name, generation) for name in profiles], CONFIG, False).written
        except FileUnsettled:
            waited += 1
            stopped(0.002)
    return written, waited


def daemon(file: CredentialsFile, profiles: list[str], pause: float) -> tuple[int, int]:
    """Sessions every `pause` seconds; in between it looks, as at every heartbeat and event of the watcher."""
    events: list[str] = []
    delivery = Delivery(
        file,
        CONFIG,
        lambda role: None,
        lambda role: "",
        lambda level, event, **facts: events.append(event),
        time.time,
    )
    roles = [Role(name, f"arn:aws:iam::123456789012:role/{name}", source_profile="default") for name in profiles]
    states: dict[str, RoleState] = {}
    written = waited = generation = 0
    renewed = float("-inf")
    while not stopped(0.01):
        now = time.monotonic()
        delivery.look(now)
        if now >= renewed + pause:
            renewed = now
            generation += 1
            states = {name: RoleState(session=session(name, generation)) for name in profiles}
            delivery.want(now)
        if delivery.due_at is not None and delivery.due_at <= now:
            done = delivery.write(roles, states, time.monotonic)
            written, waited = written + done, waited + (not done)
    return written, waited


def main(way: str, path: Path, state: Path, profiles: int, pause: float) -> None:
    """Until stdin is closed."""
    really, trades = exchange.exchange, itertools.count()

    def counted(dir_fd: int, one: str, other: str) -> None:
        really(dir_fd, one, other)
        next(trades)

    exchange.exchange = counted
    file = CredentialsFile(path, state)
    file.sweep()
    written, waited = {"tight": tight, "daemon": daemon}[way](file, [f"p{i}" for i in range(profiles)], pause)
    sys.stdout.write(json.dumps({"written": written, "waited": waited, "trades": next(trades)}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
