"""Status documents to show, made from the few facts that a test is about."""

from __future__ import annotations

import time
from typing import Any

NOW = 1_800_000_000.0


def iso(posix: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(posix))


def role(
    profile: str = "my-role", left: float | None = 2467.2, life: float | None = 3600.0, **facts: Any
) -> dict[str, Any]:
    """A role of a status document; fresh, delivered and renewed in 12 minutes unless told otherwise."""
    return {
        "profile": profile,
        "role_arn": "arn:aws:iam::123456789012:role/MyApp/MyS3Access",
        "deliver": "keys",
        "source": "profile:default",
        "state": "fresh",
        "issued_at": iso(NOW - 1133),
        "expiration": iso(NOW + (left or 0)),
        "next_renewal": iso(NOW + 730),
        "failures": 0,
        "failed_seconds_ago": None,
        "last_error": None,
        "delivered": True,
        "left_seconds": left,
        "life_seconds": life,
        **facts,
    }


DENIED = {
    "code": "AccessDenied",
    "message": "User: arn:aws:iam::123456789012:user/natan is not authorized to perform: sts:AssumeRole",
    "advice": "Allow sts:AssumeRole on the role in a policy of the user, and the user in the role's trust policy",
}


def document(*roles: dict[str, Any], running: bool = True, **facts: Any) -> dict[str, Any]:
    """A status document; `facts` replace parts of `daemon` or, with the prefix `file_`, of `credentials_file`."""
    file = {name.removeprefix("file_"): facts.pop(name) for name in list(facts) if name.startswith("file_")}
    daemon = {
        "pid": 4711,
        "version": "0.1.0",
        "started_at": iso(NOW - 12_000),
        "config": "/home/natan/.config/assumed/config.toml",
        "config_error": None,
        **facts,
    }
    return {
        "daemon": daemon if running else None,
        "credentials_file": {"path": "/home/natan/.aws/credentials", "written_at": iso(NOW), "error": None, **file},
        "roles": list(roles),
    }
