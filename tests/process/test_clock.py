"""The wall clock jumps in the running process, by a shim around clock_gettime; monotonic clocks and waits go on."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from process.kit import arn, key_of, rounds
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Seconds to add to the wall clock, read anew each time from the file that $CLOCK_OFFSET_FILE names. */
static long offset(void) {
  char text[32];
  const char *name = getenv("CLOCK_OFFSET_FILE");
  int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return 0;
  ssize_t size = read(file, text, sizeof text - 1);
  close(file);
  if (size <= 0) return 0;
  text[size] = 0;
  return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, now);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += offset();
  return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec exact;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &exact);
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *into) {
  struct timespec exact;
  clock_gettime(CLOCK_REALTIME, &exact);
  if (into) *into = exact.tv_sec;
  return exact.tv_sec;
}
"""

HOURS = 8 * 3600


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared library that is preloaded."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs a C compiler and LD_PRELOAD")
    directory = tmp_path_factory.mktemp("shim")
    source, library = directory / "clock.c", directory / "clock.so"
    source.write_text(SHIM)
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return library


@pytest.fixture
def offset(aws_home: Home) -> Path:
    """The file with the seconds by which the daemon's wall clock is off."""
    file = aws_home.path / "offset"
    file.write_text("0")
    return file


def jump(offset: Path, sts: FakeSts, seconds: int) -> None:
    """The daemon's clock and AWS's jump together: the machine was asleep (or its clock had been wrong before)."""
    sts.rule("*", session_seconds=6, clock_offset=float(seconds))
    new = offset.with_name("offset.new")
    new.write_text(str(seconds))
    new.replace(offset)


@pytest.mark.parametrize("seconds", [HOURS, -HOURS], ids=["forward", "backward"])
def test_a_jump_of_the_wall_clock_stops_nothing(
    seconds: int, shim: Path, offset: Path, sts: FakeSts, aws_home: Home
) -> None:
    """Eight hours in either direction: every role is tried again within a beat, and renewed on time ever after."""
    sts.rule("*", session_seconds=6)
    names = ("a", "b")
    aws_home.configure(*(role(name, arn(name)) for name in names))
    environment = {"LD_PRELOAD": str(shim), "CLOCK_OFFSET_FILE": str(offset), "AWS_ENDPOINT_URL_STS": sts.url}
    with Daemon(aws_home, **environment) as daemon:
        daemon.wait_until_fresh(*names)
        jump(offset, sts, seconds)
        before = {name: rounds(daemon, name) for name in names}
        daemon.signal(signal.SIGHUP)  # wakes the loop, as the next heartbeat would
        eventually(lambda: daemon.events("clock.jumped"), 4)
        assert abs(daemon.events("clock.jumped")[0]["stepped_seconds"] - seconds) <= 2
        eventually(lambda: all(rounds(daemon, name) >= before[name] + 3 for name in names), 16)
        daemon.wait_until_fresh(*names)
        now = time.time() + seconds
        for name in names:
            assert (sts.key(key_of(aws_home, name)).expiration or 0) > now, "nothing expired is served"


def test_a_clock_that_is_wrong_alone_is_told_and_costs_no_session(
    shim: Path, offset: Path, sts: FakeSts, aws_home: Home
) -> None:
    """The local clock alone is eight hours ahead: STS refuses the signature; the good session stays; set right, it
    goes on."""
    sts.rule("*", session_seconds=30)
    aws_home.configure(role("a", arn("a")))
    environment = {"LD_PRELOAD": str(shim), "CLOCK_OFFSET_FILE": str(offset), "AWS_ENDPOINT_URL_STS": sts.url}
    with Daemon(aws_home, **environment) as daemon:
        daemon.wait_until_fresh("a")
        key = key_of(aws_home, "a")
        offset.write_text(str(HOURS))
        daemon.signal(signal.SIGHUP)
        daemon.wait_until(lambda status: status["roles"][0]["last_error"], within=6)
        assert "clock" in daemon.role("a")["last_error"]["advice"]
        assert key_of(aws_home, "a") == key
        offset.write_text("0")
        daemon.signal(signal.SIGHUP)
        eventually(lambda: key_of(aws_home, "a") not in ("", key) or daemon.role("a")["state"] == "fresh", 8)
        daemon.wait_until_fresh("a")


@pytest.mark.slow
def test_the_heartbeat_alone_notices_a_backward_jump(shim: Path, offset: Path, sts: FakeSts, aws_home: Home) -> None:
    """Nothing else wakes the daemon: the next renewal seems eight hours away until the beat, at most 30 s later."""
    sts.rule("*", session_seconds=20)
    aws_home.configure(role("a", arn("a")))
    environment = {"LD_PRELOAD": str(shim), "CLOCK_OFFSET_FILE": str(offset), "AWS_ENDPOINT_URL_STS": sts.url}
    with Daemon(aws_home, **environment) as daemon:
        daemon.wait_until_fresh("a")
        jump(offset, sts, -HOURS)
        began = time.monotonic()
        eventually(lambda: rounds(daemon, "a") >= 2, 40)
        assert time.monotonic() - began < 32
