"""The rest of `credential-process`: a session that is due, missing, or not yet checked against an edited configuration.

A running daemon decides; it marks the session as checked, renewed or not. Where none answers the session is checked and
renewed from here, in a process that has all of the package, once for two hundred executors that start together.
"""

from __future__ import annotations

import os
import sys
import time

from .credential_process import RENEWING, configuration_of, document, foreign, parse, quoted, session_path, usual_state
from .launch import LOOK_AGAIN, UNCHECKED, checked_or_renewed
from .stored_session import Found, read

USAGE = """\
Usage: assumed credential-process [--state DIR] PROFILE

Prints the session of a kept profile in AWS's credential_process format. Where the daemon does not answer, it is
renewed from here. In ~/.aws/config of a consumer:

  [profile my-role]
  credential_process = assumed credential-process my-role

  --state DIR  where the sessions are stored [default: beside the credentials file]
"""
PATIENCE = 4.0
"""Seconds in all: the Rust SDK stops waiting after 5."""
DAEMON_PATIENCE = 1.0
"""Seconds that the daemon may take to answer."""
OURS = 1.5
"""Seconds left for a renewal from here, where a daemon runs, does not answer and has not renewed it either."""
SILENT = "silent"
MARK_PATIENCE = 2.0
"""Seconds that it may take to read an edited configuration: it is in force after 1.5."""

LOOP = "the source of profile {profile!r} is this profile itself; give it another source_profile"
EXPIRED = "the session of profile {profile!r} has expired and was not renewed; `assumed status` says why"
NOT_MANAGED = "{profile!r} is not a managed profile; `assumed status` lists them"
FOREIGN = "{place} belongs to another account, or another account may write to it; `ls -ld` shows whose it is"


def main(arguments: list[str]) -> int:
    """Print the session of the profile that `arguments` name. Returns 0, or 1 with one sentence on stderr."""
    try:
        state, profile = _parse(arguments)
    except ValueError as error:
        sys.stderr.write(f"{USAGE}\nError: {error}\n")
        return 2
    try:
        return answer((state or usual_state() or default_state()).rstrip("/"), profile)
    except ValueError as error:
        sys.stderr.write(f"assumed: {error}\n")
        return 2


def answer(state: str, profile: str, configuration: str = "") -> int:
    """Print the session, once it is fit to be handed out; see `main` for what it returns. `configuration`: the path of
    the one that has to ask for it, if not the one that the state is kept by."""
    if profile in os.environ.get(RENEWING, "").split("\n"):
        return _refuse(LOOP, state, profile)
    place = _foreign_place(state, profile)
    if place:
        return _refuse(FOREIGN.format(place=place), state, profile)
    found = read(state, profile, configuration or configuration_of(state))
    if not found.is_good:
        found = _renewed(state, profile, configuration)
    if found.session is None or not found.is_live:
        return _refuse(found.why or EXPIRED, state, profile)
    sys.stdout.write(document(found.session) + "\n")
    sys.stdout.flush()
    return 0


def default_state() -> str:
    """The state directory where the environment is unusual. Raises ValueError where it leads nowhere."""
    from assumed.paths import PathError, default_credentials_file, state_dir

    try:
        return str(state_dir(default_credentials_file(os.environ)))
    except PathError as error:
        raise ValueError(f"{error.variable}: {error}") from None


def _parse(arguments: list[str]) -> tuple[str | None, str]:
    state, words = None, []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--state":
            state = next(rest, None)
            if not state:
                raise ValueError("--state wants a directory")
        elif argument.startswith("--state="):
            state = argument.removeprefix("--state=")
        elif argument.startswith("-") and argument != "--":
            raise ValueError(f"no such option: {argument}")
        elif argument != "--":
            words.append(argument)
    if len(words) != 1:
        raise ValueError("name one profile")
    return state, words[0]


def _refuse(why: str, state: str, profile: str) -> int:
    for name, value in (("{profile!r}", repr(profile)), ("{profile}", profile), ("{state}", state)):
        why = why.replace(name, value)
    sys.stderr.write(f"assumed: {why}\n")
    return 1


