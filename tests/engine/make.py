"""Values for the tests of the core: a session, an instant, a role, each with the one thing that matters changed."""

from __future__ import annotations

from typing import Any

from assumed.model import Failure, FailureKind, Instant, Role, Session

START = 1_800_000_000.0


def at(seconds: float, *, wall_offset: float = 0.0, boot_id: str = "boot-1") -> Instant:
    """The instant `seconds` after the start; the wall clock may be off, the boot clock never is."""
    return Instant(wall=START + seconds + wall_offset, boot=1000.0 + seconds, boot_id=boot_id)


def session(life: float = 3600.0, received: Instant | None = None, **facts: Any) -> Session:
    """A session of `life` seconds received at the start."""
    received = received or at(0)
    values: dict[str, Any] = {
        "profile": "p",
        "access_key_id": "ASIATEST1",
        "secret_access_key": "secret-of-a-test",
        "session_token": "token-of-a-test",
        "expiration": START + life,
        "issued_at": START,
        "life": life,
        "received": received,
        "principal_arn": "arn:aws:sts::123456789012:assumed-role/p/s",
        "identity": "identity",
        "request": "request",
    }
    return Session(**{**values, **facts})


def failure(kind: FailureKind, when: Instant | None = None, count: int = 1) -> Failure:
    """A failure of one kind."""
    return Failure(kind, "Code", "message", "advice", when or at(0), count)


def role(profile: str = "p", **facts: Any) -> Role:
    """A role signed for by the source profile `default`."""
    values: dict[str, Any] = {"role_arn": f"arn:aws:iam::123456789012:role/{profile}", "source_profile": "default"}
    return Role(profile=profile, **{**values, **facts})
