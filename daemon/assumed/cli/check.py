"""`assumed check`: whether the configuration is right, and whether tools will see the kept profiles."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assumed.errors import ConfigError, NotAnswering, NotRunning
from assumed.model import Finding

from .app import FAILING, OK, USAGE, config_option
from .place import configuration
from .terminal import Line, write

if TYPE_CHECKING:
    from assumed.config import Config

MARKS = {"ok": ("✓ ", "green"), "warning": ("! ", "yellow"), "error": ("✗ ", "red")}
"""Severity → (mark, colour)."""
MOST_SECONDS_OFF = 60.0


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="The findings, for scripts.")
def check(config_path: Path | None, as_json: bool) -> int:
    """Validate the configuration and its surroundings, without a request to AWS.

    Reports every problem at once: profiles that ~/.aws/config claims for itself, exported keys that outrank the
    kept profile, sources that cannot sign, modes, directories, the clock, a service that does not run or sees
    something else than this shell, an old daemon after an upgrade. Exit status 2 when the configuration cannot
    be used, 1 when something will not work, 0 otherwise (warnings included).

    \b
    Examples:
      assumed check
      assumed check --config ./config.toml --json
    """
    from assumed.runtime.deliverable import check_deliverable

    try:
        config = check_deliverable(configuration(config_path))
    except ConfigError as error:
        if not as_json:
            raise
        click.echo(json.dumps({"config": None, "problems": error.problems, "findings": []}, indent=2))
        return USAGE
    from assumed.doctor.inspect import inspect
    from assumed.service.findings import about, services, stopped

    (status, unanswered), installed = _status(config), services(config.path)
    passed = any(service.passed_keys for _, service in installed)
    findings = [*inspect(config, os.environ, passed_keys=passed), *_clock(status), *unanswered]
    findings += [*stopped(installed), *about(installed, config, status)]
    if as_json:
        shown = [asdict(finding) for finding in findings]
        click.echo(json.dumps({"config": str(config.path), "problems": [], "findings": shown}, indent=2))
    else:
        roles = len(config.enabled())
        write(line("ok", str(config.path), f"{roles} role{'s' * (roles != 1)}, configuration OK"))
        write(each for finding in findings for each in finding_lines(finding))
    return FAILING if any(finding.severity == "error" for finding in findings) else OK


def _status(config: Config) -> tuple[dict[str, Any] | None, list[Finding]]:
    """The status of a running daemon, None without one; and a finding where it runs but does not answer."""
    from assumed.paths import socket_path, state_dir
    from assumed.runtime.control import ask

    try:
        return ask(socket_path(state_dir(config.credentials_file)), {"command": "status"}), []
    except NotRunning:
        return None, []
    except NotAnswering as error:
        message, _, advice = str(error).partition(" → ")
        return None, [Finding("warning", "the daemon", message, advice)]


def _clock(status: dict[str, Any] | None) -> list[Finding]:
    """Whether the clock is right, as a running daemon has seen it in AWS's answers."""
    daemon = (status or {}).get("daemon") or {}
    offset = daemon.get("clock_offset_seconds")
    if offset is None or abs(offset) <= MOST_SECONDS_OFF:
        return []
    direction = "behind" if offset > 0 else "ahead of"
    message = f"is {abs(offset):.0f} s {direction} AWS's, which refuses what is signed 15 minutes off"
    return [Finding("warning", "this machine's clock", message, "set it right (chrony, timedatectl set-ntp true)")]


def finding_lines(finding: Finding) -> list[Line]:
    """A finding, and under it what to do."""
    advice = [Line(finding.advice, indent="    → ")] if finding.advice else []
    return [*line(finding.severity, finding.subject, finding.message), *advice]


def line(severity: str, subject: str, message: str) -> list[Line]:
    """A sentence behind the mark of its severity."""
    mark, colour = MARKS[severity]
    return [Line(f"{subject}: {message}" if subject else message, indent=mark, mark=colour)]
