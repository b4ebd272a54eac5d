"""The consumers: how each is fetched and built, once, under build/interop, and which command runs it.

What this machine cannot run is skipped with the reason. A client that was fetched and does not build is a failure.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

CLIENTS = Path(__file__).parent / "clients"
BUILT = Path(__file__).parents[2] / "build" / "interop"
FETCH_SECONDS, BUILD_SECONDS = 600, 1500


def boto3() -> list[str]:
    """boto3 of our own environment."""
    return [sys.executable, str(CLIENTS / "python" / "boto3_list.py")]


def other_python(name: str, environment: str = "python") -> list[str]:
    """A library of Python in an environment of its own: s3fs pins another botocore than ours.

    `cpp`: the last releases whose AWS C++ SDK looks for `credential_process` in the config file alone.
    """
    with _sources(environment) as here:
        python = here / "venv" / "bin" / "python"
        if not (here / "fetched").exists():
            _fetch(here, sys.executable, "-m", "venv", "venv")
            _fetch(here, str(python), "-m", "pip", "install", "--quiet", "-r", "requirements.txt")
            (here / "fetched").touch()
    return [str(python), str(CLIENTS / "python" / f"{name}_list.py")]


def more(name: str) -> list[str]:
    """One of the libraries of `clients/more`, all of which fit into one environment, and what it drives."""
    with _sources("more") as here:
        python = here / "venv" / "bin" / "python"
        if not (here / "fetched").exists():
            _fetch(here, sys.executable, "-m", "venv", "venv")
            _fetch(here, str(python), "-m", "pip", "install", "--quiet", "-r", "requirements.txt")
            (here / "fetched").touch()
    return [str(python), str(CLIENTS / "more" / "use.py"), name]


def js() -> list[str]:
    """The SDK for JavaScript v3 under Node."""
    _need("node", "npm")
    with _sources("js") as here:
        if not (here / "node_modules" / "@aws-sdk").exists():
            _fetch(here, "npm", "install", "--no-audit", "--no-fund", "--no-package-lock")
    return ["node", str(here / "list.mjs")]


def go() -> list[str]:
    """The SDK for Go v2."""
    _need("go")
    with _sources("go") as here:
        if not (here / "go.sum").exists():
            _fetch(here, "go", "mod", "tidy")
        _build(here, "go", "build", "-o", "list", ".")
    return [str(here / "list")]


def java() -> list[str]:
    """The SDK for Java v2."""
    _need("mvn", "javac")
    with _sources("java") as here:
        if not (here / "fetched").exists():
            _fetch(here, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib")
            (here / "fetched").touch()
        _build(here, "javac", "-cp", "lib/*", "ListBucket.java")
    return ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{here}/lib/*:{here}", "ListBucket"]


def rust() -> list[str]:
    """The SDK for Rust."""
    _need("cargo")
    with _sources("rust") as here:
        if not (here / "fetched").exists():
            _fetch(here, "cargo", "fetch", "--quiet")
            (here / "fetched").touch()
        _build(here, "cargo", "build", "--quiet", "--offline")
    return [str(here / "target" / "debug" / "assumed-interop")]


MORE = ["aiobotocore", "awscrt", "awswrangler", "daft", "lance", "minio", "mlflow", "pyiceberg", "s5cmd", "smart_open"]
LISTING: dict[str, Callable[[], list[str]]] = {
    "boto3": boto3,
    **{name: partial(other_python, name) for name in ("s3fs", "pyarrow", "polars", "deltalake")},
    **{name: partial(more, name) for name in MORE},
    "pyarrow21": partial(other_python, "pyarrow", "cpp"),
    "duckdb": partial(other_python, "duckdb", "cpp"),
    "js": js,
    "go": go,
    "java": java,
    "rust": rust,
}
"""Consumers whose client asks for the bucket until its input ends: COMMAND BUCKET SECONDS_BETWEEN."""
KNOW_NO_PROFILES = {"deltalake", "minio"}


def _need(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")


@contextlib.contextmanager
def _sources(language: str) -> Iterator[Path]:
    """The client's sources where it is built, which one process at a time does."""
    here = BUILT / language
    here.mkdir(parents=True, exist_ok=True)
    with (BUILT / f"{language}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for source in (CLIENTS / language).rglob("*"):
            copy = here / source.relative_to(CLIENTS / language)
            if source.is_file() and (not copy.exists() or copy.stat().st_mtime < source.stat().st_mtime):
                copy.parent.mkdir(exist_ok=True)
                shutil.copyfile(source, copy)
                (here / "fetched").unlink(missing_ok=True)
        yield here


def _run(here: Path, within: float, *command: str) -> subprocess.CompletedProcess[str]:
    """With the person's own home, not the test's: settings, toolchains and caches of package managers lie there."""
    home = pwd.getpwuid(os.getuid()).pw_dir
    environment = {**os.environ, "HOME": home}
    return subprocess.run(
        command, cwd=here, env=environment, capture_output=True, text=True, timeout=within, check=False
    )


def _fetch(here: Path, *command: str) -> None:
    done = _run(here, FETCH_SECONDS, *command)
    if done.returncode:
        why = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        pytest.skip(f"its packages cannot be fetched: {why[-1]}")


def _build(here: Path, *command: str) -> None:
    done = _run(here, BUILD_SECONDS, *command)
    assert done.returncode == 0, done.stderr
