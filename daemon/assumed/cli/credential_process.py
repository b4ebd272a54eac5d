"""`credential-process`: one kept session in the AWS format, in milliseconds, also while the daemon is down.

An SDK runs this file by its path, `python -I -S …/credential_process.py --state DIR PROFILE`, in whatever
environment it finds itself in, for every request it signs while less than 15 minutes are left. So it stands alone
(it cannot import the package) and uses only modules that cost nothing: importing json and socket would double it.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

USAGE = """\
Usage: assumed credential-process [--state DIR] PROFILE

Prints the session of a kept profile in AWS's credential_process format. Where the daemon does not answer, it is
renewed from here. In ~/.aws/config of a consumer:

  [profile my-role]
  credential_process = assumed credential-process my-role

  --state DIR  where the sessions lie [default: `assumed` beside the credentials file]
"""
PATIENCE = 4.0
"""Seconds in all: the Rust SDK stops waiting after 5."""
DAEMON_PATIENCE = 1.0  # seconds that the daemon may take to answer
LOOK_AGAIN = 0.05  # seconds between two looks at the session file
OLD = 0.35
"""Of its life left: the daemon has renewed a session long before, so below that there is none, or it fails."""
RENEWING = "ASSUMED_RENEWING"
"""Variable that holds the profiles, a line each, that are being renewed above us: `without_daemon` sets it."""
SECRETS = ("AccessKeyId", "SecretAccessKey", "SessionToken")
BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""The clock that counts sleep: on macOS that is CLOCK_MONOTONIC."""


def main(arguments: list[str]) -> int:
    """Print the session of the profile that `arguments` name. Returns 0, or 1 with one sentence on stderr."""
    try:
        state, profile = _parse(arguments)
    except ValueError as error:
        sys.stderr.write(f"{USAGE}\nError: {error}\n")
        return 2
    try:
        return answer((state or default_state()).rstrip("/"), profile)
    except ValueError as error:
        sys.stderr.write(f"assumed: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130


def answer(state: str, profile: str) -> int:
    """Print the session, once it is fit to be handed out; see `main` for what it returns."""
    path = f"{state}/sessions/{safe_name(profile)}.json"
    if profile in os.environ.get(RENEWING, "").split("\n"):
        sys.stderr.write(f"assumed: {LOOP.format(profile=profile)}\n")
        return 1
    session, why = _read(path)
    if _due(session):
        session, why = _renewed(state, profile, path, session, why)
    if session is None or _left(session) <= 0:
        sys.stderr.write(f"assumed: {(why or EXPIRED).format(profile=profile, state=state)}\n")
        return 1
    sys.stdout.write(_document(session) + "\n")
    sys.stdout.flush()
    return 0


LOOP = "the source of profile {profile!r} is this profile itself; give it another source_profile"
MISSING = "no session of profile {profile!r} in {state}; start the daemon (`assumed run`), or run `assumed once`"
EXPIRED = "the session of profile {profile!r} has expired and was not renewed; `assumed status` says why"
UNREADABLE = "the session of profile {profile!r} in {state} cannot be read; `ls -l` there shows whose it is"
DAMAGED = "the session of profile {profile!r} in {state} is damaged; `assumed refresh {profile}` writes it anew"


def default_state() -> str:
    """The state directory that every consumer computes alike. Raises ValueError where the environment names none."""
    file = os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or os.environ.get("HOME", "") + "/.aws/credentials"
    directory, name = os.path.split(os.path.realpath(file))
    state = f"{directory}/assumed" if name == "credentials" else f"{directory}/assumed-{name}"
    is_plain = file.startswith("/") and "$" not in file and os.path.exists(state)  # noqa: PTH110
    return state if is_plain else str(_slow_way().usual_state())


def safe_name(profile: str) -> str:
    """The file name of a profile: `core.names.safe_name`, which this file cannot import (a test compares them)."""
    kept = b"abcdefghijklmnopqrstuvwxyz0123456789_-"
    name = profile.encode("utf-8", "surrogateescape")
    safe = "".join(chr(byte) if byte in kept else f"={byte:02X}" for byte in name)
    if len(safe) <= 180:
        return safe
    import hashlib

    return f"{safe[:120]}=={hashlib.sha256(name).hexdigest()[:32]}"


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
        raise ValueError("one profile, please")
    return state, words[0]


def _read(path: str) -> tuple[dict[str, Any] | None, str]:
    """The stored session and nothing, or None and a sentence that says why."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 (pathlib costs 6 ms)
            text = file.read()
    except FileNotFoundError:
        return None, MISSING
    except OSError:
        return None, UNREADABLE
    except UnicodeDecodeError:
        return None, DAMAGED
    try:
        session = _parse_json(text)
        sound = _sound(session)
    except (ValueError, TypeError, LookupError, StopIteration):
        sound = False  # without the parser's own message: it quotes what it could not read
    return (session, "") if sound else (None, DAMAGED)


def _sound(session: dict[str, Any]) -> bool:
    """Whether all that is handed out or decided upon is there. May raise what wrong shapes raise."""
    facts = session["Assumed"]
    words = [session[key] for key in (*SECRETS, "Expiration", "AccountId")] + [facts["boot_id"]]
    numbers = [facts[key] for key in ("expiration", "life", "received_wall", "received_boot")]
    return (
        all(isinstance(word, str) for word in words)
        and all(type(number) in (int, float) for number in numbers)
        and len(session["Expiration"]) == len("2026-11-24T06:00:00Z")
        and session["Expiration"].endswith("Z")
    )


def _parse_json(text: str) -> Any:
    """`json.loads` without the 8 ms that importing json costs (it imports re and enum)."""
    try:
        from _json import make_scanner
    except ImportError:  # an interpreter other than CPython
        import json

        return json.loads(text)

    class Context:
        strict, memo = True, {}  # type: ignore[var-annotated]
        object_hook = object_pairs_hook = None
        parse_float, parse_int, parse_constant = float, int, float

    try:
        return make_scanner(Context)(text, 0)[0]  # type: ignore[arg-type]
    except SystemError:
        # CPython 3.11 looks for JSONDecodeError in json.decoder, which nobody has imported.
        raise ValueError("not JSON") from None


def _quoted(text: str) -> str:
    """The text as a JSON string."""
    try:
        from _json import encode_basestring_ascii
    except ImportError:
        from json.encoder import encode_basestring_ascii
    return encode_basestring_ascii(text)


def _fit(session: dict[str, Any] | None) -> bool:
    """Whether the session can be handed out at once."""
    return session is not None and _left(session) > _early(session)


def _left(session: dict[str, Any]) -> float:
    """Seconds of life left, by the longer of the two ages, and by STS's own Expiration, which SDKs go by.

    Never more than `core.model.Session.left` says. The boot clock's age is a lower bound even across a restart (it
    began anew after the receipt), so the boot id matters only where the wall clock reads earlier than at receipt:
    after a restart that leaves no hand to trust.
    """
    facts, now = session["Assumed"], time.time()
    age = now - facts["received_wall"]
    if age < 0 and boot_id() != facts["boot_id"]:
        return 0.0
    age = max(age, time.clock_gettime(BOOT_CLOCK) - facts["received_boot"])
    return float(min(facts["life"] - age, facts["expiration"] - now)) if age >= 0 else 0.0


def boot_id() -> str:
    """What tells this boot from others, as `edge.clock.boot_id` reads it."""
    if sys.platform == "darwin":
        import subprocess

        command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
            return file.read().strip()
    except OSError:
        return ""


def _early(session: dict[str, Any]) -> float:
    """Seconds by which the stored Expiration precedes STS's, as `edge.store.early`: SDKs renew when it has passed."""
    return float(-(-min(60.0, 0.05 * session["Assumed"]["life"]) // 1))


def _due(session: dict[str, Any] | None) -> bool:
    """Whether somebody should have renewed it by now."""
    return session is None or _left(session) < OLD * session["Assumed"]["life"]


def _renewed(
    state: str, profile: str, path: str, session: dict[str, Any] | None, why: str
) -> tuple[dict[str, Any] | None, str]:
    """Have the session renewed, by the daemon or from here, within PATIENCE; then what there is."""
    deadline = time.monotonic() + PATIENCE
    kept = _ask_daemon(socket_path(state), profile)
    if kept is None:
        return _by_ourselves(state, profile, path, deadline)
    # A session that is old, but good for a while yet, is not waited for: the daemon has tried, and goes on trying.
    while kept and not _fit(session) and time.monotonic() < deadline:
        time.sleep(LOOK_AGAIN)
        session, why = _read(path)
    return session, why


def _by_ourselves(state: str, profile: str, path: str, deadline: float) -> tuple[dict[str, Any] | None, str]:
    """No daemon answers: renew from here."""
    problem = _slow_way().renew(state, profile, path, deadline, lambda: not _due(_read(path)[0]))
    session, why = _read(path)
    # Braces in what STS said are no places of ours.
    return session, problem.replace("{", "{{").replace("}", "}}") or why


def _slow_way() -> Any:
    """The module that has all of the package, which the fast way does without."""
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))  # noqa: PTH100
    from assumed.cli import without_daemon

    return without_daemon


