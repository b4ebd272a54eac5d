"""`assumed refresh`, `assumed once` and `assumed wait`: renewals that are asked for, and how they go."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assumed.engine.schedule import IN_FLIGHT
from assumed.errors import NotAnswering, NotRunning

from .app import FAILING, NO_DAEMON, OK, complete_profiles, config_option, nearest, say
from .health import Document, Role, explanation, is_enabled, is_served, trouble
from .place import Place, locate
from .terminal import console_of, is_smart, show_line

if TYPE_CHECKING:
    from assumed.config import Config

LOOK_AGAIN = (0.005, 0.1)
"""Seconds between two looks at the status document: at first, and at most. Each pause is half as long again."""
PATIENCE = 180.0
"""Seconds without any news after which a renewal counts as stuck: STS and sources have shorter deadlines."""
RENEWED = "renewed"
"""The outcome of a renewal that went well; any other is a sentence."""
BAR_AFTER = 1.0
"""Seconds after which a progress bar appears; what takes less needs none."""
WAIT_AGAIN = 0.2
"""Seconds between two looks of `assumed wait`."""

Failures = list[tuple[str, str]]
"""Profiles, each with a sentence that says why."""
Done = Callable[[str, str], None]
"""done(profile, outcome): one more role has its outcome."""


@click.command()
@config_option
@click.option("--no-wait", is_flag=True, help="Return as soon as the daemon has accepted the request.")
@click.argument("profiles", nargs=-1, metavar="[PROFILE]...", shell_complete=complete_profiles)
def refresh(config_path: Path | None, no_wait: bool, profiles: tuple[str, ...]) -> int:
    """Renew the sessions of PROFILEs now, or of every role; then wait until they are.

    For the moment after "revoke active sessions", or after fixing a permission: it skips the backoff.

    \b
    Examples:
      assumed refresh
      assumed refresh my-role other-role
    """
    if os.environ.get("ASSUMED_EVENT") == "renewed":
        # 26 renewals in ten seconds, for ever, were seen.
        raise click.UsageError("this is run by the hook after_renewal, which every renewal of it would run again")
    _, failed = _renew(locate(config_path), profiles=list(profiles), wait=not no_wait)
    return _report(failed)


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
        renewed, failed = _without_daemon(place, config_path)
    if as_json:
        document = {"renewed": renewed, "failed": [{"profile": name, "reason": reason} for name, reason in failed]}
        click.echo(json.dumps(document, indent=2))
    return _report(failed)


@click.command()
@config_option
@click.option("--timeout", default=60.0, show_default=True, metavar="SECONDS", type=click.FloatRange(min=0))
@click.argument("profiles", nargs=-1, metavar="[PROFILE]...", shell_complete=complete_profiles)
def wait(config_path: Path | None, timeout: float, profiles: tuple[str, ...]) -> int:
    """Wait until a reader of PROFILEs (or of every kept profile) finds a session with life left.

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
        time.sleep(min(WAIT_AGAIN, left))
    show_line("", shown)
    status = _report(list(unserved.items()))
    if unserved and document["daemon"] is None:
        say(document.get("daemon_error") or NO_DAEMON)
    return status


def _report(failures: Failures) -> int:
    """Say each failure; returns the exit status."""
    for profile, reason in failures:
        say(f"{profile}: {reason}")
    return FAILING if failures else OK


def _require_kept(profiles: Iterable[str], enabled: Mapping[str, bool]) -> None:
    """Raise UsageError for a profile that no role keeps, or whose role is disabled."""
    for profile in profiles:
        if profile not in enabled:
            raise click.UsageError(f"no role keeps the profile '{profile}'.{nearest(profile, enabled)}")
        if not enabled[profile]:
            raise click.UsageError(f"the role of '{profile}' is disabled; set enabled = true in the configuration")


def _unserved(document: Document, config: Config | None, profiles: tuple[str, ...]) -> dict[str, str]:
    """The profiles whose readers find no session, and why. Raises UsageError for one that is not managed.

    A role that was just added is known to the configuration before the daemon speaks of it.
    """
    roles: dict[str, Role | None] = {role.profile: None for role in config.enabled()} if config else {}
    roles |= {role["profile"]: role for role in document["roles"]}
    enabled = {profile: role is None or is_enabled(role) for profile, role in roles.items()}
    _require_kept(profiles, enabled)
    wanted = {profile: roles[profile] for profile in profiles or [name for name in roles if enabled[name]]}
    return {
        profile: (explanation(role) if role else "") or "it has no session yet"
        for profile, role in wanted.items()
        if role is None or not is_served(role)
    }


def _renew(
    place: Place, profiles: Iterable[str] = (), wait: bool = True, due_only: bool = False
) -> tuple[list[str], Failures]:
    """Have the daemon renew profiles, or all; returns those that it renews, and which of them failed."""
    before = place.ask({"command": "status"})
    _require_kept(profiles, {role["profile"]: is_enabled(role) for role in before["roles"]})
    keys = _stored_keys(place, [role["profile"] for role in before["roles"]])
    accepted = place.ask({"command": "refresh", "profiles": list(profiles), "due_only": due_only})["accepted"]
    return accepted, _follow(place, before, keys, accepted, time.monotonic()) if wait else []


