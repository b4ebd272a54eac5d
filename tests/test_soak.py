"""Ten minutes of 20-second sessions: three roles, 10^5 reads by botocore's own parser, a file full of other things."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from botocore.configloader import raw_config_parse

from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.scores import Record

SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
LIFE = 20
NAMES = ("one", "two", "three")
FOREIGN = b"""# my keys, do not touch
[default]
aws_access_key_id = %s
aws_secret_access_key = %s

[other]   # with a comment
output = json
s3 =
    max_concurrent_requests = 20
"""


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 120)
def test_no_reader_ever_sees_a_torn_file_or_a_session_near_its_end(tmp_path: Path, record: Record) -> None:
    """Promise 1 and promise 3 as a reader meets them. Prints what it saw."""
    with FakeSts() as sts:
        sts.rule("*", session_seconds=LIFE)
        home = Home(tmp_path)
        foreign = FOREIGN % (sts.source.access_key_id.encode(), sts.source.secret_access_key.encode())
        home.credentials.parent.mkdir(parents=True)
        home.credentials.write_bytes(foreign)
        home.credentials.chmod(0o600)
        account = "arn:aws:iam::123456789012:role"
        home.configure(*(role(name, f"{account}/{name}") for name in NAMES))
        with Daemon(home, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
            daemon.wait_until_fresh(*NAMES)
            reads, bad, least, changed = read_for(SECONDS, home.credentials, foreign)
        figures = (
            f"reads {reads}, bad {bad}, least life {least:.1%}, foreign bytes changed {changed}, calls {len(sts.calls)}"
        )
        print(figures)
        for name, value in (("reads", reads), ("bad", bad), ("least_share", least), ("foreign_changed", changed)):
            record(f"soak.{name}", value)
        assert (bad, changed) == (0, 0)
        assert least >= 0.30


def read_for(seconds: float, path: Path, foreign: bytes) -> tuple[int, int, float, int]:
    """Read like an SDK, again and again: (reads, bad ones, least share of life, reads with foreign bytes changed)."""
    reads = bad = changed = 0
    least = 1.0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        reads += 1
        parsed = raw_config_parse(str(path))
        for name in NAMES:
            section = parsed.get(name, {})
            if not {"aws_access_key_id", "aws_secret_access_key", "aws_session_token"} <= set(section):
                bad += 1
                continue
            expires = datetime.strptime(section["x_security_token_expires"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
            least = min(least, (expires.timestamp() - time.time()) / LIFE)
        changed += not path.read_bytes().startswith(foreign)
    return reads, bad, least, changed
