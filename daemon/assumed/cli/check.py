"""`assumed check`: whether the configuration is right, and whether tools will see the kept profiles."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assumed.errors import ConfigError, NotAnswering, NotRunning

from .app import FAILING, OK, USAGE, config_option
from .place import configuration
from .render import Terminal, wrapped
from .terminal import terminal_of, write

if TYPE_CHECKING:
    from assumed.config import Config
    from assumed.model import Finding

MARKS = {"ok": ("✓", "ok", "32"), "warning": ("!", "warning", "33"), "error": ("✗", "error", "31")}
"""Severity → (sign, word for terminals without Unicode, colour)."""

MOST_SECONDS_OFF = 60.0

LONG_LINE = 10_000
"""Columns in a pipe: `grep` wants a finding on one line."""


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
        terminal = terminal_of(sys.stdout, elsewhere=LONG_LINE)
        roles = len(config.enabled())
        write(line("ok", str(config.path), f"{roles} role{'s' * (roles != 1)}, configuration OK", terminal))
        for finding in findings:
            write(finding_lines(finding, terminal))
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
        from assumed.model import Finding

        message, _, advice = str(error).partition(" → ")
        return None, [Finding("warning", "the daemon", message, advice)]


def _clock(status: dict[str, Any] | None) -> list[Finding]:
    """Whether the clock is right, as a running daemon has seen it in AWS's answers."""
    from assumed.model import Finding

    daemon = (status or {}).get("daemon") or {}
    offset = daemon.get("clock_offset_seconds")
    if offset is None or abs(offset) <= MOST_SECONDS_OFF:
        return []
    direction = "behind" if offset > 0 else "ahead of"
    message = f"is {abs(offset):.0f} s {direction} AWS's, which refuses what is signed 15 minutes off"
    return [Finding("warning", "this machine's clock", message, "set it right (chrony, timedatectl set-ntp true)")]


def finding_lines(finding: Finding, terminal: Terminal) -> list[str]:
    """A finding, and what to do on the lines below."""
    lines = line(finding.severity, finding.subject, finding.message, terminal)
    if finding.advice:
        lines += wrapped(finding.advice, terminal, "    → " if terminal.unicode else "    -> ")
    return lines


def line(severity: str, subject: str, message: str, terminal: Terminal) -> list[str]:
    """One marked sentence, wrapped."""
    sign, word, colour = MARKS[severity]
    mark = sign if terminal.unicode else word
    first, *rest = wrapped(f"{subject}: {message}" if subject else message, terminal, f"{mark} ")
    return [terminal.paint(mark, colour) + first[len(mark) :], *rest]
