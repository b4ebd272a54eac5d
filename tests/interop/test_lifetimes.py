"""One long-running process of each SDK, over three lifetimes of its sessions, through the profile and through `exec`.

A rewritten profile reaches only processes that start after it. Here the server is asked which key each request bore.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from world.scores import Record
from world.waiting import eventually

from . import consumers
from .kit import SHORTEST, WAYS, Job, World, must_have_worked, world

SESSION_SECONDS = 10
LIFETIMES = 3
PAUSE = 0.4
PAIRS = [
    (sdk, way) for sdk in consumers.LISTING for way in WAYS if way == "exec" or sdk not in consumers.KNOW_NO_PROFILES
]


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home at a short path: sockets want that."""
    return tmp_path_factory.mktemp("h")


def lists(aws: World, sdk: str, way: str, pause: float = PAUSE) -> Job:
    """A job that lists the bucket with this SDK."""
    return Job(aws, way, [*consumers.LISTING[sdk](), aws.facts.bucket, str(pause)])


@pytest.mark.slow
@pytest.mark.proof
def test_boto3_in_short(path: Path, record: Record) -> None:
    """The same within seconds, for every day."""
    with world(path, 5) as aws:
        with lists(aws, "boto3", "process") as by_process, lists(aws, "boto3", "exec") as by_exec:
            by_process.goes_on_for(5)
            by_exec.goes_on_for(5)
        for job in (by_process, by_exec):
            record("jobs.requests", len(job.requests))
            record("jobs.failures", len(job.failures))
            assert (job.failures, job.status) == ([], 0)
            assert len(job.keys) >= 2


@pytest.mark.slow
@pytest.mark.interop
def test_keys_that_were_read_once_are_refused(path: Path) -> None:
    """What the others are spared: a kept profile that holds keys, and a process that runs for longer than they do."""
    with world(path, 5) as aws:
        with Job(aws, "process", lists(aws, "boto3", "process").command, {"AWS_PROFILE": "exec"}) as job:
            eventually(lambda: "ExpiredToken" in job.output, 30, saying="a refusal")
        assert job.output.startswith("ok")


@pytest.mark.slow
@pytest.mark.interop
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("sdk", "way"), PAIRS)
def test_an_sdk_goes_on_over_three_lifetimes(path: Path, sdk: str, way: str, record: Record) -> None:
    """No request of one long-running process is refused."""
    with world(path, SESSION_SECONDS) as aws:
        with lists(aws, sdk, way) as job:
            job.goes_on_for(LIFETIMES * SESSION_SECONDS)
        must_have_worked(job, sdk, record)


@pytest.mark.slow
@pytest.mark.interop
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("sdk", [sdk for sdk in consumers.LISTING if sdk not in consumers.KNOW_NO_PROFILES])
def test_older_sections_of_that_name_do_not_keep_an_sdk_from_the_profile(path: Path, sdk: str, record: Record) -> None:
    """Another tool's keys in the credentials file; settings and an older line of ours in the config file."""
    with world(path, SESSION_SECONDS, older=True) as aws:
        with lists(aws, sdk, "process") as job:
            job.goes_on_for(LIFETIMES * SESSION_SECONDS)
        must_have_worked(job, f"{sdk}.older", record)


@pytest.mark.slow
@pytest.mark.interop
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("sdk", [sdk for sdk in consumers.LISTING if sdk not in consumers.KNOW_NO_PROFILES])
def test_a_home_with_letters_quotes_and_spaces_is_read_alike_by_every_sdk(path: Path, sdk: str, record: Record) -> None:
    """What stands in double quotes in the credential_process line."""
    home = path / "José O'Brien (R&D) 50%"
    home.mkdir(mode=0o700)
    with world(home, SESSION_SECONDS) as aws:
        with lists(aws, sdk, "process") as job:
            job.goes_on_for(SESSION_SECONDS)
        must_have_worked(job, f"{sdk}.quoted", record, keys=2)


@pytest.mark.slow
@pytest.mark.interop
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("sdk", "way"), PAIRS)
def test_an_sdk_does_not_notice_that_the_daemon_is_killed(path: Path, sdk: str, way: str, record: Record) -> None:
    """kill -9 in the middle, more than a lifetime without it, and a restart."""
    with world(path, SESSION_SECONDS) as aws:
        with lists(aws, sdk, way) as job:
            job.goes_on_for(SESSION_SECONDS)
            aws.daemon.kill9()
            job.goes_on_for(SESSION_SECONDS * 1.2)
            aws.daemon.start()
            job.goes_on_for(SESSION_SECONDS)
        must_have_worked(job, f"{sdk}.killed", record)


@pytest.mark.slow
@pytest.mark.skipif("INTEROP_REAL" not in os.environ, reason="45 minutes: INTEROP_REAL=1 asks for it")
@pytest.mark.interop
@pytest.mark.timeout(LIFETIMES * SHORTEST + 1800)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sdk", os.environ.get("INTEROP_REAL_SDKS", "boto3").split(","))
def test_an_sdk_goes_on_over_three_lifetimes_of_real_length(path: Path, sdk: str, way: str, record: Record) -> None:
    """Nothing is clipped: sessions of 900 s, and the windows of the SDK as they are."""
    with world(path, None) as aws:
        with lists(aws, sdk, way, pause=2.0) as job:
            job.goes_on_for(LIFETIMES * SHORTEST)
        must_have_worked(job, f"{sdk}.real", record)
