"""Profile names that SDKs support, and edits of managed profiles that are not undone silently."""

from __future__ import annotations

import json
import os

import pytest

from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

pytestmark = pytest.mark.slow
"""Minor faults, tried only in the proof."""

ARN = "arn:aws:iam::123456789012:role/r"


@pytest.mark.parametrize("name", ["team:prod", "a+b", "x:y+z", "plain-name"])
@pytest.mark.parametrize("deliver", ["keys", "process"])
def test_a_profile_name_with_a_colon_or_a_plus_works(aws_home: Home, sts: FakeSts, name: str, deliver: str) -> None:
    """For botocore and `credential-process`. Control: a plain name."""
    aws_home.configure(role(name, ARN, deliver=deliver))
    ran = aws_home.assumed("once", within=60, AWS_ENDPOINT_URL_STS=sts.url)

    assert ran.returncode == 0, ran.stderr
    given = aws_home.assumed("credential-process", name, within=60)
    assert json.loads(given.stdout)["AccessKeyId"].startswith("ASIA")
    assert aws_home.profile(name)


@pytest.mark.parametrize("region", ["eu-north-1", "ap-south-1", "us-gov-west-1"])
def test_a_region_edited_by_hand_is_restored_with_a_warning(
    aws_home: Home, daemon: Daemon, sts: FakeSts, region: str
) -> None:
    """The configuration sets it, so the log says where to change it."""
    aws_home.configure(role("kept", ARN, region="us-west-2"))
    daemon.start().wait_until_fresh("kept", within=45)
    text = aws_home.credentials.read_text()
    assert "region = us-west-2" in text
    aws_home.credentials.write_text(text.replace("region = us-west-2", f"region = {region}"))

    eventually(lambda: (aws_home.profile("kept") or {}).get("region") == "us-west-2", 45)
    said = [event for event in daemon.events() if event.get("profile") == "kept" and region in event.get("message", "")]
    assert len(said) == 1


@pytest.mark.parametrize("line", ["output = json", "s3 =\n  max_queue_size = 1", "cli_pager ="])
def test_a_line_that_is_not_ours_stays(aws_home: Home, daemon: Daemon, sts: FakeSts, line: str) -> None:
    """Control."""
    aws_home.configure(role("kept", ARN, region="us-west-2"))
    daemon.start().wait_until_fresh("kept", within=45)
    with aws_home.credentials.open("a") as file:
        file.write(line + "\n")
    assert aws_home.assumed("refresh", "kept", within=60).returncode == 0

    assert line in aws_home.credentials.read_text()


@pytest.mark.parametrize("what", ["a hard link", "a group", "others"])
def test_check_reports_what_a_rewrite_would_change(aws_home: Home, what: str) -> None:
    """The file's second name (hard link), and access granted by its mode."""
    aws_home.configure(role("kept", ARN))
    if what == "a hard link":
        os.link(aws_home.credentials, aws_home.path / "other-name")
    else:
        aws_home.credentials.chmod(0o640 if what == "a group" else 0o604)
    document = json.loads(aws_home.assumed("check", "--json").stdout)

    found = [f for f in document["findings"] if f["severity"] != "ok" and f["subject"] == str(aws_home.credentials)]
    assert len(found) == 1
    assert "rewrit" in found[0]["message"]
