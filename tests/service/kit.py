"""A site in a home of the test's, and services for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from assumed.service.site import Account, Site, site_of
from assumed.service.units import Spec

HOME = Path("/home/alice")
PROGRAM = ("/home/alice/.local/bin/assumed",)
PROXY = "http://alice:hunter2-hunter2@proxy.example:3128"


def site(platform: str = "linux", *, system: bool = False, home: Path = HOME, name: str = "alice") -> Site:
    """As alice's on such a platform."""
    return site_of(Account(name, 1000, 1000, home), system=system, platform=platform)


def spec(*program: str, home: Path = HOME, **more: Any) -> Spec:
    """A service that keeps `~/.aws/credentials`."""
    aws = (str(home / ".aws"),)
    return Spec(program or PROGRAM, **{"writable": aws, "directories": aws, **more})