def _by_daemon(place: Place) -> tuple[list[str], Failures]:
    """The profiles that the daemon renewed, and those that failed."""
    due, failed = _renew(place, due_only=True)
    after = place.ask({"command": "status"})
    names = {profile for profile, _ in failed}
    # A role that was not due may be in trouble all the same: a profile that is refused, a login that is missing.
    failed += [
        (role["profile"], explanation(role))
        for role in after["roles"]
        if trouble(role) and role["profile"] not in names
    ]
    failed += [(broken["path"], broken["error"]) for broken in after.get("unreadable", ())]
    if (error := after["credentials_file"]["error"]) is not None:
        failed.append(("credentials file", error))
    return [profile for profile in due if profile not in names], failed


def _without_daemon(place: Place, config_path: Path | None) -> tuple[list[str], Failures]:
    from assumed.runtime.main import once as renew_due

    outcomes: Failures = []
    with _progress(len(place.config.enabled()) if place.config else 0) as done:

        def note(profile: str, outcome: str) -> None:
            outcomes.append((profile, outcome))
            done(profile, outcome)

        renew_due(config_path, note)
    return [name for name, outcome in outcomes if outcome == RENEWED], [each for each in outcomes if each[1] != RENEWED]


@contextmanager
def _progress(total: int) -> Iterator[Done]:
    """Shows what has been renewed, on stderr: a bar on a terminal, once it takes longer than a second; plain lines
    elsewhere. Failures are left to the end of the command, which says each once. Yields `done`, for any thread."""
    smart, count, over = is_smart(sys.stderr), 0, threading.Event()

    def show() -> None:
        if not smart or over.wait(BAR_AFTER):
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        with Progress(TextColumn("Renewing"), BarColumn(), MofNCompleteColumn(), console=console_of(sys.stderr)) as bar:
            task = bar.add_task("", total=total)
            while not over.wait(LOOK_AGAIN[1]):
                bar.update(task, completed=count)
            bar.update(task, completed=count)

    def done(profile: str, outcome: str) -> None:
        nonlocal count
        count += 1
        if not smart and outcome == RENEWED:
            click.echo(f"{profile}: {outcome}", err=True)

    thread = threading.Thread(target=show, name="progress", daemon=True)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join()


def _follow(
    place: Place, before: Document, old_keys: Mapping[str, str | None], profiles: list[str], asked: float
) -> Failures:
    """Look until each of the profiles is renewed or has failed since it was asked for; returns the failures.

    `old_keys`: the access key ids of the sessions before, which alone tell two sessions of one second apart.
    """
    old = {role["profile"]: role for role in before["roles"]}
    waiting, failures = set(profiles), []
    news = time.monotonic()
    pause, most = LOOK_AGAIN
    with _progress(len(profiles)) as done:
        while waiting:
            time.sleep(pause)
            pause = min(most, pause * 1.5)
            keys = _stored_keys(place, waiting)  # before the document, which says whether they are delivered
            try:
                document = place.ask({"command": "status"})
            except NotAnswering:  # it has accepted the order, and is busy
                if time.monotonic() - news > PATIENCE:
                    raise
                continue
            roles = {role["profile"]: role for role in document["roles"] if role["profile"] in waiting}
            outcomes = dict.fromkeys(waiting - roles.keys(), "is no longer configured")
            for name, role in roles.items():
                renewed = keys[name] not in (None, old_keys.get(name))
                outcome = _if_renewed(role, document) if renewed else _if_failed(old.get(name), role, asked)
                if outcome:
                    outcomes[name] = outcome
            if not outcomes and (_only_wait(roles.values()) or time.monotonic() - news > PATIENCE):
                outcomes = {profile: role.get("waits") or "no answer yet" for profile, role in roles.items()}
            for profile, outcome in outcomes.items():
                done(profile, outcome)
            failures += [each for each in outcomes.items() if each[1] != RENEWED]
            waiting -= outcomes.keys()
            news = time.monotonic() if outcomes else news
    return failures


def _stored_keys(place: Place, profiles: Iterable[str]) -> dict[str, str | None]:
    from assumed.store import Store

    store = Store(place.state_dir)
    sessions = {profile: store.load(profile) for profile in profiles}
    return {profile: session.access_key_id if session else None for profile, session in sessions.items()}


def _only_wait(roles: Iterable[Role]) -> bool:
    """Whether all that is left waits for the session of another role, which has failed."""
    return all(str(role.get("waits")).startswith("waits for ") for role in roles)


def _if_renewed(role: Role, document: dict[str, Any]) -> str | None:
    """What to say of a renewed role: None while its session has still to be written."""
    if role["delivered"]:
        return RENEWED
    # A failure to renew is older than the session, which is stored a moment before status tells of it.
    is_refused = role["last_error"] and not role["failures"]
    reason = explanation(role) if is_refused else document["credentials_file"]["error"]
    return f"renewed, but not written: {reason}" if reason else None


def _if_failed(before: Role | None, now: Role, asked: float) -> str | None:
    """What to say of a role that has failed since `before`: None while it is under way. A call from before the request
    may have failed just now: that is not the answer."""
    if now["last_error"] is None or now.get("waits") == IN_FLIGHT:
        return None
    ago = now.get("failed_seconds_ago")  # an earlier daemon does not tell
    if ago is not None and ago > time.monotonic() - asked:
        return None
    if before and (now["failures"], now["last_error"]) == (before["failures"], before["last_error"]):
        return None
    return explanation(now)
