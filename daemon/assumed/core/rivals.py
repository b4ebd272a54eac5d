"""Who else writes credentials files, told by what each leaves beside the keys (contract §7)."""

from __future__ import annotations

from collections.abc import Mapping

# Key → the tool that writes it.
MARKS: tuple[tuple[str, str], ...] = (
    ("autoawsume", "awsume"),
    ("manager", "awsume"),
    ("assumed_role_arn", "aws-mfa"),
    ("aws_session_expiration", "gsts"),
    ("aws_credential_expiration", "aws-export-credentials"),
    ("aws_expiration", "aws-session-daemon"),
    ("x_security_token_expires", "saml2aws"),
)
NOBODY = "another program"


def rival_of(section: Mapping[str, str] | None) -> str:
    """The likely writer of a section that no longer says what we wrote; a person must know whom to stop."""
    if section is None or "x_assumed" in section:
        return NOBODY
    return next((tool for key, tool in MARKS if key in section), NOBODY)
