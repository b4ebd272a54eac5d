"""Building the wheel, and installing it where nobody may write."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534


def build(target: str, source: Path, into: Path, **environment: str) -> Path:
    """The wheel or sdist of a source tree, as `pip wheel` and `python -m build` have it made, without their network."""
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(into)]
    subprocess.run(command, cwd=source, env={**os.environ, **environment}, check=True, capture_output=True)
    (built,) = into.iterdir()
    return built


def names(wheel: Path) -> list[str]:
    """The files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return sorted(archive.namelist())


def base_python() -> str:
    """An interpreter of our version that every user of this machine may run."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for found in (getattr(sys, "_base_executable", sys.executable), shutil.which(version, path="/usr/bin")):
        if found and anybody_reaches(Path(found)):
            return found
    pytest.skip(f"no {version} here that another user may run")


def anybody_reaches(path: Path) -> bool:
    """Whether every user of this machine may go there."""
    return all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)


@contextmanager
def installed(wheel: Path) -> Iterator[Path]:
    """A fresh virtual environment with the wheel in it, which other users reach and nobody but us may write to.

    What the wheel depends on is taken from the environment of the tests: no network, and two seconds.
    """
    parts = sysconfig.get_path("purelib")
    if not anybody_reaches(Path(parts)):
        pytest.skip("the libraries of the tests lie where no other user may go (below /root, say)")
    directory = Path(tempfile.mkdtemp(prefix="assumed-wheel-", dir="/var/tmp"))  # a container has a /tmp of its own
    try:
        directory.chmod(0o755)
        place = directory / "venv"
        subprocess.run([base_python(), "-m", "venv", "--without-pip", str(place)], check=True, capture_output=True)
        pip = [sys.executable, "-m", "pip", "--python", str(place), "--disable-pip-version-check", "--quiet"]
        subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True)
        (packages,) = place.glob("lib/python*/site-packages")
        # A .pth file in a directory that is on the path by a .pth file is not read: this tree stays out of it.
        (packages / "parts.pth").write_text(f"{parts}\n")
        yield place
    finally:
        shutil.rmtree(directory)
