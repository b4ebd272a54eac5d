"""`assumed wait`: until roles are fresh."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .app import FAILING, NO_DAEMON, OK, config_option, say
from .completion import complete_profiles
from .health import Document, Role, explanation, is_enabled, is_served
from .place import locate
from .refresh import require_kept
from .terminal import show_line

if TYPE_CHECKING:
    from assumed.config import Config

LOOK_AGAIN = 0.2
"""Seconds between two looks."""


@click.command()
@config_option
@click.option("--timeout", default=60.0, show_default=True, metavar="SECONDS", type=click.FloatRange(min=0))
@click.argument("profiles", nargs=-1, metavar="[PROFILE]...", shell_complete=complete_profiles)
def wait(config_path: Path | None, timeout: float, profiles: tuple[str, ...]) -> int:
    """Wait until whoever reads PROFILEs (or every kept profile) finds a session with life left.

    The daemon may start later. Exit status 1, and a sentence for each role, when the time is over.

    \b
    Examples:
      assumed wait && ./nightly-job.sh
      assumed wait my-role --timeout 300
    """
    deadline = time.monotonic() + timeout
    shown = 0
    while True:
        place = locate(config_path)  # each time: the configuration may be what the daemon waits for
        document = place.document()
        unserved = _unserved(document, place.config, profiles)
        left = deadline - time.monotonic()
        if not unserved or left <= 0:
            break
        shown = show_line(f"waiting for {', '.join(unserved)}", shown)
        time.sleep(min(LOOK_AGAIN, left))
    show_line("", shown)
    for profile, reason in unserved.items():
        say(f"{profile}: {reason}")
    if unserved and document["daemon"] is None:
        say(document.get("daemon_error") or NO_DAEMON)
    return FAILING if unserved else OK


def _unserved(document: Document, config: Config | None, profiles: tuple[str, ...]) -> dict[str, str]:
    """The profiles whose readers find no session, and why. Raises UsageError for one that nobody keeps.

    A role that was just added is known to the configuration before the daemon speaks of it.
    """
    roles: dict[str, Role | None] = {role.profile: None for role in config.enabled()} if config else {}
    roles |= {role["profile"]: role for role in document["roles"]}
    enabled = {profile: role is None or is_enabled(role) for profile, role in roles.items()}
    require_kept(profiles, enabled)
    wanted = {profile: roles[profile] for profile in profiles or [name for name in roles if enabled[name]]}
    return {
        profile: (explanation(role) if role else "") or "it has no session yet"
        for profile, role in wanted.items()
        if role is None or not is_served(role)
    }
