"""The heap stays small: measured by what the kernel has mapped, in a process of its own."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these two knobs")

THREADS = """
import sys, threading
from assumed.runtime.heap import keep_small
if sys.argv[1] == "small": keep_small()
barrier, kept = threading.Barrier(5), []
def work():
    kept.append(bytearray(10_000))
    barrier.wait()
for _ in range(4): threading.Thread(target=work).start()
barrier.wait()
spans = [line.split()[0].split("-") for line in open("/proc/self/maps") if " ---p " in line and line.split()[4] == "0"]
print(sum(int(end, 16) - int(begin, 16) > 32 << 20 for begin, end in spans))
"""
"""Prints how many heaps beside the main one glibc has set aside: 64 MB of addresses each, most of them closed."""


@pytest.mark.parametrize(("how", "more"), [("small", False), ("as it is", True)])
def test_threads_share_one_heap(how: str, more: bool) -> None:
    done = subprocess.run([sys.executable, "-c", THREADS, how], capture_output=True, text=True, timeout=120, check=True)
    assert (int(done.stdout) > 0) is more
