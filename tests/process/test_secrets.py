"""Canaries: every secret that the fake STS knows or issues is searched for wherever it must not be."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from process.kit import arn, rounds
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

FAULTS: dict[str, dict[str, Any]] = {
    "none": {},
    "denied": {"error": "AccessDenied"},
    "reset": {"fault": "reset"},
    "half": {"fault": "half"},
    "garbage": {"fault": "garbage"},
    "throttled": {"error": "Throttling"},
    "clock": {"clock_offset": 3600.0},
    "too-long": {"max_session_duration": 3600},
    "expired": {"session_seconds": -5},
}
QUICK = {"denied", "half"}


def found(text: str, secrets: set[str]) -> list[str]:
    """The secrets contained in a text, in whole or in part."""
    return [secret for secret in secrets if secret in text or secret[:20] in text or secret[-20:] in text]


def files(home: Home) -> Iterator[Path]:
    return (path for path in home.path.rglob("*") if not path.is_dir() and not path.is_socket())


# Each starts a real daemon, so those that tests/canary also covers run only in the proof.
CASES = [pytest.param(name, id=name, marks=() if name in QUICK else pytest.mark.slow) for name in FAULTS]


@pytest.mark.parametrize("fault", CASES)
def test_no_secret_appears_anywhere_whatever_fails(fault: str, sts: FakeSts, aws_home: Home) -> None:
    """Log at debug, status, check, argv and environment of the running process, error messages."""
    aws_home.configure(role("good", arn("good")), role("bad", arn("bad"), duration_seconds=7200))
    sts.rule(arn("bad"), **FAULTS[fault])
    environment = {"AWS_ENDPOINT_URL_STS": sts.url, "ASSUMED_LOG_LEVEL": "debug", "PYTHONUNBUFFERED": "1"}
    with Daemon(aws_home, **environment) as daemon:
        daemon.wait_until_fresh("good")
        eventually(lambda: any(call.outcome for call in sts.calls_for(arn("bad"))), 5)
        if fault not in ("none", "too-long"):
            daemon.wait_until(lambda status: status["roles"][1]["last_error"])
        process = Path(f"/proc/{daemon.pid}")
        said = {"status": str(daemon.status())}
        if process.exists():
            said["argv"] = (process / "cmdline").read_text()
            with contextlib.suppress(PermissionError):  # only root may read it
                said["environ"] = (process / "environ").read_text()
        for command in ("status", "status --json", "check", "refresh"):
            done = aws_home.assumed(*command.split(), **environment)
            said[f"assumed {command}"] = done.stdout + done.stderr
        eventually(lambda: rounds(daemon, "good") >= 2, 6)
    said |= {"stdout": daemon.stdout, "stderr": daemon.stderr}
    secrets = sts.secrets()
    assert len(secrets) >= 5
    assert {where: found(text, secrets) for where, text in said.items() if found(text, secrets)} == {}


def test_inherited_secrets_appear_in_no_log_status_or_helper_environment(sts: FakeSts, aws_home: Home) -> None:
    """A shell's own keys that the daemon inherits."""
    dump = aws_home.path / "environ-of-helper"
    script = aws_home.path / "helper.sh"
    script.write_text(f"#!/bin/sh\nenv > {dump}\nexit 1\n")
    script.chmod(0o700)
    aws_home.aws_config.write_text(f"[profile helped]\ncredential_process = {script}\n")
    aws_home.configure(role("a", arn("a"), source_profile="helped"))
    secret = "inherited-canary-0123456789-abcdefghij"
    inherited = {"AWS_ACCESS_KEY_ID": "AKIAINHERITED000", "AWS_SECRET_ACCESS_KEY": secret}
    with Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url, ASSUMED_LOG_LEVEL="debug", **inherited) as daemon:
        daemon.wait_until(lambda status: status["roles"][0]["last_error"])
        said = str(daemon.status())
    assert not found(said + daemon.stderr + daemon.stdout, {secret})
    assert not found(dump.read_text(), {secret})


def test_a_secret_in_a_helpers_error_is_not_quoted(sts: FakeSts, aws_home: Home) -> None:
    """A credential_process writes a token to stderr and fails: botocore quotes it, we do not."""
    secret = "fwoGZXIvYXdzEBYaDFakeTokenOfAHelperThatTalksTooMuch" * 3
    script = aws_home.path / "helper.sh"
    script.write_text(f"#!/bin/sh\necho 'cannot use {secret}' >&2\nexit 1\n")
    script.chmod(0o700)
    aws_home.aws_config.write_text(f"[profile talks]\ncredential_process = {script}\n")
    aws_home.configure(role("a", arn("a"), source_profile="talks"))
    with Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url, ASSUMED_LOG_LEVEL="debug") as daemon:
        status = daemon.wait_until(lambda status: status["roles"][0]["last_error"])
        shown = aws_home.assumed("status", AWS_ENDPOINT_URL_STS=sts.url)
    assert not found(str(status) + daemon.stderr + shown.stdout + shown.stderr, {secret})


def test_no_file_is_ever_wider_than_0600(sts: FakeSts, aws_home: Home) -> None:
    """Started with umask 000 in an empty home and watched all the time."""
    aws_home.configure(role("a", arn("a")), role("b", arn("b"), deliver="process"))
    theirs = set(files(aws_home))
    wide: set[str] = set()

    def look() -> None:
        for path in [*files(aws_home), aws_home.state, aws_home.state / "sessions", aws_home.state / "control.sock"]:
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:
                continue
            allowed = 0o700 if stat.S_ISDIR(mode) else 0o600
            ours = path not in theirs and path.name not in ("daemon.stdout", "daemon.stderr")
            if ours and not stat.S_ISLNK(mode) and stat.S_IMODE(mode) & ~allowed:
                wide.add(f"{path} {stat.S_IMODE(mode):o}")

    daemon = Daemon(aws_home, under=["/bin/sh", "-c", 'umask 000; exec "$@"', "sh"], AWS_ENDPOINT_URL_STS=sts.url)
    daemon.start(answering=False)
    try:

        def renewed() -> bool:
            look()
            return rounds(daemon, "a") >= 3

        eventually(renewed, 60, every=0.005)
    finally:
        daemon.stop()
    assert wide == set()
    assert os.access(aws_home.state / "sessions" / "a.json", os.R_OK)
