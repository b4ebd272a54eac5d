"""A daemon whose `.aws` is a small disk that fills up and is cleaned: prints what happened, as JSON.

Run in its own mount namespace, as root: the mount ends with the process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

ROLE = "arn:aws:iam::123456789012:role/kept"
HEARTBEAT = 30.0


def main(directory: Path) -> dict[str, Any]:
    """What happened, step by step."""
    home = Home(directory)
    disk = directory / ".aws"
    disk.mkdir(0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", disk], check=True)
    with FakeSts() as sts:
        sts.rule("*", session_seconds=900)
        home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
        home.configure(role("kept", ROLE))
        with Daemon(home, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
            daemon.wait_until_fresh("kept")
            return fill_and_tidy(daemon, home, disk / "film.mp4")


def fill_and_tidy(daemon: Daemon, home: Home, film: Path) -> dict[str, Any]:
    """Fill the disk with `film`, renew the session, kill and start the daemon, remove the film."""
    before = home.credentials.read_bytes()
    fill(film)
    daemon.ask("refresh", profiles=["kept"])
    full = daemon.wait_until(lambda status: status["credentials_file"]["error"])
    untouched = home.credentials.read_bytes() == before
    daemon.kill9()
    fill(film)  # the killed daemon's open files have freed space
    daemon.start()
    daemon.ask("refresh", profiles=["kept"])
    restarted = daemon.wait_until(lambda status: status["credentials_file"]["error"])
    untouched = untouched and home.credentials.read_bytes() == before
    film.unlink()
    began = time.monotonic()
    daemon.wait_until(lambda status: not status["credentials_file"]["error"], within=2 * HEARTBEAT)
    tidied = daemon.wait_until_fresh("kept")
    delivered = time.monotonic() - began
    eventually(lambda: stored_key(home) == (home.profile("kept") or {})["aws_access_key_id"], 2 * HEARTBEAT)
    return {
        "full": full,
        "restarted": restarted,
        "untouched": untouched,
        "delivered": tidied["roles"][0]["delivered"] and home.credentials.read_bytes() != before,
        "delivered_seconds": delivered,
        "stored_seconds": time.monotonic() - began,
        "temporaries": [str(path) for path in home.credentials.parent.rglob("*.tmp")],
    }


def fill(film: Path) -> None:
    """Write until there is no space for another byte."""
    with film.open("ab", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue


def stored_key(home: Home) -> str:
    """The key of the session that `credential-process` finds."""
    return str(json.loads((home.state / "sessions/kept.json").read_bytes())["AccessKeyId"])


if __name__ == "__main__":
    json.dump(main(Path(sys.argv[1])), sys.stdout)
