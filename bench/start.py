"""From the start of the process to every profile delivered."""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial

from .kit import LATENCY_MS, Sts, delivered, home_of, interleaved, names, program, say, seconds_of, sts, wait_for
from .rows import Row, Target

WORKERS = 10
FLOOR = "import boto3; boto3.client('sts')"


def rows(quick: bool) -> Iterator[Row]:
    """Start to all fresh, beside boto3's own start and beside a loop of the AWS CLI."""
    with sts() as server:
        cli, calls = _aws_cli(server, 1 if quick else 3)
        for count, runs in ((1, 1), (10, 1)) if quick else ((1, 7), (10, 5), (100, 3), (1000, 1)):
            say(f"start to all fresh, {count} roles")
            ours, client = interleaved(runs, partial(_start, server, count), partial(_client, server))
            floor = client + math.ceil(count / WORKERS) * LATENCY_MS / 1000
            figure = f"start to all fresh, {count} roles"
            note = f"STS answers after {LATENCY_MS:.0f} ms; at most 100 calls a second, as promised"
            yield Row(
                "start", figure, "s", ours, "boto3 + client, 50 ms per 10 roles", floor, Target(1.3, 1.1), runs, note
            )
            if count == 1000:
                yield Row("start", figure, "s", ours, "", None, Target(12.0, of="ours"), runs, note)
            goal = Target(1 / 50, 1 / 100) if count == 100 else None
            loop = cli * count if cli else None
            note = f"the AWS CLI: {calls} calls were measured, and multiplied by the number of roles"
            yield Row("start", figure, "s", ours, "aws sts assume-role, N times", loop, goal, runs, note)


def _client(server: Sts) -> float:
    return seconds_of([sys.executable, "-c", FLOOR], server.environment())


def _start(server: Sts, count: int) -> float:
    """Seconds from spawning `assumed run` to the last profile in the credentials file."""
    with home_of(server, count) as home:
        environment = home.environment(AWS_ENDPOINT_URL_STS=server.url)
        seen = (0, 0)

        def complete() -> bool:
            nonlocal seen
            status = home.credentials.stat()
            now = (status.st_ino, status.st_mtime_ns)
            if now == seen:
                return False
            seen = now
            return delivered(home) == count

        with (home.path / "log").open("wb") as log:
            began = time.perf_counter()
            daemon = subprocess.Popen(
                [sys.executable, "-m", "assumed", "run"], env=environment, stdin=subprocess.DEVNULL, stderr=log
            )
        try:
            wait_for(complete, within=30 + count / 20)
            return time.perf_counter() - began
        finally:
            daemon.terminate()
            daemon.wait(20)


def _aws_cli(server: Sts, calls: int) -> tuple[float | None, int]:
    aws = program("aws")
    if aws is None:
        return None, 0
    say(f"{calls} calls of {aws} sts assume-role")
    role = f"arn:aws:iam::123456789012:role/{names(1)[0]}"
    argv = [aws, "sts", "assume-role", "--role-arn", role, "--role-session-name", "bench"]
    environment = {**server.environment(), "AWS_PAGER": "", "HOME": os.devnull}
    return statistics.median(seconds_of(argv, environment) for _ in range(calls)), calls
