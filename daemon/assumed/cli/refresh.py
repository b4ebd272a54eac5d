"""`assumed refresh`: renew now."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from .app import FAILING, OK, config_option, nearest, say
from .completion import complete_profiles
from .health import is_enabled
from .place import locate


@click.command()
@config_option
@click.option("--no-wait", is_flag=True, help="Return as soon as the daemon has taken the order.")
@click.argument("profiles", nargs=-1, metavar="[PROFILE]...", shell_complete=complete_profiles)
def refresh(config_path: Path | None, no_wait: bool, profiles: tuple[str, ...]) -> int:
    """Renew the sessions of PROFILEs now, or of every role; then wait until they are.

    For the moment after "revoke active sessions", or after a permission was mended: no backoff is waited for.

    \b
    Examples:
      assumed refresh
      assumed refresh my-role other-role
    """
    from .follow import Progress, follow, look

    if os.environ.get("ASSUMED_EVENT") == "renewed":
        # 26 renewals in ten seconds, for ever, were seen.
        raise click.UsageError("this is run by the hook after_renewal, which every renewal of it would run again")
    place = locate(config_path)
    before = look(place)
    require_kept(profiles, {role["profile"]: is_enabled(role) for role in before.document["roles"]})
    accepted = place.ask({"command": "refresh", "profiles": list(profiles)})["accepted"]
    if no_wait:
        return OK
    with Progress(len(accepted), "Renewing") as progress:
        failures = follow(place, before, accepted, progress)
    for profile, reason in failures:
        say(f"{profile}: {reason}")
    return FAILING if failures else OK


def require_kept(profiles: Iterable[str], enabled: Mapping[str, bool]) -> None:
    """Raise UsageError for a profile that no role keeps, or whose role is disabled."""
    for profile in profiles:
        if profile not in enabled:
            raise click.UsageError(f"no role keeps the profile '{profile}'.{nearest(profile, enabled)}")
        if not enabled[profile]:
            raise click.UsageError(f"the role of '{profile}' is disabled; set enabled = true in the configuration")
