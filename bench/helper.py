"""`credential-process` as a whole process: an SDK waits for it, some SDKs at every request."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from assumed.credentials.process_command import credential_process_argv
from assumed.names import safe_name

from .kit import daemon_of, interleaved, names, output_of, program, say, seconds_of, sts
from .rows import Row, Target

FIGURE = "credential-process"


def rows(quick: bool) -> Iterator[Row]:
    """The command that `deliver = "process"` writes into a profile, beside what a process costs anyway."""
    runs = 7 if quick else 61
    profile = names(1)[0]
    with sts(latency_ms=0) as server, daemon_of(server, 1) as daemon:
        say(FIGURE)
        argv = credential_process_argv(daemon.home.state, profile)
        document = daemon.home.state / "sessions" / f"{safe_name(profile)}.json"
        environment = daemon.home.environment()
        beside = {
            f"{os.path.basename(sys.executable)} -I -c pass": [sys.executable, "-I", "-c", "pass"],  # noqa: PTH119
            "cat of the session": [program("cat") or "/bin/cat", str(document)],
        }
        commands = [argv, *beside.values()]
        ours, python, cat = interleaved(runs, *(lambda c=c: seconds_of(c, environment) * 1000 for c in commands))
        bare, plain = beside
        yield Row("helper", FIGURE, "ms", ours, bare, python, Target(1.5), runs)
        yield Row("helper", FIGURE, "ms", ours, plain, cat, None, runs)
        aws = _aws_cli_2()
        theirs = None
        if aws is not None:
            exported = [aws, "configure", "export-credentials", "--profile", profile, "--format", "process"]
            (theirs,) = interleaved(3 if quick else 7, lambda: seconds_of(exported, environment) * 1000)
        cli, note = "AWS CLI 2 configure export-credentials", "" if aws else "no AWS CLI 2 was found on PATH: skipped"
        yield Row("helper", FIGURE, "ms", ours, cli, theirs, Target(1 / 15, 1 / 100), runs, note)


def _aws_cli_2() -> str | None:
    """The first `aws` on PATH that is of version 2: version 1 cannot export."""
    for directory in os.get_exec_path():
        path = os.path.join(directory, "aws")
        if os.access(path, os.X_OK) and output_of([path, "--version"], os.environ).startswith("aws-cli/2."):
            return path
    return None
