"""What the state directory holds: a file per session, the last good configuration, which events hooks have had.

It lies beside the resolved credentials file, as the AWS CLI keeps `~/.aws/cli`: every consumer (cron, sudo, a
container that mounts the directory) computes the same path, and no service manager empties it.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from assumed.files import explained, make_private_dir, sweep, write_atomic
from assumed.model import Instant, Session, malformed
from assumed.paths import SESSIONS, safe_name
from assumed.state import make_state_dir

EARLY_SECONDS = 60.0
EARLY_SHARE = 0.05
BEYOND = 60.0
"""Seconds by which a stored end may be later than issue and life make it: STS's clock reads whole seconds."""
YEAR_9999 = 253_370_764_800.0
"""POSIX seconds; later ones have no date."""


def iso(wall: float) -> str:
    """POSIX seconds in the one form that every SDK reads: whole seconds, `Z`."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(wall))).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Stored:
    """A session as it lies on the disk."""

    session: Session
    checked: Stamp | None
    """The version of the configuration by which it may be handed out; None where that is not known."""


class Store:
    """Sessions on disk in the `credential_process` format, each with the facts that it was obtained by.

    What changes something raises FileRefused where the system does not allow it.
    """

    def __init__(
        self,
        directory: Path,
        place: Mapping[str, str] | None = None,
        checked: Callable[[], Stamp | None] = lambda: None,
    ) -> None:
        """The directory is made with the first file in it.

        `place`: where configuration and AWS files are and which endpoint the environment names, kept for
        `credential-process`, whose consumer may have another one. `checked`: the version of the configuration that
        sessions are saved under.
        """
        self.directory = directory
        self._place = place
        self._checked = checked
        self._sessions = directory / SESSIONS

    @property
    def last_good(self) -> Path:
        """Where the last good configuration is kept."""
        return self.directory / "config.last-good.toml"

    def save(self, session: Session) -> None:
        """Write one session, atomically, 0600; the directory is made again if it was removed."""
        make_state_dir(self.directory)
        make_private_dir(self._sessions)
        # Flushing each of a thousand sessions takes a disk seconds in which nothing else is done. What a crash of the
        # machine leaves is safe: a damaged file counts as none, an old session is still what it says it is.
        data = json.dumps(_document(session, self._checked())).encode() + b"\n"
        write_atomic(self.path(session.profile), data, durable=False)

    def load(self, profile: str) -> Session | None:
        """Read one session; None where there is none that can be used (a damaged file counts as none)."""
        stored = self.stored(profile)
        return stored.session if stored is not None else None

    def stored(self, profile: str) -> Stored | None:
        """Read one session and what it was checked against; None as in `load`."""
        try:
            document = json.loads(self.path(profile).read_bytes())
            session = _session(document, profile)
            return Stored(session, _stamp(document["Assumed"].get("checked"))) if session is not None else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def forget(self, profile: str) -> None:
        """Remove a session, so that `credential-process` cannot hand it out any more."""
        path = self.path(profile)
        with explained("remove", path):
            path.unlink(missing_ok=True)

    def prune(self, keep: set[str]) -> None:
        """Remove the sessions of profiles that are no longer configured."""
        names = {f"{safe_name(profile)}.json" for profile in keep}
        with explained("tidy", self._sessions):
            for path in self._sessions.glob("*.json"):
                if path.name not in names:
                    path.unlink(missing_ok=True)

    def sweep(self) -> int:
        """Remove what killed writers left; returns how many files that were."""
        return sweep(self.directory) + sweep(self._sessions)

    def keep_config(self, text: str) -> None:
        """Remember a configuration that worked."""
        make_state_dir(self.directory)
        if not self.remembers(text):
            write_atomic(self.last_good, text.encode())
        if self._place is not None and self.place() != self._place:
            write_atomic(self.directory / "place.json", json.dumps(self._place).encode())

    def place(self) -> dict[str, str]:
        """What was kept as `place`; empty where there is nothing that can be used."""
        try:
            place = json.loads((self.directory / "place.json").read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return {name: str(path) for name, path in place.items()} if isinstance(place, dict) else {}

    def remembers(self, text: str) -> bool:
        """Whether this is the configuration that worked last."""
        with explained("read", self.last_good):
            return self.last_good.exists() and self.last_good.read_bytes() == text.encode()

    def keep_told(self, told: Mapping[str, Any]) -> None:
        """Remember what the commands of `[hooks]` have been run for, so that a restart does not run them again."""
        make_state_dir(self.directory)
        write_atomic(self.directory / "told.json", json.dumps(told).encode(), durable=False)

    def told(self) -> dict[str, Any] | None:
        """What was kept so; None where there is nothing that can be used."""
        try:
            told = json.loads((self.directory / "told.json").read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        return told if isinstance(told, dict) else None

    def path(self, profile: str, suffix: str = ".json") -> Path:
        """The session file of a profile, or what lies beside it."""
        return self._sessions / f"{safe_name(profile)}{suffix}"

    def open_lock(self, profile: str) -> int:
        """A descriptor for `files.try_lock`: its holder alone renews the profile without a daemon."""
        path = self.path(profile, ".lock")
        make_private_dir(self._sessions)
        with explained("lock", path):
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def early(session: Session) -> float:
    """Seconds by which the end that readers see precedes STS's: SDKs that renew only once it has passed (Go, Java)
    would let requests in flight cross it. Whole ones: what they see has no fractions, and cutting them off would make
    a session that is still handed out one that has expired (botocore raises then)."""
    return float(math.ceil(min(EARLY_SECONDS, session.life * EARLY_SHARE)))


def shown_expiration(session: Session, now: Instant) -> str:
    """The end that readers see: the early one, and in the last minute of a session that was not renewed, STS's own."""
    return iso(session.expiration - (early(session) if session.left(now) > early(session) else 0.0))


