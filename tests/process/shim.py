"""A preloaded library that offsets the wall clock and the boot clock; waits are unaffected."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Seconds to add to the wall clock and to the clock since boot, read anew each time from $CLOCK_OFFSET_FILE. */
static void offsets(long *wall, long *boot) {
  char text[64];
  const char *name = getenv("CLOCK_OFFSET_FILE");
  int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
  *wall = *boot = 0;
  if (file < 0) return;
  ssize_t size = read(file, text, sizeof text - 1);
  close(file);
  if (size <= 0) return;
  text[size] = 0;
  sscanf(text, "%ld %ld", wall, boot);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, now);
  int is_wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
  if (result == 0 && (is_wall || clock == CLOCK_BOOTTIME)) {
    long wall, boot;
    offsets(&wall, &boot);
    now->tv_sec += is_wall ? wall : boot;
  }
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


def compiled(directory: Path) -> Path:
    """The shared library. Skips the test if it cannot be compiled or preloaded."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs a C compiler and LD_PRELOAD")
    source, library = directory / "clock.c", directory / "clock.so"
    source.write_text(SOURCE)
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return library


@dataclass
class Clocks:
    """The clocks of processes that get `environment`; can be moved while they run."""

    library: Path
    file: Path
    wall: int = 0
    boot: int = 0

    def __post_init__(self) -> None:
        self.move()

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.library), "CLOCK_OFFSET_FILE": str(self.file)}

    def move(self, wall: int = 0, boot: int = 0) -> None:
        """Both clocks jump by this many seconds at once."""
        self.wall += wall
        self.boot += boot
        new = self.file.with_name(f"{self.file.name}.new")
        new.write_text(f"{self.wall} {self.boot}")
        new.replace(self.file)
