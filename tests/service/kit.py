"""A site in a home of the test's, and services wished for it."""

from __future__ import annotations

from pathlib import Path

from assumed.service.plan import Wish
from assumed.service.program import Account
from assumed.service.site import Site, site_of
from assumed.service.units import Wanted

HOME = Path("/home/alice")
PROGRAM = ("/home/alice/.local/bin/assumed",)
PROXY = "http://alice:hunter2-hunter2@proxy.example:3128"


def site(platform: str = "linux", *, system: bool = False, home: Path = HOME, name: str = "alice") -> Site:
    """As alice's on such a platform."""
    return site_of(Account(name, 1000, 1000, home), system=system, platform=platform)


def wish(
    *program: str,
    variables: dict[str, str] | None = None,
    home: Path = HOME,
    compiles: bool = False,
    sandboxed: bool = True,
    user: str | None = None,
) -> Wish:
    """A service that keeps `~/.aws/credentials`."""
    aws = str(home / ".aws")
    wanted = Wanted(program or PROGRAM, (aws,), compiles=compiles, user=user)
    return Wish(wanted, variables or {}, needed=(aws,), sandboxed=sandboxed)