def socket_path(state: str) -> str:
    """Where the daemon listens, as `paths.socket_path` says: a socket's path holds about 100 bytes."""
    path = f"{state}/control.sock"
    return path if len(os.fsencode(path)) < 100 else str(_slow_way().usual_socket(state))


def _ask_daemon(path: str, profile: str) -> bool | None:
    """Have the daemon look at the profile; whether it keeps it, None where none answers. The session comes by its
    file."""
    from _socket import AF_UNIX, SOCK_STREAM, socket  # `import socket` costs 10 ms: selectors, enum

    deadline = time.monotonic() + DAEMON_PATIENCE
    reply, connection = b"", socket(AF_UNIX, SOCK_STREAM)
    try:
        connection.settimeout(DAEMON_PATIENCE)
        connection.connect(path)
        connection.sendall(f'{{"command": "look", "profiles": [{_quoted(profile)}]}}\n'.encode())
        while not reply.endswith(b"\n") and (left := deadline - time.monotonic()) > 0:
            connection.settimeout(left)
            piece = connection.recv(65536)
            if not piece:
                break
            reply += piece
        return profile in _parse_json(reply.decode()).get("accepted", ())
    except (OSError, ValueError, StopIteration, AttributeError, TypeError):
        return None  # not running, not ours, or not listening
    finally:
        connection.close()


def _document(session: dict[str, Any]) -> str:
    """The answer: exactly the keys of the protocol, with a whole-number Version and an Expiration that ends in Z."""
    shown = dict(session)
    if not _fit(session):  # the last minute, and nobody renews: better STS's own Expiration than a refusal
        instant = time.gmtime(session["Assumed"]["expiration"])
        shown["Expiration"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", instant)
    parts = ", ".join(f'"{key}": {_quoted(shown[key])}' for key in (*SECRETS, "Expiration", "AccountId"))
    return f'{{"Version": 1, {parts}}}'


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
