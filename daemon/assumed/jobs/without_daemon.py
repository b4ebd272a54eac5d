"""The process that `credential-process` starts where no daemon answers: checks one profile, and renews it if due."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from assumed import logs
from assumed.aws.source_failures import HELPER_TIMEOUT
from assumed.aws.variables import ENDPOINT_VARIABLES
from assumed.config import Config, find, host_facts, load, read
from assumed.engine.schedule import retry_delay
from assumed.errors import AssumedError, ConfigError, RenewalFailed
from assumed.files import write_atomic
from assumed.model import FailureKind
from assumed.paths import safe_name
from assumed.privacy import close_off
from assumed.redact import printable
from assumed.runtime.start import take_shell_variables
from assumed.store import Stamp, Store, stamp_of

from .provider import Alone


def main(arguments: list[str]) -> int:
    """`python -I -m assumed.jobs.without_daemon renew STATE PROFILE CONFIG`: for `credential-process`, which holds the
    lock of the profile. CONFIG is the file that the stored session was checked against; empty: the daemon's. `check` in
    the place of `renew` asks STS for nothing.

    Exit status 0: the stored session is one that the configuration asks for now. What stands in the way is one line on
    stderr. It stays in a file for as long as STS is not to be asked again: SDKs run their process for every request
    that they sign.
    """
    close_off()
    what, directory, profile = arguments[0], Path(arguments[1]), arguments[2]
    inherited = take_shell_variables(os.environ)
    note = directory / "sessions" / f"{safe_name(profile)}.failure"
    problem = ""
    try:
        place = Store(directory).place()
        _as_at(place)
        named = arguments[3] or place.get("config")
        config, checked = _configuration(Path(named) if named else None, directory)
        logs.configure("error", config.log_format, sys.stderr)
        with contextlib.closing(Alone(config, profile, directory, inherited, checked=checked, locked=True)) as alone:
            held = held_failure(note, alone.asked())
            if (held or what == "check") and alone.is_stored_session_current():
                return 0
            if what == "check":
                problem = f"the session of {profile} is not what the configuration says now"
            elif held:
                problem = held
            else:
                _refuse_what_waits(note.with_suffix(".held"), alone)
                try:
                    alone.renew_what_is_due()
                finally:
                    _note(note, alone.asked(), alone.failure())
                    _hold(note.with_suffix(".held"), alone)
    except RenewalFailed as failure:
        problem = f"{failure}; {failure.advice}"
    except (AssumedError, OSError) as error:
        problem = str(error)
    if problem:
        sys.stderr.write(f"assumed: {printable(problem)}\n")
    return 1 if problem else 0


def _configuration(named: Path | None, directory: Path) -> tuple[Config, Stamp | None]:
    """The configuration to hand out by, and the version of its file: the last good one of this state directory where
    the file is bad, or cannot be seen from here (a container that mounts `~/.aws` alone). Raises ConfigError."""
    last_good = Store(directory).last_good
    path = find(named, os.environ) if named is not None or not last_good.exists() else last_good
    checked = stamp_of(path)
    try:
        return load(read(path), path, os.environ, host=host_facts()), checked
    except ConfigError:
        if not last_good.exists():
            raise
        return load(read(last_good), path, os.environ, host=host_facts()), checked


def held_failure(note: Path, asked: str) -> str:
    """What this very request has failed with, as long as it is not to be tried again; empty otherwise."""
    try:
        until, _, failed, message = note.read_text().split("\n", 3)
        is_held = failed == asked and time.time() < float(until) <= time.time() + 2 * 3600
        return message.strip() if is_held else ""
    except (OSError, ValueError):
        return ""


def _note(note: Path, asked: str, failure: RenewalFailed | None) -> None:
    """Leave word for those who ask next."""
    if failure is None:
        note.unlink(missing_ok=True)
        return
    count = _failures_in_a_row(note, asked) + 1
    until = time.time() + retry_delay(failure.kind, count, 0.0)
    write_atomic(note, f"{until}\n{count}\n{asked}\n{failure}; {failure.advice}\n".encode(), durable=False)


def _hold(held: Path, alone: Alone) -> None:
    """A helper that waits for a person is not started by the next request of an SDK, either."""
    failure = alone.failure()
    if failure is not None and failure.code == HELPER_TIMEOUT:
        lines = [alone.source_print(), failure.message, failure.advice]
        write_atomic(held, "\n".join(lines).encode(), durable=False)
    elif failure is None:
        held.unlink(missing_ok=True)


def _refuse_what_waits(held: Path, alone: Alone) -> None:
    """Raises RenewalFailed while nothing that the source depends on has changed since, and nobody has renewed it."""
    try:
        printed, message, advice = held.read_text().split("\n")
        session = held.with_suffix(".json")
        is_over = session.exists() and session.stat().st_mtime > held.stat().st_mtime
    except (OSError, ValueError):
        return
    if printed == alone.source_print() and not is_over:
        raise RenewalFailed(FailureKind.NEEDS_LOGIN, HELPER_TIMEOUT, message, advice)


def _failures_in_a_row(note: Path, asked: str) -> int:
    try:
        _, count, failed = note.read_text().split("\n")[:3]
        return int(count) if failed == asked else 0
    except (OSError, ValueError, IndexError):
        return 0


def _as_at(place: Mapping[str, str]) -> None:
    """See the AWS files and the endpoint that the daemon saw, wherever the consumer's environment points to."""
    for variable, name in (("AWS_SHARED_CREDENTIALS_FILE", "credentials_file"), ("AWS_CONFIG_FILE", "aws_config")):
        if name in place:
            os.environ[variable] = place[name]
    for variable in ENDPOINT_VARIABLES:
        if variable not in place:
            continue  # an earlier version did not record it
        os.environ.pop(variable, None)
        if place[variable]:
            os.environ[variable] = place[variable]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
