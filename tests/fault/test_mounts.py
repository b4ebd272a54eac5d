"""Real disks, mounts and permissions that prevent a write: the file stays, the message says what to do, and nothing is
left behind. Mounts are in a namespace that ends with its process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fault.full_disk import HEARTBEAT
from fault.once import Rewrite
from world.scores import Record

# $D is the home.
MOUNTS = {
    "a file that is a mount of its own": (
        'cp "$D/.aws/credentials" "$D/host"; mount --bind "$D/host" "$D/.aws/credentials"',
        "Mount its directory",
    ),
    "a read-only mount": (
        'mount --bind "$D/.aws" "$D/.aws"; mount -o remount,ro,bind "$D/.aws"',
        "the file system is read-only",
    ),
    "a full disk": (
        "on_a_disk -t tmpfs -o size=16k tmpfs; fill",
        "the disk is full",
    ),
    "a disk that takes no more files": (
        'on_a_disk -t tmpfs -o nr_inodes=20 tmpfs; while mktemp -p "$D/.aws"; do :; done 2>/dev/null >&2',
        "the disk is full",
    ),
    "a full disk of 1 MiB": (
        'truncate -s 1M "$D/image"; mkfs.ext4 -q -m 0 "$D/image"; on_a_disk -o loop "$D/image"; fill',
        "the disk is full",
    ),
    "an immutable file": (
        'on_a_disk -t tmpfs tmpfs; chattr +i "$D/.aws/credentials"',
        "Look for an immutable flag",
    ),
}
OTHERS = {
    "a directory of another user": ('chown 12345 "$D/.aws"', "belongs to uid 12345"),
    "a file of another user": ('chown 12345 "$D/.aws/credentials"', "belongs to another user"),
}
RIGHTS = {
    "a directory that is not to be written in": ('chmod 500 "$D/.aws"', "permission is denied"),
    "a directory that is not to be looked into": ('chmod 0 "$D/.aws"', "permission is denied"),
    "a file that is not to be read": ('chmod 0 "$D/.aws/credentials"', "permission is denied"),
}
FUNCTIONS = """
rm -rf "$D/was" "$D/image" "$D/host"
trap 'chmod 700 "$D/.aws" 2>/dev/null || true' EXIT
on_a_disk() {
    mv "$D/.aws" "$D/was"; mkdir "$D/.aws"; mount "$@" "$D/.aws"; chmod 700 "$D/.aws"
    cp -p "$D/was/credentials" "$D/.aws/"
}
fill() { head -c 9999999 /dev/zero > "$D/.aws/film" || true; }
"""
ACT = '"$@" || true; cat "$D/.aws/credentials"; ls -A "$D/.aws"'


def can_run(*under: str) -> bool:
    if shutil.which(under[0]) is None:
        return False
    return subprocess.run([*under, "true"], capture_output=True, check=False).returncode == 0


needs_mounts = pytest.mark.skipif(
    not can_run("unshare", "-m"), reason="unshare is missing or may not make a mount namespace here"
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
without_powers = ("setpriv", "--bounding-set", "-all")
"""As root, but without the capability to ignore modes."""


def one_and_slow_ones(table: dict[str, tuple[str, str]]) -> list[Any]:
    """The first for `make test`, the others for `make proof`."""
    first, *others = table
    return [pytest.param(first), *(pytest.param(other, marks=pytest.mark.slow) for other in others)]


def check_refused(rewrite: Rewrite, fact: str, shell: list[str], first: str, *under: str) -> None:
    """`first` prevents the write: it is reported, the file is unchanged, and nothing is left beside it."""
    rewrite.reset()
    script = f"D={rewrite.home.path}; {FUNCTIONS} {first}; {ACT}"
    done = rewrite.run(*shell, "sh", "-ec", script, "sh", *under)
    if done.returncode:
        pytest.skip(f"the system does not have this: {done.stderr}")
    assert fact in done.stderr
    assert done.stdout.startswith(rewrite.old.decode())
    assert ".tmp" not in done.stdout


@needs_mounts
@pytest.mark.parametrize("mount", one_and_slow_ones(MOUNTS))
def test_a_disk_that_cannot_be_written_is_reported(mount: str, rewrite: Rewrite) -> None:
    check_refused(rewrite, MOUNTS[mount][1], ["unshare", "-m"], MOUNTS[mount][0])


@pytest.mark.skipif(not can_run(*without_powers), reason="setpriv is missing, or this is not root")
@pytest.mark.parametrize("right", one_and_slow_ones(RIGHTS))
def test_a_missing_permission_is_reported(right: str, rewrite: Rewrite) -> None:
    check_refused(rewrite, RIGHTS[right][1], [], RIGHTS[right][0], *without_powers)


@pytest.mark.skipif(not can_run("prlimit", "--fsize=99"), reason="prlimit is missing")
def test_a_file_size_limit_is_reported(rewrite: Rewrite) -> None:
    """The first system call then writes only a part."""
    check_refused(rewrite, "ulimit -f", [], ":", "prlimit", "--fsize=99")


@needs_root
@pytest.mark.parametrize("other", one_and_slow_ones(OTHERS))
def test_another_users_file_is_left_alone(other: str, rewrite: Rewrite) -> None:
    check_refused(rewrite, OTHERS[other][1], [], OTHERS[other][0])


@needs_mounts
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_daemon_outlives_a_full_disk_and_catches_up_within_a_heartbeat(tmp_path: Path, record: Record) -> None:
    """It reports the full disk, can even start there, removes no working credential, and needs no restart."""
    command = ["unshare", "-m", sys.executable, "-m", "fault.full_disk", str(tmp_path)]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=150)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    for status in (seen["full"], seen["restarted"]):
        assert "the disk is full" in status["credentials_file"]["error"]
        assert status["roles"][0]["state"] == "fresh"
    assert seen["untouched"], "the file has changed on a full disk"
    assert seen["delivered"]
    assert seen["temporaries"] == []
    record("fault.full_disk_delivered_seconds", seen["delivered_seconds"])
    record("fault.full_disk_stored_seconds", seen["stored_seconds"])
    assert seen["delivered_seconds"] <= HEARTBEAT
    assert seen["stored_seconds"] <= HEARTBEAT + 10