def protocol_document(session: Session, expiration: str) -> dict[str, Any]:
    """A session as AWS's credential_process protocol has it."""
    return {
        "Version": 1,
        "AccessKeyId": session.access_key_id,
        "SecretAccessKey": session.secret_access_key,
        "SessionToken": session.session_token,
        "Expiration": expiration,
        **({"AccountId": account} if (account := account_of(session)) else {}),
    }


def _document(session: Session, checked: Stamp | None) -> dict[str, Any]:
    return {
        **protocol_document(session, iso(session.expiration - early(session))),
        "Assumed": {
            "profile": session.profile,
            "expiration": session.expiration,
            "issued_at": session.issued_at,
            "life": session.life,
            "principal_arn": session.principal_arn,
            "identity": session.identity,
            "request": session.request,
            "received_wall": session.received.wall,
            "received_boot": session.received.boot,
            "boot_id": session.received.boot_id,
            **({"checked": checked} if checked is not None else {}),
        },
    }


def _stamp(value: object) -> Stamp | None:
    """Raises TypeError for what is no stamp; an earlier version stored none."""
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 6 or not isinstance(value[0], str):
        raise TypeError
    if not all(type(number) is int for number in value[1:]):
        raise TypeError
    return tuple(value)


def account_of(session: Session) -> str:
    """The account of a session; empty where its ARN has none (MinIO's): then SDKs can do without."""
    account = "".join(session.principal_arn.split(":")[4:5])
    return account if account.isdigit() else ""


def _session(document: dict[str, Any], profile: str) -> Session | None:
    """Raises KeyError, TypeError or ValueError for a document that we have not written."""
    facts = document["Assumed"]
    if facts["profile"] != profile:
        return None
    session = Session(
        profile=profile,
        access_key_id=_string(document["AccessKeyId"]),
        secret_access_key=_string(document["SecretAccessKey"]),
        session_token=_string(document["SessionToken"]),
        expiration=_seconds(facts["expiration"]),
        issued_at=_seconds(facts["issued_at"]),
        life=_seconds(facts["life"]),
        received=Instant(
            _seconds(facts["received_wall"]), _seconds(facts["received_boot"]), _string(facts["boot_id"], least=0)
        ),
        principal_arn=_string(facts["principal_arn"], least=0),
        identity=_string(facts["identity"]),
        request=_string(facts["request"]),
    )
    return session if _is_believable(session) else None


def _is_believable(session: Session) -> bool:
    """Whether a session may be used: an earlier version stored whatever it was given."""
    keys = session.access_key_id, session.secret_access_key, session.session_token
    return not malformed(*keys) and session.expiration <= session.issued_at + session.life + BEYOND


def _string(value: object, least: int = 1) -> str:
    if not isinstance(value, str) or len(value) < least:
        raise TypeError
    return value


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -YEAR_9999 < value < YEAR_9999:
        raise TypeError
    return float(value)


Stamp = tuple[str, int, int, int, int, int]
"""Path, device, inode, size in bytes, and mtime and ctime in nanoseconds."""

SETTLED_NS = 50_000_000
"""Nanoseconds. Kernels count a file's times in ticks (10 ms at the longest): a second edit within the same tick leaves
size and times as they were, so a file that has just changed has no stamp yet (git's "racy" index entries)."""


def stamp_of(path: Path) -> Stamp | None:
    """The stamp of the file at `path`; None where there is none that can be relied on. Take it before reading."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    if 0 <= time.time_ns() - found.st_ctime_ns < SETTLED_NS:
        return None
    return str(path), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def is_same(one: Stamp | None, other: Stamp | None) -> bool:
    """Whether both are of the same version of the same file, by whatever path it was reached."""
    return one is not None and other is not None and one[1:] == other[1:]