def _foreign_place(state: str, profile: str) -> str:
    """What of the way to the session another account could have written; empty where nothing is."""
    for place in (state, f"{state}/sessions", session_path(state, profile)):
        try:
            if foreign(place):
                return place
        except OSError:
            return ""  # not there, or not to be seen: whoever reads it says so
    return ""


def _renewed(state: str, profile: str, configuration: str) -> Found:
    """Have the session checked and renewed, by the daemon or from here, within PATIENCE; then what there is."""
    deadline = time.monotonic() + PATIENCE
    is_kept = _ask_daemon(socket_path(state), profile, configuration)
    if is_kept is None:
        return checked_or_renewed(state, profile, configuration or configuration_of(state), deadline)
    found = read(state, profile, configuration)
    if not is_kept:
        return found if found.session is None else Found(None, NOT_MANAGED)
    patience = time.monotonic() + MARK_PATIENCE
    until = deadline - OURS if is_kept is SILENT else deadline
    # A session that is old, but good for a while yet, is not waited for: the daemon has tried, and goes on trying.
    while not found.is_fit or _awaits_mark(found):
        if found.is_fit and time.monotonic() > patience:
            return checked_or_renewed(state, profile, found.wanted, deadline, "check")
        if time.monotonic() > until:
            if is_kept is SILENT:
                return checked_or_renewed(state, profile, found.wanted, deadline)
            return Found(None, UNCHECKED) if _awaits_mark(found) else found
        time.sleep(LOOK_AGAIN)
        found = read(state, profile, found.wanted)
    return found


def _awaits_mark(found: Found) -> bool:
    """Whether the daemon has still to compare it with the configuration as it is now. One without a mark is an earlier
    version's; where no configuration can be seen from here, the daemon alone decides."""
    return bool(found.configuration) and os.path.exists(found.configuration) and not found.is_checked  # noqa: PTH110


def socket_path(state: str) -> str:
    """Where the daemon listens, as `paths.socket_path` says: a socket's path holds about 100 bytes."""
    path = f"{state}/control.sock"
    if len(os.fsencode(path)) < 100:
        return path
    from pathlib import Path

    from assumed import paths

    return str(paths.socket_path(Path(state)))


def _is_ours(path: str) -> bool:
    try:
        return not foreign(os.path.dirname(path)) and os.stat(path).st_uid in {os.geteuid(), 0}
    except OSError:
        return False


def _ask_daemon(path: str, profile: str, configuration: str) -> bool | str | None:
    """Have the daemon look at the profile; whether it keeps it, None where none of ours runs, SILENT where one does and
    does not answer in time. The session comes by its file."""
    from _socket import AF_UNIX, SOCK_STREAM, socket

    deadline = time.monotonic() + DAEMON_PATIENCE
    reply, connection = b"", socket(AF_UNIX, SOCK_STREAM)
    try:
        if not _is_ours(path):
            return None  # in /tmp anybody may have put a socket there
        connection.settimeout(DAEMON_PATIENCE)
        try:
            connection.connect(path)
        except (TimeoutError, BlockingIOError):  # its queue of connections is full
            return SILENT
        except OSError:
            return None
        config = f', "config": {quoted(os.path.abspath(configuration))}' if configuration else ""  # noqa: PTH100
        connection.sendall(f'{{"command": "look", "profiles": [{quoted(profile)}]{config}}}\n'.encode())
        while not reply.endswith(b"\n") and (rest := deadline - time.monotonic()) > 0:
            connection.settimeout(rest)
            piece = connection.recv(65536)
            if not piece:
                break
            reply += piece
        answer = parse(reply.decode())
        return "another" not in answer and profile in answer["accepted"]
    except (OSError, ValueError, StopIteration):
        return SILENT
    except (LookupError, TypeError):
        return None  # an answer, but not one of ours
    finally:
        connection.close()
