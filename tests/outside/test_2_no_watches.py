"""Machines without inotify: renewals continue, the heartbeat notices edits, status explains the delay."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from outside.machine import arn, key_of, program
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

WITHIN = 60.0
"""Seconds for changes that the heartbeat (30 s) must find."""


def limited(name: str) -> list[str]:
    """A command prefix: a user namespace that allows none of these."""
    script = f'echo 0 >/proc/sys/user/{name} && exec "$@"'
    return [program("unshare"), "--user", "--map-root-user", program("sh"), "-c", script, "sh"]


def refused(error: str) -> list[str]:
    """A command prefix: the kernel gives this answer."""
    calls = "inotify_init,inotify_init1"
    return [program("strace"), "-D", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={calls}:error={error}", "-e", calls]


REFUSALS = {
    "no instance left": lambda: limited("max_inotify_instances"),
    "no watch left": lambda: limited("max_inotify_watches"),
    "no memory": lambda: refused("ENOMEM"),
    "no file left": lambda: refused("ENFILE"),
    "healthy": list,
}


def under(why: str) -> Sequence[str]:
    return REFUSALS[why]()


@pytest.mark.parametrize("why", REFUSALS)
def test_the_daemon_works_without_watches(why: str, aws_home: Home, sts: FakeSts) -> None:
    """It starts, renews and writes; control: with watches."""
    aws_home.configure(role("kept", arn("kept")))
    daemon = Daemon(aws_home, under=under(why), AWS_ENDPOINT_URL_STS=sts.url)
    try:
        daemon.start(answering=False)
        eventually(lambda: key_of(aws_home, "kept") or not daemon.is_running(), WITHIN)
        assert daemon.is_running()
        assert key_of(aws_home, "kept") == sts.calls[0].issued
        if why != "healthy":
            assert daemon.wait_until(lambda status: status["daemon"]["watch_error"], WITHIN)
        else:
            assert not daemon.status()["daemon"].get("watch_error")
    finally:
        daemon.stop()


@pytest.mark.slow
@pytest.mark.parametrize("why", [why for why in REFUSALS if why != "healthy"])
def test_an_edit_takes_effect_without_watches(why: str, aws_home: Home, sts: FakeSts) -> None:
    """By the heartbeat, within half a minute."""
    aws_home.configure(role("kept", arn("kept")))
    with Daemon(aws_home, under=under(why), AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        daemon.wait_until_fresh("kept", within=WITHIN)
        aws_home.configure(role("kept", arn("kept")), role("added", arn("added")))
        eventually(lambda: key_of(aws_home, "added"), WITHIN, saying="the edit takes effect")


@pytest.mark.parametrize("why", REFUSALS)
def test_once_needs_no_watch(why: str, aws_home: Home, sts: FakeSts) -> None:
    """A single run watches nothing."""
    aws_home.configure(role("kept", arn("kept")))
    done = aws_home.assumed("once", within=120, before=under(why), AWS_ENDPOINT_URL_STS=sts.url)
    assert done.returncode == 0, done.stderr
    assert key_of(aws_home, "kept") == sts.calls[0].issued
