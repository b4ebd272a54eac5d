"""Another program that overwrites a kept profile: who it may be, and when the profile is put back.

A program that writes once is answered after a second. One that goes on is answered ever later, so that two managers of
one profile do not rewrite the file all day; but readers of a profile without a session never wait for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

FIRST, FACTOR, LONGEST = 1.0, 5.0, 600.0
"""Seconds until a profile is put back: after the first overwriting, times so much after each further one, at most."""
QUIET = 600.0
"""Seconds after which a profile that nobody has overwritten again has no conflict any more."""

# Key → the tool that writes it (aws-contract: writers of the credentials file).
MARKS: tuple[tuple[str, str], ...] = (
    ("autoawsume", "awsume"),
    ("manager", "awsume"),
    ("assumed_role_arn", "aws-mfa"),
    ("aws_session_expiration", "gsts"),
    ("aws_credential_expiration", "aws-export-credentials"),
    ("aws_expiration", "aws-session-daemon"),
    ("x_security_token_expires", "saml2aws"),
)
UNKNOWN = "another program"
ENDS = (
    "x_security_token_expires",
    "aws_session_expiration",
    "aws_credential_expiration",
    "aws_expiration",
    "expiration",
)
"""Keys under which tools note when a session ends."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A profile that another program has overwritten."""

    overwritten_by: str
    count: int
    session: str
    """Access key id of the session that was delivered: a newer one is written at once, whatever the delay."""
    put_back_at: float | None
    """By the boot clock; None once it has been put back."""
    last_at: float
    """When it was last overwritten or put back, by the boot clock."""

    def is_over(self, now: float) -> bool:
        """Whether it has been quiet for so long that the next overwriting is a first one."""
        return self.put_back_at is None and now - self.last_at >= QUIET


def after_overwriting(
    before: Conflict | None, section: Mapping[str, str] | None, session: str, at: float, wall: float
) -> Conflict:
    """The conflict after an overwriting at `at` (boot clock), which left `section`; `wall` is POSIX time."""
    count = before.count + 1 if before is not None else 1
    delay = min(LONGEST, FIRST * FACTOR ** min(count - 1, 10))
    delay = max(FIRST, min(delay, life_left(section, wall)))
    return Conflict(writer_of(section), count, session, at + delay, at)


def life_left(section: Mapping[str, str] | None, wall: float) -> float:
    """Seconds for which readers of a section have a session, as far as it tells; 0 where they have none."""
    if section is None:
        return 0.0
    if "credential_process" not in section and not {"aws_access_key_id", "aws_secret_access_key"} <= section.keys():
        return 0.0
    ends = (end for key in ENDS if (end := _posix(section.get(key, ""))) is not None)
    return min((end - wall for end in ends), default=LONGEST)


def _posix(text: str) -> float | None:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()


def writer_of(section: Mapping[str, str] | None) -> str:
    """The likely writer of a section that no longer says what was delivered: a person must know which one to stop."""
    if section is None or "x_assumed" in section:
        return UNKNOWN
    return next((tool for key, tool in MARKS if key in section), UNKNOWN)
