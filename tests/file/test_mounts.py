"""What real mounts do to a write. Each test has a mount namespace of its own, which ends with its process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MINE = b"[mine]\nregion = x\n"
TESTS = Path(__file__).parents[1]
WRITE = (
    f'"{sys.executable}" -m file.write_once "$D/aws/credentials" "$D/state" 1; cat "$D/aws/credentials"; ls -A "$D/aws"'
)


def can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not can_mount(), reason="unshare is missing or may not make a mount namespace here")


def in_a_namespace(directory: Path, mounts: str) -> str:
    """What a write says after `mounts`, then the file, then the names beside it."""
    (directory / "aws").mkdir(0o700)
    (directory / "aws" / "credentials").write_bytes(MINE)
    environ = {**os.environ, "PYTHONPATH": str(TESTS), "D": str(directory)}
    command = ["unshare", "-m", "sh", "-ec", f"{mounts}; {WRITE}"]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout


def test_a_file_that_is_a_mount_of_its_own_is_left_alone_with_the_advice_to_mount_the_directory(tmp_path: Path) -> None:
    """docker -v ~/.aws/credentials:… pins the file: rename says EBUSY."""
    (tmp_path / "host").write_bytes(MINE)
    said = in_a_namespace(tmp_path, 'mount --bind "$D/host" "$D/aws/credentials"')
    assert "Mount its directory instead of the single file" in said
    assert said.endswith(MINE.decode() + "credentials\n")


def test_a_read_only_mount_is_named(tmp_path: Path) -> None:
    said = in_a_namespace(tmp_path, 'mount --bind "$D/aws" "$D/aws"; mount -o remount,ro,bind "$D/aws"')
    assert "the file system is read-only" in said
    assert said.endswith(MINE.decode() + "credentials\n")


def test_a_full_disk_keeps_the_old_file_and_no_temporary_one(tmp_path: Path) -> None:
    fill = 'printf "[mine]\\nregion = x\\n" > "$D/aws/credentials"; yes "#" | head -c 7000 >> "$D/aws/credentials"'
    said = in_a_namespace(tmp_path, f'mount -t tmpfs -o size=8k,mode=700 tmpfs "$D/aws"; {fill}')
    assert "the disk is full" in said
    assert MINE.decode() in said
    assert said.endswith("#\ncredentials\n")
