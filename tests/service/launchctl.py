#!/usr/bin/env python3
"""A launchctl for systems without one: it keeps one agent, starts and ends its real process, and notes its arguments.

State lies in $LAUNCHD: `calls`, `agent` (the path of the loaded one), `pid`, `busy` (bootstraps to refuse, as launchd
does for seconds after a bootout).
"""

from __future__ import annotations

import contextlib
import os
import plistlib
import signal
import subprocess
import sys
import time
from pathlib import Path

STATE = Path(os.environ["LAUNCHD"])
AGENT, PID, BUSY, RUNS = STATE / "agent", STATE / "pid", STATE / "busy", STATE / "runs"


def start() -> None:
    agent = plistlib.loads(Path(AGENT.read_text()).read_bytes())
    environ = {"HOME": os.environ["HOME"], **agent.get("EnvironmentVariables", {})}
    null = subprocess.DEVNULL
    process = subprocess.Popen(
        agent["ProgramArguments"],
        env=environ,
        cwd="/",
        umask=agent["Umask"],
        start_new_session=True,
        stdin=null,
        stdout=null,
        stderr=null,
    )
    PID.write_text(str(process.pid))
    RUNS.write_text(str(int(RUNS.read_text()) + 1 if RUNS.exists() else 1))


def end() -> None:
    pid = int(PID.read_text())
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    while alive(pid):
        time.sleep(0.02)
    PID.unlink()


def alive(pid: int) -> bool:
    """Whether it runs: one whose parent has gone is reaped by another process, or a zombie for a while."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def main(arguments: list[str]) -> int:
    with (STATE / "calls").open("a") as calls:
        calls.write(" ".join(arguments) + "\n")
    target = f"gui/{os.getuid()}"
    match arguments:
        case ["bootstrap", domain, path] if domain == target:
            if (STATE / "no-session").exists():
                print("Bootstrap failed: 125: Domain does not support specified action", file=sys.stderr)
                return 125
            if AGENT.exists() or (BUSY.exists() and int(BUSY.read_text()) > 0):
                if BUSY.exists():
                    BUSY.write_text(str(int(BUSY.read_text()) - 1))
                print("Bootstrap failed: 5: Input/output error", file=sys.stderr)
                return 5
            AGENT.write_text(path)
            start()
        case ["bootout", name] if name == f"{target}/assumed" and AGENT.exists():
            end()
            AGENT.unlink()
        case ["kickstart", "-k", name] if name == f"{target}/assumed" and AGENT.exists():
            end()
            start()
        case ["enable", name] if name == f"{target}/assumed":
            pass
        case ["print", name] if name == f"{target}/assumed" and AGENT.exists():
            pid = int(PID.read_text())
            state = f"\tstate = running\n\n\tpid = {pid}\n" if alive(pid) else "\tstate = not running\n"
            print(
                f"{name} = {{\n\tactive count = 1\n\tpath = {AGENT.read_text()}\n{state}\truns = {RUNS.read_text()}\n}}"
            )
        case _:
            print(f"Could not find service: {arguments}", file=sys.stderr)
            return 113
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
