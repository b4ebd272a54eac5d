"""`credential-process`, the fast path: the stored session of a profile in the AWS format, in milliseconds.

SDKs run it (see `process.credential_process_argv`) in any environment, for every request that they sign while less
than 15 minutes are left. So it imports only modules that cost nothing: json alone would double the time. Everything
unusual (a session that is due, missing, or of an edited configuration) is left to `credential_process_slow`.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OLD = 0.35
"""Share of a session's life. The daemon renews long before: with less left, it does not run, or its renewals fail."""
RENEWING = "ASSUMED_RENEWING"
"""Variable with the profiles, a line each, whose renewal has started this process."""
BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""The clock that counts sleep: on macOS that is CLOCK_MONOTONIC."""
SAFE = b"abcdefghijklmnopqrstuvwxyz0123456789_-"
KEYS = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration", "AccountId")
"""What the answer holds besides its Version."""
NOT_USABLE = (OSError, ValueError, TypeError, LookupError, StopIteration, ImportError, SystemError)
"""What damaged files raise. SystemError: CPython 3.11 looks for JSONDecodeError in json.decoder, which is not loaded.
ImportError: interpreters other than CPython have no `_json`."""


def quick(arguments: list[str]) -> int | None:
    """Print the session of the profile that `arguments` name. Returns the exit status; None where that takes more than
    reading files."""
    named = len(arguments) == 3 and arguments[0] == "--state"
    state = arguments[1] if named else usual_state() if len(arguments) == 1 else ""
    answer = stored_answer(state.rstrip("/"), arguments[-1]) if state and RENEWING not in os.environ else ""
    return write(answer) if answer else None


def write(answer: str) -> int:
    """Print the answer. Returns the exit status: 1, with one sentence on stderr, where stdout does not take it."""
    try:
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()
    except OSError as error:
        sys.stderr.write(f"assumed: cannot write to stdout: {error.strerror}\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left in the buffer would raise again at the exit
        return 1
    return 0


def usual_state() -> str:
    """The state directory as `paths.state_dir` finds it, where the environment is plain; else empty."""
    file = os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or os.environ.get("HOME", "") + "/.aws/credentials"
    directory, name = os.path.split(os.path.realpath(file))
    state = f"{directory}/assumed" if name == "credentials" else f"{directory}/assumed-{name}"
    is_plain = file.startswith("/") and "$" not in file and os.path.exists(state)  # noqa: PTH110
    return state if is_plain else ""


def stored_answer(state: str, profile: str) -> str:
    """The answer of the protocol, if the stored session can be handed out as it is; else empty."""
    try:
        path = session_path(state, profile)
        if any(is_foreign(place) for place in (state, f"{state}/sessions", path)):
            return ""
        session = read_json(path)
        life = session["Assumed"]["life"]
        is_good = is_checked(session["Assumed"]["checked"], state) and left(session) > max(OLD * life, early(life))
        return document(session) if is_good else ""
    except NOT_USABLE:
        return ""


def session_path(state: str, profile: str) -> str:
    """Where `store.Store` keeps the session of a profile. Raises ValueError for a name that it shortens."""
    safe = "".join(chr(byte) if byte in SAFE else f"={byte:02X}" for byte in profile.encode("utf-8", "surrogateescape"))
    if len(safe) > 180:
        raise ValueError("too long for a file name")
    return f"{state}/sessions/{safe}.json"


def is_foreign(path: str) -> bool:
    """Whether another account may have written it: it owns it, or the mode lets it write. Raises OSError."""
    found = os.stat(path)
    return found.st_uid not in (os.geteuid(), 0) or bool(found.st_mode & 0o022)


def read_json(path: str) -> Any:
    """The content of a JSON file, without the 8 ms that importing json costs (it imports re and enum)."""
    from _json import make_scanner

    class Context:
        strict, memo = True, {}  # type: ignore[var-annotated]
        object_hook = object_pairs_hook = None
        parse_float, parse_int, parse_constant = float, int, float

    with open(path, encoding="utf-8") as file:  # noqa: PTH123 (pathlib costs 6 ms)
        return make_scanner(Context)(file.read(), 0)[0]  # type: ignore[arg-type]


def is_checked(checked: list[Any], state: str) -> bool:
    """Whether the session was checked against the configuration as it is now: the one that `run` or `once` keeps this
    state by, if that is noted. The session may be of another one: `exec --config` stores it here, too."""
    try:
        path = str(read_json(f"{state}/place.json")["config"] or checked[0])
    except NOT_USABLE:
        path = checked[0]
    found = os.stat(path)
    now = [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
    return bool(now == checked[1:])


def left(session: dict[str, Any]) -> float:
    """Seconds of life left, by the longer of its two ages, and by STS's own Expiration, which SDKs go by.

    Never more than `model.Session.left`. The boot clock's age is a lower bound even across a restart, because it begins
    anew. 0 where a clock reads earlier than at receipt: `credential_process_slow` knows the boot, too.
    """
    facts, now = session["Assumed"], time.time()
    ages = now - facts["received_wall"], time.clock_gettime(BOOT_CLOCK) - facts["received_boot"]
    return float(min(facts["life"] - max(ages), facts["expiration"] - now)) if ages[0] >= 0 else 0.0


def early(life: float) -> float:
    """Seconds by which the stored Expiration precedes STS's, as `store.early`: SDKs renew when it has passed."""
    return float(-(-min(60.0, 0.05 * life) // 1))


def document(session: dict[str, Any]) -> str:
    """The answer: exactly the keys of the protocol, a whole-number Version, an Expiration that ends in Z."""
    from _json import encode_basestring_ascii

    if not (len(session["Expiration"]) == len("2026-11-24T06:00:00Z") and session["Expiration"].endswith("Z")):
        raise ValueError("not an instant that every SDK reads")
    keys = [key for key in KEYS if key != "AccountId" or key in session]  # MinIO's sessions have no account
    parts = [f'"{key}": {encode_basestring_ascii(session[key])}' for key in keys]
    return f'{{"Version": 1, {", ".join(parts)}}}'
