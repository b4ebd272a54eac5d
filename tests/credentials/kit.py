"""Sessions, kept profiles and readers for the tests of the credentials file. No value here looks like a real secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from botocore.configloader import raw_config_parse

from assumed.credentials.merge import KeptProfile, merge
from assumed.model import Instant, Session

CONFIG = "0123456789ab"
OTHER_CONFIG = "ba9876543210"
COMMAND = "/opt/assumed/bin/assumed credential-process"
EXPIRES = 1_800_003_600.0
EXPIRES_TEXT = "2027-01-15T09:00:00Z"


def session(profile: str, generation: int = 1, **changes: Any) -> Session:
    """What STS returned for `profile` the n-th time; the three values of one generation end in its number."""
    values: dict[str, Any] = {
        "profile": profile,
        "access_key_id": f"ASIATEST{generation}",
        "secret_access_key": f"secret-canary-{generation}",
        "session_token": f"token-canary-{generation}",
        "expiration": EXPIRES,
        "issued_at": EXPIRES - 3600,
        "life": 3600.0,
        "received": Instant(EXPIRES - 3600, 1000.0, "boot"),
        "principal_arn": f"arn:aws:sts::123456789012:assumed-role/Role/{profile}",
        "identity": "identity",
        "request": "request",
    }
    return Session(**(values | changes))


def keys(profile: str, generation: int = 1, region: str | None = None, **changes: Any) -> KeptProfile:
    return KeptProfile(profile, "keys", session(profile, generation, **changes), region)


def process(profile: str, region: str | None = None, generation: int | None = 1) -> KeptProfile:
    held = session(profile, generation) if generation else None
    return KeptProfile(profile, "process", held, region, f"{COMMAND} {profile}")


def no_session(profile: str) -> KeptProfile:
    return KeptProfile(profile, "keys", None)


def merged(text: bytes, *kept: KeptProfile, config_id: str = CONFIG, remove_orphans: bool = True) -> bytes:
    return merge(text, kept, config_id, remove_orphans).text


def botocore_reads(path: Path) -> dict[str, dict[str, Any]]:
    """Every profile as botocore and the AWS CLI read it from the disk."""
    profiles: dict[str, dict[str, Any]] = raw_config_parse(str(path))
    return profiles
