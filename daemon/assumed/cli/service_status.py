"""`assumed service status` and `logs`."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from assumed import __version__
from assumed.aws.variables import CONFIG
from assumed.config import Config
from assumed.errors import AssumedError, ConfigError
from assumed.model import Finding
from assumed.redact import printable
from assumed.service.choice import Choice
from assumed.service.execute import acting_as, read_record
from assumed.service.findings import about, services
from assumed.service.site import Site

from .app import FAILING, NOT_RUNNING, OK, say
from .check import finding_lines
from .render import in_words
from .service import chosen, counted, options
from .terminal import Line, write


@click.command(name="status")
@options
@click.option("--json", "as_json", is_flag=True, help="The same for scripts; its keys only grow.")
def status_command(config_path: Path | None, system: bool, user: str | None, as_json: bool) -> int:
    """Show how the service is installed, whether it runs, and how its environment differs from this shell's.

    `assumed status` shows the roles. Exit status 3 when the service is not running, 1 when an error keeps it from
    working, 0 otherwise (warnings included).

    \b
    Examples:
      assumed service status
      assumed service status --json | jq .running
    """
    return show_status(chosen(config_path, system, user, needs_root=False), as_json=as_json)


@click.command(name="logs")
@options
@click.option("-f", "--follow", is_flag=True, help="Show new lines until Ctrl-C.")
@click.option("-n", "--lines", default=50, show_default=True, type=click.IntRange(0), help="Number of last lines.")
def logs_command(config_path: Path | None, system: bool, user: str | None, follow: bool, lines: int) -> int:
    """Show the service's log: systemd's journal by journalctl, ~/Library/Logs/assumed.log on macOS.

    In a pipe each line is the JSON object that the daemon wrote.

    \b
    Examples:
      assumed service logs
      assumed service logs --follow
      assumed service logs -n 1000 | jq -r 'select(.event == "role.renewal_failed") | .profile'
    """
    words = log_command(chosen(config_path, system, user, needs_root=False).site, follow=follow, lines=lines)
    try:
        os.execvp(words[0], words)  # noqa: S606 - no shell is wanted
    except FileNotFoundError:
        raise AssumedError(f"{words[0]} is not installed") from None


def log_command(site: Site, *, follow: bool, lines: int) -> list[str]:
    """The command that shows the log. `--user-unit` finds a user's unit in any journal."""
    if site.manager == "launchd":
        return ["tail", f"-n{lines}", *(["-F"] if follow else []), str(site.account.home / "Library/Logs/assumed.log")]
    unit = f"--unit={site.unit}" if site.system else f"--user-unit={site.unit}"
    form = [] if sys.stdout.isatty() else ["--output=cat", "--quiet"]
    return ["journalctl", "--no-pager", "--all", f"--lines={lines}", unit, *form, *(["--follow"] if follow else [])]


def show_status(choice: Choice, *, as_json: bool) -> int:
    """Shows the status of that service. Returns the exit status. Raises AssumedError."""
    try:
        choice = choice.resolved()
    except AssumedError:
        if choice.site.file.exists():
            say(f"{choice.site.file} exists; its state and settings are unknown")
        raise
    document, findings = _look(choice)
    if as_json:
        click.echo(json.dumps({**document, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        _show(document, findings, choice)
    if not document["running"]:
        return NOT_RUNNING
    return FAILING if any(finding.severity == "error" for finding in findings) else OK


def _look(choice: Choice) -> tuple[dict[str, Any], list[Finding]]:
    """The service's state, and the findings about it."""
    state, found = choice.manager.state(), choice.manager.installed()
    used = ((found.variables if found else None) or {}).get(CONFIG)
    if used and not choice.names_configuration:
        choice = replace(choice, config_path=Path(used))
    findings: list[Finding] = []
    config: Config | None = None
    try:
        config = choice.configuration()
    except ConfigError as error:
        advice = "see assumed check; a running service continues with the last good one"
        if found and os.geteuid() in (0, choice.account.uid):  # others may not read it
            findings.append(Finding("error", "the configuration", error.problems[0].splitlines()[0], advice))
    record = read_record(choice.site.record)  # also where the configuration cannot be used
    known = (
        (config.path, config.credentials_file)
        if config
        else (record.config, record.credentials_file)
        if record
        else None
    )
    status = choice.status(*map(Path, known)) if known else None
    daemon = status["daemon"] if status and status["daemon"]["pid"] == state.pid else {}
    lingers = choice.manager.lingers() if choice.site.manager == "systemd" and not choice.site.system else None
    if found and config:
        with acting_as(choice.account):
            findings += about([(choice, found)], config, status)
    document = {
        "unit": choice.site.unit,
        "file": str(found.file) if found else None,
        "program": list(found.command) if found else None,
        "confined": bool(found and found.writable is not None),
        "enabled": state.enabled,
        "lingering": lingers,
        "running": state.running,
        "pid": state.pid or None,
        "started_at": daemon.get("started_at"),
        "restarts": state.restarts,
        "says": state.detail or None,
        "version": daemon.get("version"),
        "installed_version": __version__,
        "config": daemon.get("config") or (str(known[0]) if known else None),
    }
    return document, findings


def _show(document: dict[str, Any], findings: list[Finding], choice: Choice) -> None:
    if document["file"] is None:
        others = [one.site for _, one in services(choice.config_path) if one.site.unit != document["unit"]]
        findings = [Finding("error", document["unit"], "is not installed", choice.site.command("install"))]
        findings += [Finding("ok", site.title, "is installed", site.command("status")) for site in others]
    else:
        here = document["installed_version"]
        old = f"{here} is installed; the running one does not answer" if document["running"] else here
        enabled = {None: "yes", True: "yes, starts at boot", False: "yes, while you are logged in"}
        rows = {
            "installed": document["file"] + ", with the sandbox" * document["confined"],
            "starts": " ".join(document["program"]),
            "enabled": enabled[document["lingering"]] if document["enabled"] else "no: it does not start by itself",
            "running": _running(document),
            "says": document["says"] if document["running"] else None,
            "version": document["version"] or old,
            "config": document["config"] or "cannot be used; see `assumed check`",
        }
        lines = [f"  {name:<11}{printable(value)}" for name, value in rows.items() if value]
        write([Line(document["unit"], "bold"), *lines])
    for finding in findings:
        write(finding_lines(finding))


def _running(document: dict[str, Any]) -> str:
    restarts = [counted(document["restarts"], "restart")] if document["restarts"] else []
    if not document["running"]:
        reasons = ", ".join([*filter(None, [document["says"]]), *restarts])
        return f"no ({reasons})" if reasons else "no"
    since = []
    if document["started_at"]:
        began = datetime.fromisoformat(document["started_at"])
        since = [f"since {began.astimezone():%Y-%m-%d %H:%M:%S} ({in_words(time.time() - began.timestamp())})"]
    return ", ".join(["yes", *since, f"pid {document['pid']}", *restarts])
