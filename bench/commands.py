"""Commands as whole processes, from start to end, beside the least that a process costs and beside peers."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from functools import partial

from world.daemon import Daemon

from .kit import Bench, Figures, entry, milliseconds_of, names, program, say, sts, wait_for
from .peers import peers
from .rows import Row, Target

PYTHON = "python -I -S -c pass"
CLICK = "python -c 'import click, json, socket'"
CAT = "cat of the session"
HELPED = "helped"
"""The profile that a credential_process is written into."""
(PROFILE,) = names(1)
COMMANDS = {
    "exec": ["exec", PROFILE, "--", program("true") or "/bin/true"],
    "env": ["env", PROFILE],
    "refresh": ["refresh", PROFILE],
    "status": ["status"],
}
FIGURES = {"exec": "exec, to the end of `true`", "refresh": "refresh of one role, file included"}
TARGETS = {
    ("credential-process", PYTHON): Target(1.5),
    ("credential-process", "aws configure export-credentials"): Target(1 / 15, 1 / 100),
    ("exec", PYTHON): Target(75.0, of="ours"),
    ("refresh", PYTHON): Target(120.0, of="ours"),
    ("status", PYTHON): Target(100.0, 60.0, of="ours"),
}


def commands(bench: Bench) -> Iterator[Row]:
    """Each command that a person or an SDK waits for."""
    roles, runs = (10, 3) if bench.quick else (100, 21)
    with sts(latency_ms=0) as server, bench.daemons(server, roles) as daemons:
        ours: dict[str, dict[str, list[str]]] = {"credential-process": {}}
        for python, daemon in daemons.items():
            ours["credential-process"][python] = _helper(daemon, roles)
        for name, arguments in COMMANDS.items():
            ours[name] = {python: [python, "-m", "assumed", *arguments] for python in daemons}
        environments = {python: d.home.environment(AWS_ENDPOINT_URL_STS=server.url) for python, d in daemons.items()}
        floors = _floors(daemons[sys.executable])
        for name, argv in ours.items():
            say(name)
            beside = (PYTHON, CAT if name == "credential-process" else CLICK)
            with peers(name, server) as (found, skipped):
                taken = bench.take(
                    runs, partial(_ran, argv, environments), {floor: floors[floor] for floor in beside} | found
                )
            for other in (*taken.theirs, *skipped):
                note = f"skipped: {skipped[other]}" if other in skipped else ""
                figure, target = FIGURES.get(name, name), TARGETS.get((name, other))
                yield taken.row(figure, "ms", "ms", other, target=target, note=note)


def _helper(daemon: Daemon, roles: int) -> list[str]:
    """The command that `deliver = "process"` writes into a profile."""
    home = daemon.home
    home.configure(*map(entry, names(roles)), entry(HELPED, deliver="process"))
    wait_for(lambda: "credential_process" in (home.profile(HELPED) or {}), within=60, every=0.05)
    return shlex.split((home.profile(HELPED) or {})["credential_process"])


def _floors(daemon: Daemon) -> dict[str, partial[float]]:
    session = daemon.home.state / "sessions" / f"{PROFILE}.json"
    floors = {
        PYTHON: [sys.executable, "-I", "-S", "-c", "pass"],
        CLICK: [sys.executable, "-c", "import click, json, socket"],
        CAT: [program("cat") or "/bin/cat", str(session)],
    }
    return {name: partial(milliseconds_of, argv, os.environ) for name, argv in floors.items()}


def _ran(argv: Mapping[str, list[str]], environments: Mapping[str, Mapping[str, str]], python: str) -> Figures:
    return {"ms": milliseconds_of(argv[python], environments[python])}
