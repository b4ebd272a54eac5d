"""One run of a transfer tool that is longer than three of its sessions."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from world.scores import Record

from .kit import WAYS, Job, World, must_have_worked, world

SESSION_SECONDS = 10
OBJECTS = 150
WITHIN = 250.0
"""Seconds for a transfer that takes 40 on an idle machine."""


def aws_s3_sync(at: World, way: str, aws: str = str(Path(sys.executable).parent / "aws")) -> list[str]:
    """The AWS CLI, version 1 unless another one is named.

    About four objects a second: its limiter counts 256 KB for each read of one.

    The limit is a setting of the profile, which `exec` passes on.
    """
    config = at.home.aws_config
    header, text = f"[profile {way}]\n", config.read_text() if config.exists() else ""
    settings = "s3 =\n  max_concurrent_requests = 2\n  max_bandwidth = 2MB/s\n"
    config.write_text(text.replace(header, header + settings) if header in text else text + header + settings)
    return [aws, "s3", "sync", "--no-progress", f"s3://{at.facts.bucket}/many", "copied"]


def aws_s3_sync_2(at: World, way: str) -> list[str]:
    """The AWS CLI, version 2, where the system has one."""
    for aws in filter(os.path.exists, ("/usr/bin/aws", "/usr/local/bin/aws")):
        if b"aws-cli/2" in subprocess.run([aws, "--version"], capture_output=True, check=True).stdout:
            return [*aws_s3_sync(at, way, aws), "--endpoint-url", at.front.url]
    pytest.skip("there is no AWS CLI 2")


def rclone(at: World, way: str) -> list[str]:
    """Not more than four requests a second."""
    if shutil.which("rclone") is None:
        pytest.skip("rclone is not installed")
    remote = f":s3,provider=Minio,env_auth,region=us-west-2,endpoint='{at.front.url}':"
    return ["rclone", "copy", "--tpslimit", "4", "--transfers", "2", f"{remote}{at.facts.bucket}/many", "copied"]


TOOLS: dict[str, Callable[[World, str], list[str]]] = {
    "aws-cli": aws_s3_sync,
    "aws-cli-2": aws_s3_sync_2,
    "rclone": rclone,
}


@pytest.mark.slow
@pytest.mark.interop
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("way", "older"), [(way, older) for way in WAYS for older in (False, True) if way == "process" or not older]
)
@pytest.mark.parametrize("tool", TOOLS)
def test_a_transfer_outlives_its_sessions(
    tmp_path_factory: pytest.TempPathFactory, tool: str, way: str, older: bool, record: Record
) -> None:
    """Every object arrives, and no request bore an expired key. `older`: see `world`."""
    with world(tmp_path_factory.mktemp("h"), SESSION_SECONDS, objects=OBJECTS, older=older) as aws:
        with Job(aws, way, TOOLS[tool](aws, way)) as job:
            job.ends_within(WITHIN)
        must_have_worked(job, tool, record)
        assert len(list((aws.home.path / "copied").iterdir())) == OBJECTS
