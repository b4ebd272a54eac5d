"""`assumed once`: every due role, now, then exit."""

from __future__ import annotations

import json
from pathlib import Path

import click

from assumed.errors import NotRunning

from .app import FAILING, OK, config_option, say
from .follow import RENEWED, Progress, follow, look
from .health import explanation, trouble
from .place import Place, locate


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help='{"renewed": [PROFILE…], "failed": [{"profile", "reason"}…]}')
def once(config_path: Path | None, as_json: bool) -> int:
    """Renew every due role now, then exit: for cron, CI and containers.

    Where the daemon is running, it does the work. Exit status 1 when a role failed.

    \b
    Examples:
      assumed once
      */20 * * * * assumed once          (a crontab; sessions of an hour stay fresh)
    """
    place = locate(config_path)
    try:
        renewed, failed = _by_daemon(place)
    except NotRunning:
        renewed, failed = _by_ourselves(place, config_path)
    if as_json:
        document = {"renewed": renewed, "failed": [{"profile": name, "reason": reason} for name, reason in failed]}
        click.echo(json.dumps(document, indent=2))
    for profile, reason in failed:
        say(f"{profile}: {reason}")
    return FAILING if failed else OK


Outcome = tuple[list[str], list[tuple[str, str]]]
"""The profiles that were renewed, and those that failed, each with a sentence."""


def _by_daemon(place: Place) -> Outcome:
    before = look(place)
    due = place.ask({"command": "refresh", "profiles": [], "due_only": True})["accepted"]
    with Progress(len(due), "Renewing") as progress:
        failed = follow(place, before, due, progress)
    after = place.ask({"command": "status"})
    names = {profile for profile, _ in failed}
    # Whose turn it was not may still be in trouble: a profile that is refused, a login that is missing.
    failed += [
        (role["profile"], explanation(role))
        for role in after["roles"]
        if trouble(role) and role["profile"] not in names
    ]
    failed += [(broken["path"], broken["error"]) for broken in after.get("unreadable", ())]
    if (error := after["credentials_file"]["error"]) is not None:
        failed.append(("credentials file", error))
    return [profile for profile in due if profile not in names], failed


def _by_ourselves(place: Place, config_path: Path | None) -> Outcome:
    from assumed.runtime.main import once as renew_due

    renewed: list[str] = []
    failed: list[tuple[str, str]] = []
    total = len(place.config.enabled()) if place.config else 0
    with Progress(total, "Renewing") as progress:

        def note(profile: str, outcome: str) -> None:
            if outcome == RENEWED:
                renewed.append(profile)
            else:
                failed.append((profile, outcome))
            progress.done(profile, outcome)

        renew_due(config_path, note)
    return renewed, failed
