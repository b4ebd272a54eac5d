"""What the daemon knew at one instant, and the status document that is made of it.

The main loop publishes a snapshot after each turn; status, metrics, hooks and the control socket read that and nothing
else, in threads of their own. Everything in it is frozen or never changed again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from assumed import __version__
from assumed.aws.files import Sections
from assumed.clock import SystemClock
from assumed.config import Config
from assumed.credentials.file import CredentialsFile
from assumed.credentials.ini import read_sections
from assumed.credentials.ownership import UNKNOWN, Refusal
from assumed.credentials.process import advice_for
from assumed.engine.state import RoleState, State
from assumed.errors import ConfigError, FileRefused
from assumed.model import Decision, FailureKind, Instant, Role, Session
from assumed.paths import PathError, aws_config_file, state_dir
from assumed.store import Store, iso

Document = dict[str, Any]
UNKNOWN_ROLE = RoleState()
REFUSED, CONTESTED = OBSTACLES = "ProfileRefused", "ProfileContested"
"""Codes of what keeps a good session from readers."""


@dataclass(frozen=True, slots=True)
class Planned:
    """When a role is due, as of `at`."""

    decision: Decision
    at: Instant

    def due_in(self, now: Instant) -> float:
        """Seconds until then."""
        return self.decision.due_in - now.since(self.at)


@dataclass(frozen=True, slots=True)
class Delivered:
    """How the AWS files stand."""

    sessions: Mapping[str, Session] = field(default_factory=dict)
    """Profile → the session that was written for readers last."""
    displaced: frozenset[str] = frozenset()
    """Profiles that another program has overwritten and that are not put back yet."""
    refused: Mapping[str, Refusal] = field(default_factory=dict)
    """Profile → why it cannot be written."""
    overwritten_by: Mapping[str, str] = field(default_factory=dict)
    """Profile → the program that has overwritten it more than once lately."""
    notices: Mapping[str, Refusal] = field(default_factory=dict)
    """Profile → why the AWS config file has no line for it."""
    error: FileRefused | None = None
    written_at: float | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One turn of the main loop."""

    config: Config
    config_error: ConfigError | None
    state: State
    planned: Mapping[str, Planned]
    delivered: Delivered
    started: Instant
    beaten: Instant
    """The last finished heartbeat."""
    clock_offset: float | None = None
    """STS's clock minus ours in seconds, by its last answer; None before the first."""
    unsaved: frozenset[str] = frozenset()
    """Profiles whose session the disk did not take."""
    unreadable: Mapping[Path, FileRefused] = field(default_factory=dict)
    """AWS files that sources are read from, and that neither we nor any SDK can read."""
    sign_ins: Mapping[str, str] = field(default_factory=dict)
    """Source → what a person signs in to for it."""
    watch_error: str = ""

    def read_session(self, role: Role) -> Session | None:
        """The session that a reader of the profile gets: the newest or, while that is on its way, the one before."""
        profile, files = role.profile, self.delivered
        is_missing = profile in files.displaced | files.refused.keys()
        session = files.sessions.get(profile)
        if session is None or is_missing or (role.deliver == "process" and profile in self.unsaved):
            return None
        return session if session.identity == self.state.identities.get(profile) else None

    def has_delivered(self, role: Role) -> bool:
        """Whether that is the newest, and stored."""
        facts = self.state.states.get(role.profile)
        newest = facts.session if facts is not None else None
        return newest is not None and self.read_session(role) == newest and role.profile not in self.unsaved


def document(snapshot: Snapshot, now: Instant) -> Document:
    """The status document of a running daemon."""
    config, delivered = snapshot.config, snapshot.delivered
    return {
        "daemon": {
            "pid": os.getpid(),
            "version": __version__,
            "started_at": iso(snapshot.started.wall),
            "config": str(config.path),
            "config_error": str(snapshot.config_error) if snapshot.config_error else None,
            "clock_offset_seconds": None if snapshot.clock_offset is None else round(snapshot.clock_offset, 1),
            **beat_document(snapshot.beaten, now),
            "watch_error": snapshot.watch_error or None,
        },
        "daemon_error": None,
        "roles": [running_role(snapshot, role, now) for role in config.roles],
        "credentials_file": _file_document(config, delivered.written_at, delivered.error),
        "unreadable": _unreadable_document(snapshot.unreadable),
    }


def offline(config: Config, daemon_error: str | None = None) -> Document:
    """The document without a daemon: what is on the disk. `daemon_error`: why a running one did not answer."""
    directory = state_dir(config.credentials_file)
    store, now = Store(directory), SystemClock().now()
    sections: Mapping[str, Mapping[str, str] | None] = {}
    error = None
    try:
        text = CredentialsFile(config.credentials_file, directory).standing()
        sections = read_sections(text, [role.profile for role in config.roles])
    except FileRefused as refusal:
        error = refusal
    roles = []
    for role in config.roles:
        session = store.load(role.profile)
        if session is not None and not session.is_of(role.role_arn):
            session = None  # the configuration has been edited since (promise 5)
        delivered = session is not None and _is_in(sections.get(role.profile), role, session)
        roles.append(role_document(role, RoleState(session=session), delivered, now))
    return {
        "daemon": None,
        "daemon_error": daemon_error,
        "roles": roles,
        "credentials_file": _file_document(config, None, error),
        "unreadable": _unreadable_document(_broken_config_file()),
        "events": [],
    }


