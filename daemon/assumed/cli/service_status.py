"""`assumed service status` and `logs`."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assumed import __version__
from assumed.aws.variables import CONFIG
from assumed.errors import ConfigError
from assumed.redact import printable

from .app import FAILING, NOT_RUNNING, OK
from .check import LONG_LINE, finding_lines, line
from .render import in_words
from .service import chosen, options
from .service_words import counted
from .terminal import terminal_of, write

if TYPE_CHECKING:
    from assumed.config import Config
    from assumed.doctor.service import Installed
    from assumed.model import Finding
    from assumed.service.facts import Choice


@click.command(name="status")
@options
@click.option("--json", "as_json", is_flag=True, help="The same for scripts; its keys only grow.")
def status_command(config_path: Path | None, system: bool, user: str | None, as_json: bool) -> int:
    """Show how the service is installed, whether it runs, and what it sees otherwise than this shell.

    How the roles are is what `assumed status` shows. Exit status 3 when the service is not running, 1 when
    something keeps it from its work, 0 otherwise (warnings included).

    \b
    Examples:
      assumed service status
      assumed service status --json | jq .running
    """
    return show_status(chosen(config_path, system, user, needs_root=False), as_json=as_json)


@click.command(name="logs")
@options
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("-n", "--lines", default=50, show_default=True, type=click.IntRange(0), help="Of the last lines.")
def logs_command(config_path: Path | None, system: bool, user: str | None, follow: bool, lines: int) -> int:
    """Show the service's log: the journal of systemd, or ~/Library/Logs/assumed.log on macOS.

    On a terminal a line for each event: time, level, event, facts. Elsewhere the lines as the daemon writes
    them, a JSON object each.

    \b
    Examples:
      assumed service logs
      assumed service logs --follow
      assumed service logs -n 1000 | jq -r 'select(.event == "role.renewal_failed") | .profile'
    """
    from . import service_logs as logs

    site = chosen(config_path, system, user, needs_root=False).site
    return logs.show(site, follow=follow, lines=lines, readable=sys.stdout.isatty())


def show_status(choice: Choice, *, as_json: bool) -> int:
    """What `status` does for a choice that is made. Returns the exit status. Raises AssumedError."""
    choice = choice.settled()
    document, findings = _look(choice)
    if as_json:
        click.echo(json.dumps({**document, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        _show(document, findings, choice)
    if not document["running"]:
        return NOT_RUNNING
    return FAILING if any(finding.severity == "error" for finding in findings) else OK


def _look(choice: Choice) -> tuple[dict[str, Any], list[Finding]]:
    """How the service stands, and what there is to say about it."""
    from assumed.service.execute import acting_as
    from assumed.service.findings import about, service_of

    seen = choice.manager.seen()
    found = service_of(choice)
    choice = _of_the_service(choice, found)
    findings: list[Finding] = []
    config: Config | None = None
    try:
        config = choice.configuration()
    except ConfigError as error:
        findings += [_unusable(error)] if found and choice.may_judge else []
    place = _credentials_file(choice, config)
    status = choice.status(*place) if place is not None else None
    daemon = status["daemon"] if status and status["daemon"]["pid"] == seen.pid else {}
    document = {
        "unit": choice.site.unit,
        "file": str(found.file) if found else None,
        "program": list(found.program) if found else None,
        "confined": bool(found and found.writable is not None),
        "enabled": seen.enabled,
        "lingering": choice.manager.lingers() if choice.site.manager == "systemd" and not choice.site.system else None,
        "running": seen.running,
        "pid": seen.pid or None,
        "started_at": daemon.get("started_at"),
        "restarts": seen.restarts,
        "says": seen.said or None,
        "version": daemon.get("version"),
        "installed_version": __version__,
        "config": daemon.get("config") or (str(place[0]) if place else None),
    }
    if found and config:
        with acting_as(choice.account):
            findings += about([(choice, found)], config, status)
    return document, findings


def _of_the_service(choice: Choice, found: Installed | None) -> Choice:
    """With the configuration that the service has been told, unless this command names one."""
    told = ((found.variables if found else None) or {}).get(CONFIG)
    return choice if choice.names_its_configuration or not told else replace(choice, config_path=Path(told))


def _unusable(error: ConfigError) -> Finding:
    """The daemon goes on with the last good configuration, until its next start."""
    from assumed.model import Finding

    advice = "assumed check says all of it; a running service goes on with the last good one"
    return Finding("error", "the configuration", error.problems[0].splitlines()[0], advice)


def _credentials_file(choice: Choice, config: Config | None) -> tuple[Path, Path] | None:
    """The configuration, and whose profiles it is about: also where it cannot be used. None where that is not told."""
    from assumed.paths import named_credentials_file

    if config is not None:
        return config.path, config.credentials_file
    try:
        path, text = choice.text()
        return path, named_credentials_file(text, path, choice.environ)
    except ConfigError:
        return None


def _show(document: dict[str, Any], findings: list[Finding], choice: Choice) -> None:
    from assumed.service.findings import others

    terminal = terminal_of(sys.stdout, elsewhere=LONG_LINE)
    if document["file"] is None:
        write(line("error", document["unit"], "is not installed", terminal))
        write([f"  {choice.site.again}"])
        for other in others(choice):
            write(finding_lines(other, terminal))
        return
    said = {"says": document["says"]} if document["running"] and document["says"] else {}
    rows = {
        "installed": document["file"] + (", with the sandbox" if document["confined"] else ""),
        "starts": " ".join(document["program"]),
        "enabled": _enabled(document),
        "running": _running(document),
        **said,
        "version": document["version"] or _silent_version(document),
        "config": document["config"] or "cannot be used; see `assumed check`",
    }
    lines = (
        f"  {name:<11}{printable(value)}" for name, value in rows.items()
    )  # a daemon of another account's, perhaps
    write([terminal.paint(document["unit"], "1"), *lines])
    for finding in findings:
        write(finding_lines(finding, terminal))


def _silent_version(document: dict[str, Any]) -> str:
    """A running one that does not answer may be an older one."""
    here = str(document["installed_version"])
    return f"{here} is installed; the running one does not answer" if document["running"] else here


def _enabled(document: dict[str, Any]) -> str:
    if not document["enabled"]:
        return "no: it is not started by itself"
    if document["lingering"] is None:
        return "yes"
    return "yes, from the machine's start on" if document["lingering"] else "yes, while you are logged in"


def _running(document: dict[str, Any]) -> str:
    if not document["running"]:
        parts = [document["says"] or ""]
        if document["restarts"]:
            parts.append(f"{counted(document['restarts'], 'restart')} so far")
        said = ", ".join(filter(None, parts))
        return f"no ({said})" if said else "no"
    from datetime import datetime

    parts = [f"pid {document['pid']}"]
    if document["started_at"]:
        began = datetime.fromisoformat(document["started_at"])
        parts.insert(0, f"since {began.astimezone():%Y-%m-%d %H:%M:%S} ({in_words(time.time() - began.timestamp())})")
    if document["restarts"]:
        parts.append(
            "started again once" if document["restarts"] == 1 else f"started again {document['restarts']} times"
        )
    return ", ".join(["yes", *parts])
