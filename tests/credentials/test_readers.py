"""Readers and other writers beside us, as real processes: nobody sees half a file, nobody's profile is destroyed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from awscli.customizations.configure.writer import ConfigFileWriter
from botocore.configloader import raw_config_parse
from botocore.exceptions import ConfigParseError

from assumed.credentials.file import CredentialsFile
from credentials.kit import CONFIG, botocore_reads, keys
from world.waiting import patient

PROFILES = 40
SECONDS = 2.5
TESTS = Path(__file__).parents[1]
OWN = {"aws_access_key_id": "AKIATEST", "aws_secret_access_key": "canary"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "aws").mkdir(0o700)
    path = tmp_path / "aws" / "credentials"
    path.write_text(
        "".join(f"[own{i}]\naws_access_key_id = AKIATEST\naws_secret_access_key = canary\n" for i in range(5))
    )
    path.chmod(0o600)
    return path


@contextmanager
def rotating(path: Path) -> Iterator[list[int]]:
    """A process that rotates the 40 profiles as fast as it can; the list holds the generations, once it ended."""
    command = [sys.executable, "-m", "file.rotate", str(path), str(path.parents[1] / "state"), str(PROFILES)]
    environ = {**os.environ, "PYTHONPATH": str(TESTS)}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ)
    generations: list[int] = []
    try:
        deadline = time.monotonic() + patient(15)
        while b"[p39]" not in path.read_bytes():
            assert process.poll() is None, "the writer died"
            assert time.monotonic() < deadline, "the writer never began"
            time.sleep(0.01)
        yield generations
    finally:
        out, _ = process.communicate(timeout=patient(15))
    generations.append(int(out))


def is_whole(profiles: dict[str, Any]) -> bool:
    """Every profile is there, and all the kept ones are of one generation."""
    ours = [profiles[f"p{i}"] for i in range(PROFILES)]
    seen = {values[key].rsplit("-", 1)[1] for values in ours for key in ("aws_secret_access_key", "aws_session_token")}
    return len(seen) == 1 and all(profiles[f"own{i}"] == OWN for i in range(5))


@pytest.mark.slow
def test_botocore_never_reads_a_torn_or_mixed_file_while_forty_profiles_rotate(path: Path) -> None:
    """An in-place writer spoiled 90 % of the reads in the same set-up."""
    good = bad = 0
    with rotating(path) as generations:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            try:
                whole = is_whole(raw_config_parse(str(path)))
            except (ConfigParseError, KeyError):
                whole = False
            good, bad = good + whole, bad + (not whole)
    assert bad == 0
    assert good > 50
    assert generations[0] > 50


@pytest.mark.slow
def test_the_aws_cli_writing_beside_us_destroys_nothing_and_loses_nothing_at_human_speed(path: Path) -> None:
    """It truncates the file and then writes it, without a lock; botocore's and ours is the same file meanwhile."""
    wanted = {}
    with rotating(path):
        for count in range(12):
            time.sleep(0.15)
            wanted[f"cli{count}"] = f"canary-{count}"
            ConfigFileWriter().update_config(
                {"__section__": f"cli{count}", "aws_secret_access_key": f"canary-{count}"}, str(path)
            )
    found = botocore_reads(path)
    assert all(found[f"own{i}"] == OWN for i in range(5))
    assert all(f"p{i}" in found for i in range(PROFILES))
    lost = [name for name, secret in wanted.items() if found.get(name, {}).get("aws_secret_access_key") != secret]
    assert lost == []


@pytest.mark.slow
def test_aws_configure_set_and_a_kept_profile_live_in_one_file(path: Path, tmp_path: Path) -> None:
    """The real command: a new profile beside ours, a line in ours, and long-term keys over ours."""
    file = CredentialsFile(path, tmp_path / "state")
    file.write([keys("p")], CONFIG, True)
    aws_configure_set(path, "aws_secret_access_key", "canary-new", "--profile", "new")
    aws_configure_set(path, "aws_session_token", "canary-typed", "--profile", "p")
    assert file.write([keys("p", 2)], CONFIG, True).written
    found = botocore_reads(path)
    assert found["new"] == {"aws_secret_access_key": "canary-new"}
    assert found["p"]["aws_session_token"] == "token-canary-2"
    aws_configure_set(path, "aws_access_key_id", "AKIATEST", "--profile", "p")
    (refusal,) = file.write([keys("p", 3)], CONFIG, True).refused
    assert "long-term keys" in refusal.reason
    assert botocore_reads(path)["p"]["aws_access_key_id"] == "AKIATEST"


def aws_configure_set(path: Path, *words: str) -> None:
    environ = {**os.environ, "AWS_SHARED_CREDENTIALS_FILE": str(path), "AWS_CONFIG_FILE": str(path.parent / "config")}
    command = [sys.executable, "-m", "awscli", "configure", "set", *words]
    subprocess.run(command, env=environ, check=True, capture_output=True)
