"""Commands that cannot be killed (sudo): their time limit holds, and nothing waits for them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator

import pytest

from outside.machine import alive, arn, key_of, needs_root, program
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

WITHIN = 30.0
"""Seconds; less than the time limit of a test."""

STUCK = {
    "it sleeps": "exec sleep 1000",
    "it waits for a child": "sleep 1000 & wait",
    "it prints without end": "while :; do echo x; sleep 0.1; done",
}
HEALTHY = {"it ends": "exit 0", "it fails": "exit 3"}


@pytest.fixture
def unkillable() -> list[str]:
    """A daemon that may become another user but may not kill one, like sudo."""
    needs_root()
    return [program("setpriv"), "--bounding-set", "-kill", "--inh-caps", "-kill"]


def as_another(home: Home, command: str, name: str) -> str:
    """A script that records its process and continues as another user."""
    pids = home.path / "pids"
    pids.mkdir(exist_ok=True)
    home.path.chmod(0o755)
    script = home.path / name
    inner = f"exec {program('setpriv')} --reuid 65534 --clear-groups {program('sh')} -c '{command}'"
    script.write_text(f"#!/bin/sh\n: > {pids}/$$\n{inner}\n")
    script.chmod(0o755)
    return str(script)


@pytest.fixture(autouse=True)
def no_process_is_left(aws_home: Home) -> Iterator[None]:
    """Ends every process that a script has started."""
    yield
    for file in (aws_home.path / "pids").glob("*"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(file.name), signal.SIGKILL)


def hooks(script: str) -> str:
    return f'[hooks]\nafter_renewal = ["{script}"]\ntimeout_seconds = 1\n'


DEFAULTS = '[defaults]\nsource_profile = "default"\nregion = "us-west-2"\n'


def started(home: Home) -> list[int]:
    """The processes of the script so far."""
    return [int(file.name) for file in (home.path / "pids").glob("*")]


@pytest.mark.parametrize("command", [*STUCK.values(), *HEALTHY.values()], ids=[*STUCK, *HEALTHY])
def test_the_next_hook_runs_after_one_that_cannot_be_killed(
    command: str, aws_home: Home, sts: FakeSts, unkillable: list[str]
) -> None:
    """Two roles, so two commands in a row; control: commands that end by themselves."""
    script = as_another(aws_home, command, "hook")
    aws_home.configure(role("a", arn("a")), role("b", arn("b")), defaults=hooks(script) + DEFAULTS)
    with Daemon(aws_home, under=unkillable, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        daemon.wait_until_fresh("a", "b")
        with contextlib.suppress(AssertionError):
            eventually(lambda: len(started(aws_home)) >= 2, WITHIN)
        assert len(started(aws_home)) >= 2, "the second command waits for the first"
        if command in {
            STUCK["it sleeps"],
            STUCK["it waits for a child"],
        }:  # one that prints would die of its closed stdout
            eventually(lambda: daemon.events("hook.failed"), WITHIN)
            running = [pid for pid in started(aws_home) if alive(pid)]
            messages = " ".join(event["message"] for event in daemon.events("hook.failed"))
            assert not running or any(str(pid) in messages for pid in running), "the log names the process"


@pytest.mark.slow
@pytest.mark.parametrize("command", [*STUCK.values(), *HEALTHY.values()], ids=[*STUCK, *HEALTHY])
def test_the_daemon_stops_beside_a_hook_that_cannot_be_killed(
    command: str, aws_home: Home, sts: FakeSts, unkillable: list[str]
) -> None:
    """SIGTERM while the command runs."""
    script = as_another(aws_home, command, "hook")
    aws_home.configure(role("a", arn("a")), defaults=hooks(script) + DEFAULTS)
    with Daemon(aws_home, under=unkillable, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        eventually(lambda: started(aws_home), WITHIN)
        assert daemon.stop() == 0


def helper(home: Home, command: str, keys: tuple[str, str]) -> str:
    """A credential_process that hangs at its first call and answers at the second."""
    stuck = as_another(home, command, "stuck")
    answer = json.dumps({"Version": 1, "AccessKeyId": keys[0], "SecretAccessKey": keys[1]})
    script = home.path / "helper"
    flag = home.path / "called"
    script.write_text(f"#!/bin/sh\nif [ ! -e {flag} ]; then : > {flag}; exec {stuck}; fi\necho '{answer}'\n")
    script.chmod(0o755)
    return str(script)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("command", [*STUCK.values(), *HEALTHY.values()], ids=[*STUCK, *HEALTHY])
def test_a_source_recovers_from_a_helper_that_cannot_be_killed(
    command: str, aws_home: Home, sts: FakeSts, unkillable: list[str]
) -> None:
    """The helper runs again after its deadline; the other source's role is not affected."""
    script = helper(aws_home, command, (sts.source.access_key_id, sts.source.secret_access_key))
    aws_home.aws_config.write_text(f"[profile helped]\ncredential_process = {script}\n")
    aws_home.configure(role("a", arn("a"), source_profile="helped"), role("b", arn("b")))
    with Daemon(aws_home, under=unkillable, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        daemon.wait_until_fresh("b")
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline and not key_of(aws_home, "a"):
            daemon.ask("refresh", profiles=["a"])
            time.sleep(1)
        assert key_of(aws_home, "a"), "the source is asked again"
        if command in STUCK.values():
            eventually(lambda: daemon.events("helper.stuck"), WITHIN)
