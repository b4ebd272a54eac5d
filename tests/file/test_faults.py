"""Every system call of a write fails once: the old file or the new one is there, no temporary file, and a sentence.

strace makes the calls of a real process fail; for the calls that Python's own start makes as well (openat, pread64),
`-P` counts only those on the file's directory.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from assumed.edge.credentials_file import CredentialsFile
from file.kit import botocore_reads, keys, merged

MINE = b"[mine]\naws_access_key_id = AKIATEST\naws_secret_access_key = canary\n"
TESTS = Path(__file__).parents[1]

FAULTS = {
    "the disk is full at the write": ("write:error=ENOSPC:when=1", "the disk is full"),
    "the quota is used up": ("write:error=EDQUOT:when=1", "quota"),
    "the disk breaks at the write": ("write:error=EIO:when=1", "disk reports an error"),
    "fsync fails": ("fsync:error=EIO:when=1", "disk reports an error"),
    "fsync finds the disk full": ("fsync:error=ENOSPC:when=1", "the disk is full"),
    "the rename is not permitted": ("/rename:error=EACCES:when=1", "permission is denied"),
    "the file is immutable": ("/rename:error=EPERM:when=1", "immutable"),
    "the file is a mount of its own": ("/rename:error=EBUSY:when=1", "Mount its directory"),
    "the file is on another device": ("/rename:error=EXDEV:when=1", "Mount its directory"),
    "the file system is read-only": ("openat:error=EROFS:when=3", "read-only"),
    "no descriptor is left": ("openat:error=EMFILE:when=1", "too many files are open"),
    "the file may not be read": ("openat:error=EACCES:when=2", "permission is denied"),
    "the read breaks": ("pread64:error=EIO:when=1", "disk reports an error"),
    "the disk loses what was written": ("write:retval=7:when=1", "the disk did not give back"),
    "the mode cannot be set": ("fchmod:error=EPERM:when=1", "does not permit"),
}


def can_inject() -> bool:
    """strace may be missing, or tracing forbidden (containers, yama)."""
    if shutil.which("strace") is None:
        return False
    probe = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=getppid:error=EPERM", "true"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not can_inject(), reason="strace is missing or may not trace here")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    directory = tmp_path / "aws"
    directory.mkdir(0o700)
    path = directory / "credentials"
    path.write_bytes(merged(MINE, keys("p", 1)))
    path.chmod(0o700)  # unlike a new file's, so that a mode has to be set
    return path


def write_under(path: Path, inject: str) -> str:
    call = inject.partition(":")[0]
    command = ["strace", "-f", "-qq", "-o", str(path.parents[1] / "trace"), "-e", f"trace={call}"]
    command += ["-e", f"inject={inject}"]
    if call in ("openat", "pread64"):
        command += ["-P", str(path.parent), "-P", str(path)]
    command += [sys.executable, "-m", "file.write_once", str(path), str(path.parents[1] / "state"), "2"]
    environ = {**os.environ, "PYTHONPATH": str(TESTS), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -9, 137), done.stderr
    return done.stdout


@pytest.mark.parametrize("name", FAULTS)
def test_a_write_that_fails_leaves_the_old_file_and_a_sentence(name: str, path: Path) -> None:
    inject, words = FAULTS[name]
    old = path.read_bytes()
    said = write_under(path, inject)
    assert "(INJECTED)" in (path.parents[1] / "trace").read_text(), "the fault did not fire"
    assert said.startswith("refused: ")
    assert words in said
    assert "canary" not in said
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]


def test_an_error_after_the_rename_is_published_but_not_durable(path: Path) -> None:
    said = write_under(path, "fsync:error=EIO:when=2")
    assert said == "written: durable=False\n"
    assert botocore_reads(path)["p"]["aws_session_token"] == "token-canary-2"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("call", ["openat:3", "fchmod:1", "write:1", "fsync:1", "pread64:1", "/rename:1", "fsync:2"])
def test_a_kill_at_any_point_leaves_the_old_file_or_the_new_one(call: str, path: Path) -> None:
    old, new = path.read_bytes(), merged(path.read_bytes(), keys("p", 2))
    name, when = call.split(":")
    assert write_under(path, f"{name}:signal=KILL:when={when}") == ""
    assert path.read_bytes() in (old, new)
    assert write_under(path, "getppid:error=EPERM") == "written: durable=True\n"
    assert path.read_bytes() == new
    CredentialsFile(path, path.parents[1] / "state").sweep()
    assert list(path.parent.iterdir()) == [path]
