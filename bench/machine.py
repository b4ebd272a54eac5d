"""What figures were taken on."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path


def machine() -> dict[str, object]:
    """When, and on what machine. Linux alone says what its processor is."""
    info = Path("/proc/cpuinfo")
    cpu = info.read_text().partition("model name")[2].partition("\n")[0].lstrip("\t :") if info.exists() else ""
    return {
        "taken": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "kernel": platform.release(),
        "cpu": cpu or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }
