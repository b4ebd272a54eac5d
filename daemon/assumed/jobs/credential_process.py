"""`credential-process`: one kept session in the AWS format, in milliseconds, also while the daemon is down.

SDKs run it (see `credential_process`) in whatever environment they find themselves in, for every request that they sign
while less than 15 minutes are left. So it uses only modules that cost nothing: importing json would double it. Whatever
is unusual (a session that is due, missing or of an edited configuration) is in `credential_process_slow`.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OLD = 0.35
"""Of its life left: the daemon has renewed a session long before, so below that there is none, or it fails."""
RENEWING = "ASSUMED_RENEWING"
"""Variable that holds the profiles, a line each, that are being renewed above us."""
BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""The clock that counts sleep: on macOS that is CLOCK_MONOTONIC."""
SAFE = b"abcdefghijklmnopqrstuvwxyz0123456789_-"


def printed(arguments: list[str]) -> bool:
    """Print the session of the profile that `arguments` name. False where that takes more than reading a file."""
    named = len(arguments) == 3 and arguments[0] == "--state"
    state = arguments[1] if named else usual_state() if len(arguments) == 1 else ""
    session = ready(state.rstrip("/"), arguments[-1]) if state and RENEWING not in os.environ else None
    if session is None:
        return False
    sys.stdout.write(document(session) + "\n")
    sys.stdout.flush()
    return True


def usual_state() -> str:
    """The state directory, as `paths.state_dir` finds it, where the environment is plain; else empty."""
    file = os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or os.environ.get("HOME", "") + "/.aws/credentials"
    directory, name = os.path.split(os.path.realpath(file))
    state = f"{directory}/assumed" if name == "credentials" else f"{directory}/assumed-{name}"
    is_plain = file.startswith("/") and "$" not in file and os.path.exists(state)  # noqa: PTH110
    return state if is_plain else ""


def ready(state: str, profile: str) -> dict[str, Any] | None:
    """The stored session, if it can be handed out without asking anybody; None otherwise."""
    try:
        path = session_path(state, profile)
        if any(foreign(place) for place in (state, f"{state}/sessions", path)):
            return None
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 (pathlib costs 6 ms)
            session = parse(file.read())
        is_current = is_sound(session) and is_checked(session, configuration_of(state))
        sound = is_current and left(session) >= OLD * session["Assumed"]["life"]
        return session if sound and left(session) > early(session) else None
    except (OSError, ValueError, TypeError, LookupError, StopIteration):
        return None


def configuration_of(state: str) -> str:
    """The path of the configuration that `run` or `once` keeps this state by; empty where none is noted. A session may
    be of another one: `exec --config` stores it here, too."""
    try:
        with open(f"{state}/place.json", encoding="utf-8") as file:  # noqa: PTH123
            path = parse(file.read())["config"]
        return path if isinstance(path, str) else ""
    except (OSError, ValueError, TypeError, LookupError, StopIteration):
        return ""


def session_path(state: str, profile: str) -> str:
    """Where the session of a profile lies: `names.safe_name` gives the name (a test compares them)."""
    name = profile.encode("utf-8", "surrogateescape")
    safe = "".join(chr(byte) if byte in SAFE else f"={byte:02X}" for byte in name)
    if len(safe) > 180:
        import hashlib

        safe = f"{safe[:120]}=={hashlib.sha256(name).hexdigest()[:32]}"
    return f"{state}/sessions/{safe}.json"


def foreign(path: str) -> bool:
    """Whether another account may have written it: it belongs to one, or its mode lets one in. Raises OSError."""
    found = os.stat(path)
    return found.st_uid not in (os.geteuid(), 0) or bool(found.st_mode & 0o022)


def parse(text: str) -> Any:
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


def is_sound(session: dict[str, Any]) -> bool:
    """Whether all that is handed out or decided upon is there. May raise what wrong shapes raise."""
    facts, end = session["Assumed"], session["Expiration"]
    words = [session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"], facts["boot_id"]]
    words.append(session.get("AccountId", ""))  # MinIO's sessions are of no account
    numbers = [facts[key] for key in ("expiration", "life", "received_wall", "received_boot")]
    return (
        all(isinstance(word, str) for word in words)
        and all(type(number) in (int, float) for number in numbers)
        and len(end) == len("2026-11-24T06:00:00Z")
        and end.endswith("Z")
    )


def is_checked(session: dict[str, Any], configuration: str = "") -> bool:
    """Whether the configuration (the one at hand, or the one that it names) is still the version that the session was
    checked against, as `files.stamp` has it."""
    checked = session["Assumed"].get("checked")
    if not checked:
        return False
    found = os.stat(configuration or checked[0])
    now = [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
    return bool(now == checked[1:])


def left(session: dict[str, Any]) -> float:
    """Seconds of life left, by the longer of the two ages, and by STS's own Expiration, which SDKs go by.

    Never more than `model.Session.left` says. The boot clock's age is a lower bound even across a restart (it
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
    """What tells this boot from others, as `clock.boot_id` reads it."""
    if sys.platform == "darwin":
        import subprocess

        command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
            return file.read().strip()
    except OSError:
        return ""


def early(session: dict[str, Any]) -> float:
    """Seconds by which the stored Expiration precedes STS's, as `store.early`: SDKs renew when it has passed."""
    return float(-(-min(60.0, 0.05 * session["Assumed"]["life"]) // 1))


def quoted(text: str) -> str:
    """The text as a JSON string."""
    try:
        from _json import encode_basestring_ascii
    except ImportError:
        from json.encoder import encode_basestring_ascii
    return encode_basestring_ascii(text)


def document(session: dict[str, Any]) -> str:
    """The answer: exactly the keys of the protocol, with a whole-number Version and an Expiration that ends in Z."""
    shown = dict(session)
    if left(session) <= early(session):  # the last minute, and nobody renews: better STS's own end than a refusal
        instant = time.gmtime(session["Assumed"]["expiration"])
        shown["Expiration"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", instant)
    keys = [
        key for key in ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration", "AccountId") if key in shown
    ]
    parts = ", ".join(f'"{key}": {quoted(shown[key])}' for key in keys)
    return f'{{"Version": 1, {parts}}}'