def beat_document(beaten: Instant, now: Instant) -> Document:
    """The last finished heartbeat, and how many seconds the machine has been awake since: another thread than the main
    loop answers."""
    awake = (now.boot - beaten.boot) - (now.slept - beaten.slept)
    return {"beat_at": iso(beaten.wall), "beat_age_seconds": round(max(0.0, awake), 1)}


def _file_document(config: Config, written_at: float | None, error: FileRefused | None) -> Document:
    return {
        "path": str(config.credentials_file),
        "written_at": iso(written_at) if written_at else None,
        "error": str(error) if error else None,
    }


def _broken_config_file() -> dict[Path, FileRefused]:
    try:
        path = aws_config_file(os.environ)
    except PathError:  # `check` reports it; nothing is read from a file without a path
        return {}
    error = Sections(path).error
    return {} if error is None else {path: error}


def _unreadable_document(broken: Mapping[Path, FileRefused]) -> list[Document]:
    return [{"path": str(path), "error": str(error)} for path, error in sorted(broken.items())]


def running_role(snapshot: Snapshot, role: Role, now: Instant) -> Document:
    """One role of a running daemon."""
    profile, files = role.profile, snapshot.delivered
    facts, planned = snapshot.state.states.get(profile), snapshot.planned.get(profile)
    if facts is None or planned is None:
        waits = "is being planned" if role.enabled else "disabled"
        return role_document(role, UNKNOWN_ROLE, False, now, waits=waits)
    read = snapshot.read_session(role)
    if read is not None:
        facts = replace(facts, session=read)
    decision, due_in = planned.decision, planned.due_in(now)
    return role_document(
        role,
        facts,
        snapshot.has_delivered(role),
        now,
        is_read=read is not None,
        due_in=None if due_in == float("inf") else due_in,
        waits="" if decision.reason == "scheduled" else decision.message,
        error=error_document(snapshot, profile),
        overwritten_by=files.overwritten_by.get(profile, ""),
        notice=files.notices.get(profile),
    )


def role_document(
    role: Role,
    facts: RoleState,
    delivered: bool,
    now: Instant,
    *,
    is_read: bool | None = None,
    due_in: float | None = None,
    waits: str = "",
    error: Document | None = None,
    overwritten_by: str = "",
    notice: Refusal | None = None,
) -> Document:
    """One role, by the session that readers get. `state` is about them: a session that could not be written is not
    `fresh`. `delivered`: whether it is the newest; `is_read`: whether there is one, the same if not given."""
    session = facts.session
    left = session.left(now) if session else None
    return {
        "profile": role.profile,
        "role_arn": role.role_arn,
        "source": role.source(),
        "deliver": role.deliver,
        "enabled": role.enabled,
        "state": condition(facts, left, delivered if is_read is None else is_read, error),
        "delivered": delivered,
        "issued_at": iso(session.received.wall) if session else None,
        "expiration": iso(session.expiration) if session else None,
        "left_seconds": round(left, 1) if left is not None else None,
        "life_seconds": round(session.life, 1) if session else None,
        "next_renewal": iso(now.wall + max(0.0, due_in)) if due_in is not None else None,
        "waits": waits or None,
        "failures": facts.failure.count if facts.failure else 0,
        "failed_seconds_ago": round(now.since(facts.failure.at), 3) if facts.failure else None,
        "last_error": error,
        "overwritten_by": overwritten_by or None,
        "notice": _notice_document(notice),
    }


def condition(facts: RoleState, left: float | None, is_read: bool, error: Document | None) -> str:
    """`fresh`, `pending`, `failing`, `expired` or `needs_login`."""
    if facts.failure is not None and facts.failure.kind is FailureKind.NEEDS_LOGIN:
        return "needs_login"
    if left is not None and left <= 0:
        return "expired"
    if error is not None and not (error["code"] == CONTESTED and is_read):
        return "failing"
    if left is None or not is_read:
        return "pending"
    return "fresh"


def error_document(snapshot: Snapshot, profile: str) -> Document | None:
    """What keeps a role from being fresh, and what to do about it."""
    files, facts = snapshot.delivered, snapshot.state.states.get(profile)
    if (refusal := files.refused.get(profile)) is not None:
        return {"code": REFUSED, "message": refusal.reason, "advice": refusal.advice}
    if other := files.overwritten_by.get(profile):
        message = f"{other} keeps overwriting this profile; it is put back, later each time"
        named = "it" if other == UNKNOWN else other
        advice = f"stop {named}, or rename the profile in one of the two; then: assumed refresh"
        return {"code": CONTESTED, "message": message, "advice": advice}
    failure = facts.failure if facts is not None else None
    if failure is None:
        return None
    return {"code": failure.code, "message": failure.message, "advice": failure.advice}


def _notice_document(notice: Refusal | None) -> Document | None:
    """What keeps some clients from the role, while others get it."""
    if notice is None:
        return None
    advice = advice_for(notice.profile, notice.advice)
    return {"code": "ConfigLineMissing", "message": notice.reason, "advice": advice}


def _is_in(section: Mapping[str, str] | None, role: Role, session: Session) -> bool:
    """Whether a reader of this section gets the session."""
    if section is None:
        return False
    if role.deliver == "process":
        is_assumeds = section.get("x_assumed", "").split()[:1] == [role.profile]
        return is_assumeds and "credential_process" in section and "aws_access_key_id" not in section
    return (
        section.get("aws_access_key_id") == session.access_key_id
        and section.get("aws_secret_access_key") == session.secret_access_key
        and section.get("aws_session_token") == session.session_token
    )
