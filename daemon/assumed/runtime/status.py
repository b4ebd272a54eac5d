"""The status document: what a reader of each profile gets, re-read from the disk, and what we know beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assumed.aws.files import Sections as AwsFile
from assumed.clock import SystemClock
from assumed.config import Config
from assumed.credentials.conflicts import UNKNOWN
from assumed.credentials.file import CredentialsFile
from assumed.credentials.ownership import Refusal
from assumed.credentials.reading import read_sections
from assumed.engine.decide import RoleState
from assumed.errors import ConfigError, FileRefused
from assumed.model import FailureKind, Instant, Role, Session
from assumed.paths import PathError, aws_config_file, state_dir
from assumed.store import Store, iso

from .config_lines import advice_for

Document = dict[str, Any]
Sections = Mapping[str, Mapping[str, str] | None]


@dataclass(frozen=True, slots=True)
class Known:
    """What only a running daemon knows of a role. Without one, everything is at its default."""

    state: RoleState = field(default_factory=RoleState)
    due_in: float | None = None
    waits: str = ""
    refusal: Refusal | None = None
    overwritten_by: str = ""
    """The program that has overwritten the profile more than once lately."""
    notice: Refusal | None = None
    """Why the AWS config file has no line for a role that is delivered by process."""
    identity: str = ""
    """The role's fingerprint as it stands now."""


@dataclass(frozen=True, slots=True)
class Disk:
    """What readers find: the sections of the credentials file, and why it could not be read, if so."""

    sections: Sections
    error: FileRefused | None


def read_disk(file: CredentialsFile, roles: tuple[Role, ...]) -> Disk:
    """Read the credentials file as its readers would."""
    try:
        return Disk(read_sections(file.standing(), [role.profile for role in roles]), None)
    except FileRefused as error:
        return Disk({}, error)


def offline(config: Config, daemon_error: str | None = None) -> Document:
    """The document without a daemon: what is on the disk. `daemon_error`: why a running one did not answer."""
    directory = state_dir(config.credentials_file)
    file = CredentialsFile(config.credentials_file, directory)
    store = Store(directory)
    disk = read_disk(file, config.roles)
    now = SystemClock().now()
    roles = [role_document(role, store.load(role.profile), Known(), disk, now) for role in config.roles]
    about = file_document(config, None, disk.error)
    return {
        "daemon": None,
        "daemon_error": daemon_error,
        "roles": roles,
        "credentials_file": about,
        "unreadable": unreadable_document(_broken_config_file()),
        "events": [],
    }


def daemon_document(
    version: str, started: Instant, config: Config, error: ConfigError | None, clock_offset: float | None
) -> Document:
    """The daemon itself. `clock_offset` is STS's clock minus ours in seconds, None before its first answer."""
    return {
        "pid": os.getpid(),
        "version": version,
        "started_at": iso(started.wall),
        "config": str(config.path),
        "config_error": str(error) if error else None,
        "clock_offset_seconds": None if clock_offset is None else round(clock_offset, 1),
    }


def beat_document(beaten: Instant, now: Instant) -> Document:
    """The daemon's last finished heartbeat, and how many seconds the machine has been awake since. Who answers is
    another thread than the one whose heart it is."""
    awake = (now.boot - beaten.boot) - (now.slept - beaten.slept)
    return {"beat_at": iso(beaten.wall), "beat_age_seconds": round(max(0.0, awake), 1)}


def file_document(config: Config, written_at: float | None, error: FileRefused | None) -> Document:
    """The credentials file."""
    return {
        "path": str(config.credentials_file),
        "written_at": iso(written_at) if written_at else None,
        "error": str(error) if error else None,
    }


def _broken_config_file() -> dict[Path, FileRefused]:
    try:
        path = aws_config_file(os.environ)
    except PathError:  # `check` says so; nothing is read from a file that nobody can name
        return {}
    error = AwsFile(path).error
    return {} if error is None else {path: error}


def unreadable_document(broken: Mapping[Path, FileRefused]) -> list[Document]:
    """AWS files that sources are read from, and that neither we nor any SDK can read at the moment."""
    return [{"path": str(path), "error": str(error)} for path, error in sorted(broken.items())]


def role_document(role: Role, stored: Session | None, known: Known, disk: Disk, now: Instant) -> Document:
    """One role. `state` is about readers: a session that could not be written is not `fresh`."""
    if stored is not None and not _is_the_roles(stored, role, known):
        stored = None
    delivered = is_delivered(role, stored, disk)
    left = stored.left(now) if stored else None
    issued = stored.received.wall if stored else None
    error = last_error(known)
    return {
        "profile": role.profile,
        "role_arn": role.role_arn,
        "source": role.source(),
        "deliver": role.deliver,
        "enabled": role.enabled,
        "state": state_of(delivered, left, known),
        "delivered": delivered,
        "issued_at": iso(issued) if issued else None,
        "expiration": iso(stored.expiration) if stored else None,
        "left_seconds": round(left, 1) if left is not None else None,
        "life_seconds": round(stored.life, 1) if stored else None,
        "next_renewal": iso(now.wall + max(0.0, known.due_in)) if known.due_in is not None else None,
        "waits": known.waits or None,
        "failures": known.state.failure.count if known.state.failure else 0,
        "last_error": error,
        "overwritten_by": known.overwritten_by or None,
        "notice": notice_of(known),
    }


def _is_the_roles(stored: Session, role: Role, known: Known) -> bool:
    """Whether a stored session is what its role says now: the configuration may have been edited since (promise 5)."""
    return stored.is_of(role.role_arn) and known.identity in ("", stored.identity)


def is_delivered(role: Role, stored: Session | None, disk: Disk) -> bool:
    """Whether a reader of the profile gets the stored session now."""
    section = disk.sections.get(role.profile)
    if stored is None or section is None:
        return False
    if role.deliver == "process":
        ours = section.get("x_assumed", "").split()[:1] == [role.profile]
        return ours and "credential_process" in section and "aws_access_key_id" not in section
    return (
        section.get("aws_access_key_id") == stored.access_key_id
        and section.get("aws_secret_access_key") == stored.secret_access_key
        and section.get("aws_session_token") == stored.session_token
    )


def state_of(delivered: bool, left: float | None, known: Known) -> str:
    """`fresh`, `pending`, `failing`, `expired` or `needs_login`."""
    failure = known.state.failure
    if failure is not None and failure.kind is FailureKind.NEEDS_LOGIN:
        return "needs_login"
    if left is not None and left <= 0:
        return "expired"
    if failure is not None or known.refusal is not None or (known.overwritten_by and not delivered):
        return "failing"
    if left is None or not delivered:
        return "pending"
    return "fresh"


def notice_of(known: Known) -> Document | None:
    """What keeps some clients from the role, while others get it."""
    if known.notice is None:
        return None
    advice = advice_for(known.notice.profile, known.notice.advice)
    return {"code": "ConfigLineMissing", "message": known.notice.reason, "advice": advice}


def last_error(known: Known) -> Document | None:
    if known.refusal is not None:
        return {"code": "ProfileRefused", "message": known.refusal.reason, "advice": known.refusal.advice}
    if known.overwritten_by:
        message = f"{known.overwritten_by} keeps overwriting this profile; it is put back, later each time"
        named = "it" if known.overwritten_by == UNKNOWN else known.overwritten_by
        advice = f"stop {named}, or rename the profile in one of the two; then: assumed refresh"
        return {"code": "ProfileContested", "message": message, "advice": advice}
    failure = known.state.failure
    if failure is None:
        return None
    return {"code": failure.code, "message": failure.message, "advice": failure.advice}
