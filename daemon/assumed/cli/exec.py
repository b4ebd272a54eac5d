"""What `assumed exec` does, without click: a command with a credentials endpoint of its own."""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from assumed.errors import ConfigError, NotKept

from .terminal import nearest, say, show_line

if TYPE_CHECKING:
    from assumed.jobs.provider import SessionProvider
    from assumed.model import Session

PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT)
"""Signals that the caller means for the command."""
FROM_THE_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
"""The terminal sends these to the command, too."""
HIGH = 200
"""The lowest number for a descriptor that the command inherits: shells use those from 10 on."""
ENDING, NAMED = 0.1, 5
"""Seconds for processes that end together with the command, and how many of those that do not are named."""
FIRST = 60.0
"""Seconds for the first session: a source that asks a password manager takes a while."""
NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit statuses, as a shell's."""


def execute(config_path: Path | None, profile: str, command: Sequence[str]) -> int:
    """Run a command with the role of a profile; returns its exit status. Raises AssumedError."""
    from assumed.jobs.consumer import environment
    from assumed.jobs.endpoint import Endpoint
    from assumed.jobs.provider import path_of
    from assumed.runtime.start import KEY_LOG

    if command[0].startswith("-") and command[0] != "--":
        right = f"assumed exec {command[0]} … {profile} -- COMMAND"
        raise ConfigError([f"{command[0]} comes after the profile; options come first: {right}"])
    if command[0] == "--":
        command = command[1:]
    if not command:
        raise ConfigError(["a command is missing after --; for a shell: assumed exec PROFILE -- bash"])
    own = {name: os.environ[name] for name in (KEY_LOG,) if name in os.environ}
    private = tempfile.TemporaryDirectory(prefix="assumed-", ignore_cleanup_errors=True)
    with supply_of(config_path, [profile]) as supply, private as name:
        directory = Path(name)
        first_session(supply, profile)
        supply.start()
        write_private(directory / "credentials", "")
        write_private(directory / "config", supply.settings_of(profile))
        token = secrets.token_urlsafe(32)
        write_private(directory / "token", token)
        with closing(Endpoint(token, supply.answer)) as endpoint:
            endpoint.start()
            inner = environment(
                {**os.environ, **own},
                url=endpoint.url(path_of(profile)),
                token=token,
                token_file=str(directory / "token"),
                region=supply.region_of(profile),
                config_file=str(directory / "config"),
                credentials_file=str(directory / "credentials"),
            )
            with out_of_the_way(endpoint.fileno()) as port:
                status = run(command, inner, port)
            name_what_runs_on(str(directory / "token"))
            return status


@contextmanager
def out_of_the_way(fd: int) -> Iterator[int]:
    """A copy of a descriptor under a number that no script uses for its own."""
    try:
        copy = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, HIGH)
    except OSError:  # beyond the limit of this process
        copy = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    try:
        yield copy
    finally:
        os.close(copy)


def name_what_runs_on(token_file: str) -> None:
    """One line about processes of the command that outlive it, for their endpoint does not."""
    from assumed.jobs.consumer import carrying

    def found() -> list[tuple[int, str]]:
        return carrying("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token_file)

    if not found():
        return
    time.sleep(ENDING)
    processes = [f"{command} (pid {number})" for number, command in found()]
    if processes:
        others = f" and {len(processes) - NAMED} others" if len(processes) > NAMED else ""
        with suppress(OSError):
            say(
                f"still running without credentials: {', '.join(processes[:NAMED])}{others}; the endpoint of exec ends"
                ' with its command. For jobs that outlive it use deliver = "process", or `assumed serve`'
            )


def run(command: Sequence[str], environ: Mapping[str, str], port: int) -> int:
    """Run a command in the foreground and return its exit status, 128 + n where signal n has ended it.

    It inherits `port`, the listening socket: should we be killed, no other account can bind the port and hand its own
    credentials out. Connections then wait for an answer until they time out.
    """
    from assumed.runtime.signals import heeded, relay

    child: subprocess.Popen[bytes] | None = None
    starting = Lock()

    def pass_on(number: int) -> None:
        with starting:  # what comes before there is a command is for the command, too
            if child is not None:
                child.send_signal(number)

    if not heeded([signal.SIGCHLD]):  # the kernel would drop the command's exit status
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    starting.acquire()
    restore = relay(heeded(PASSED_ON), pass_on)
    # Not SIG_IGN: the command would inherit that, and could not be interrupted.
    before = {number: signal.signal(number, lambda *_: None) for number in heeded(FROM_THE_TERMINAL)}
    try:
        try:
            child = subprocess.Popen(command, env=environ, pass_fds=[port])
        finally:
            starting.release()
        status = child.wait()
    except FileNotFoundError:
        say(f"{command[0]}: no such command")
        return NOT_FOUND
    except OSError as error:
        say(f"{command[0]}: {error.strerror}")
        return NOT_EXECUTABLE
    finally:
        restore()
        for number, handler in before.items():
            signal.signal(number, handler)
    return 128 - status if status < 0 else status


@contextmanager
def supply_of(config_path: Path | None, profiles: Sequence[str]) -> Iterator[SessionProvider]:
    """A supply of these profiles. Raises ConfigError for one that is not managed, with the nearest that is."""
    from assumed.jobs.provider import session_provider

    def note(profile: str, problem: str) -> None:
        """The session in use goes on; a person may look into it meanwhile."""
        say(f"{profile}: {problem}" if problem else f"{profile}: renewed again")

    try:
        with session_provider(config_path, profiles, note) as supply:
            yield supply
    except NotKept as error:
        problem = f"no role keeps the profile '{error.profile}'.{nearest(error.profile, error.kept)}"
        if error.is_disabled:
            problem = f"the role of '{error.profile}' is disabled; set enabled = true in the configuration"
        raise ConfigError([problem]) from None


def first_session(supply: SessionProvider, profile: str, meanwhile: Callable[[], None] = lambda: None) -> Session:
    """The first session of a profile; `meanwhile` is called over and over, and may raise what ends it.

    Raises AssumedError with the reason why there is none.
    """
    began, shown = time.monotonic(), 0

    def waiting() -> None:
        nonlocal shown
        meanwhile()
        seconds = time.monotonic() - began
        if seconds > 1:
            shown = show_line(f"waiting for a session of {profile} ({seconds:.0f} s)", shown)

    try:
        return supply.wait_for(profile, FIRST, waiting)
    finally:
        show_line("", shown)


def write_private(path: Path, text: str) -> None:
    """Write a file of this user alone (0600), replacing what is there."""
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
