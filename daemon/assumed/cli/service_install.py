"""`assumed service install` and `print`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click

from assumed import __version__
from assumed.config import Config, find
from assumed.config.report import listed
from assumed.errors import AlreadyRunning, AssumedError, ConfigError
from assumed.redact import printable
from assumed.service import execute, units
from assumed.service.choice import Choice, spec
from assumed.service.environment import started_programs
from assumed.service.execute import Record
from assumed.service.manager import TEMPORARY, State
from assumed.service.plan import Phase, Plan, commands, plan
from assumed.service.site import program, trial

from .app import FAILING, OK, USAGE, say
from .health import is_enabled, is_healthy, is_served
from .service import chosen, counted, options, report
from .status import show
from .terminal import show_line, write

FIRST_SESSIONS_SECONDS = 15.0
"""The daemon reports READY within 10 s whatever the network does."""


@click.command(name="install")
@options
@click.option("--dry-run", is_flag=True, help="Show every file and every command, and change nothing.")
def install_command(config_path: Path | None, system: bool, user: str | None, dry_run: bool) -> int:
    """Install the service and start it, or bring an installed one up to date.

    The configuration is validated first; where there is none, a commented one is written for you to fill in.
    Variables of this shell that a service would not see (AWS_CONFIG_FILE, endpoints, proxies …) are captured in a
    file that only you can read; credentials never are. A second install changes only what differs. It keeps
    variables that an earlier install captured and this shell does not set; set one to nothing to drop it. Put
    local overrides in a drop-in (systemctl --user edit assumed).

    \b
    Examples:
      assumed service install
      assumed service install --dry-run
      HTTPS_PROXY= assumed service install      drop the captured proxy
      assumed --config /srv/team/assumed.toml service install
      sudo assumed service install --system --user alice
    """
    return install(chosen(config_path, system, user, needs_root=not dry_run), dry_run=dry_run)


@click.command(name="print")
@options
def print_command(config_path: Path | None, system: bool, user: str | None) -> int:
    """Print the files that install would write, for configuration management.

    Passwords in the URLs of proxies are masked. The service manager is not asked, so the sandbox is always among
    the files.

    \b
    Examples:
      assumed service print
      assumed service print --system --user alice
    """
    choice = chosen(config_path, system, user, needs_root=False)
    _show_files(_planned(choice, choice.configuration(), sandboxed=True))
    return OK


def _planned(choice: Choice, config: Config, *, sandboxed: bool) -> Plan:
    """The plan of that service, for this shell and this very program. Raises AssumedError."""
    return plan(choice.site, spec(choice, config, sandboxed=sandboxed))


def _show_files(planned: Plan) -> None:
    """Prints every file, whole, under its name and mode."""
    for file in planned.files:
        click.echo(f"# ---- {file.path} (mode {file.mode:04o})\n{file.shown}")
    if any(file.shown != file.text for file in planned.files):
        say("passwords are masked ([hidden]); install writes them")
    _report_kept(planned)


def _report_kept(planned: Plan) -> None:
    """What the service keeps of the environment that an earlier install captured, and how to drop it."""
    if planned.kept:
        drop = planned.site.command("install", setting=f"{planned.kept[0]}=")
        report("ok", "kept from the last install", f"{', '.join(planned.kept)} (to drop one: {drop})")


def install(choice: Choice, *, dry_run: bool = False) -> int:
    """Installs that service. Returns the exit status. Raises AssumedError."""
    choice = choice.resolved()
    if not choice.names_configuration and _writes_example(choice, dry_run=dry_run):
        return USAGE
    config = choice.configuration()
    trial(program(), choice.account)
    planned = _planned(choice, config, sandboxed=True)
    unconfined = _sandbox_error(choice, planned, config)
    if unconfined:
        planned = _planned(choice, config, sandboxed=False)
    lingers = not commands(choice.site, "linger") or choice.manager.lingers()
    if dry_run:
        return _show_plan(planned, unconfined, lingers=lingers)
    state, document = choice.manager.state(), choice.status(config.path, config.credentials_file)
    if document is not None and document["daemon"]["pid"] != state.pid:
        raise AlreadyRunning(
            f"another assumed (pid {document['daemon']['pid']}) keeps these profiles; stop it first (Ctrl-C, or "
            "`assumed service uninstall` of another service), then install again"
        )
    report("ok", str(config.path), f"{counted(len(config.enabled()), 'role')}, configuration OK")
    if unconfined:
        report("warning", choice.site.title, f"runs without the sandbox: {unconfined}")
    is_upgrade = document is not None and document["daemon"]["version"] != __version__
    _carry_out(choice, planned, config, state, lingers=lingers, is_upgrade=is_upgrade)
    return _first_look(choice, config)


def _carry_out(choice: Choice, planned: Plan, config: Config, state: State, *, lingers: bool, is_upgrade: bool) -> None:
    """Writes what differs and starts what is not as it should be; a record of it is written at every step."""
    site, manager = choice.site, choice.manager
    record = execute.read_record(site.record) or Record()
    if record.config and record.config != str(config.path):  # a shell without $ASSUMED_CONFIG, say
        advice = f"to return to it: {site.command('install', '--config', record.config)}"
        report("warning", str(config.path), f"replaces {record.config} as the service's configuration", advice)
    record.version, record.config, record.credentials_file = __version__, str(config.path), str(config.credentials_file)
    try:
        changes = execute.write(planned, record)
    finally:
        execute.write_record(site, record)  # uninstall removes what was made before a failure
    for change in changes:
        report(change.severity, change.subject, change.message)
    _report_kept(planned)
    if changes or not state.enabled:
        manager.run_all(commands(site, "register"))
    if not lingers:
        refused = manager.run_all(commands(site, "linger"))
        record.lingering = refused is None
        execute.write_record(site, record)
        message = f"ends with your last session, as lingering could not be enabled ({refused})"
        if refused is None:
            report("ok", choice.account.name, "services run while logged out (lingering enabled)")
        else:
            report("warning", site.title, message, commands(site, "linger")[0].instead)
    try:
        if state.running and not changes and not is_upgrade:
            report("ok", site.title, "installed and running, no change needed")
        else:
            _start(choice, state, changed=bool(changes))
    finally:
        _warn(choice, config)


def _start(choice: Choice, state: State, *, changed: bool) -> None:
    site = choice.site
    # `restart` starts a unit that has ended, and one that waits for its next try: systemd.service(5), RestartSec=.
    phase: Phase = "start" if not state.loaded else "replace" if changed else "restart"
    began = time.monotonic()
    try:
        choice.manager.run_all(commands(site, phase))
    except AssumedError as error:
        raise AssumedError(f"{error}\n  see its log: {site.command('logs', '-n', '20')}") from None
    report("ok", site.title, f"{'restarted' if state.running else 'started'} in {time.monotonic() - began:.1f} s")


def _warn(choice: Choice, config: Config) -> None:
    """What will keep roles from working; the service is installed all the same, and retries."""
    service = choice.manager.installed()
    for finding in choice.check(config):
        if finding.severity == "error" or (finding.severity, finding.subject) == ("warning", choice.site.title):
            report(finding.severity, finding.subject, finding.message, finding.advice)
    with execute.acting_as(choice.account):
        programs = started_programs(config, choice.environ)
    if programs and service is not None and service.writable is not None:
        edit = " ".join([*choice.site.systemctl, "edit", choice.site.unit])
        message = f"may write only where the service may: {', '.join(map(str, service.writable))}"
        report(
            "warning", listed(programs, "and"), message, f"for another directory: {edit}, ReadWritePaths= in [Service]"
        )


def _writes_example(choice: Choice, *, dry_run: bool) -> bool:
    """Whether there is no configuration; then one to fill in is written."""
    try:
        find(None, choice.environ)
    except ConfigError:
        path = choice.usual_configuration
    else:
        return False
    if dry_run:
        say(f"no configuration: install would write one to fill in: {path}")
        return True
    execute.write_for(choice.account, path, units.commented_configuration())
    say(
        f"no configuration found; wrote one to fill in: {path}\n"
        "  Add a [[roles]] entry: the profile to keep fresh, its role_arn, and the source_profile that signs.\n"
        f"  Then: {choice.site.command('install')}"
    )
    return True


def _sandbox_error(choice: Choice, planned: Plan, config: Config) -> str:
    """Why the service cannot run in the sandbox; "" where it can, and where the site has none."""
    drop_in = next((file for file in planned.files if file.path == choice.site.drop_in), None)
    if drop_in is None:
        return ""
    hidden = [path for path in (config.path, config.credentials_file) if any(map(path.is_relative_to, TEMPORARY))]
    return f"it would hide {hidden[0]}" if hidden else choice.manager.sandbox_error(drop_in.text, program())


def _show_plan(planned: Plan, unconfined: str, *, lingers: bool) -> int:
    """`--dry-run`: every directory, file and command, in their order."""
    for directory in (one for one in planned.directories if not one.exists()):
        click.echo(
            f"# ---- {directory} (directory, mode {'0755' if planned.site.is_of_machine(directory) else '0700'})"
        )
    _show_files(planned)
    for phase in ("register", *(() if lingers else ("linger",)), "start"):
        for command in commands(planned.site, phase):
            click.echo(f"$ {command!s:<58}  # {command.why}")
    if unconfined:
        say(f"without the sandbox: {unconfined}")
    say("no change made (--dry-run)")
    return OK


def _first_look(choice: Choice, config: Config) -> int:
    """Shows the roles' status as soon as each of them has been tried. Returns the exit status."""
    if not choice.account.is_ours:
        done = choice.as_account(["status"], config.path, config.credentials_file)
        write([printable(line) for line in done.stdout.splitlines()])
        write([printable(line) for line in done.stderr.splitlines()], sys.stderr)
        return done.returncode
    deadline = time.monotonic() + FIRST_SESSIONS_SECONDS
    shown = show_line("waiting for the first sessions …", 0)
    while not _is_tried(document := choice.status(config.path, config.credentials_file)):
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    show_line("", shown)
    if document is None:
        raise AssumedError(f"the service does not answer\n  see its log: {choice.site.command('logs', '-n', '20')}")
    write([""])
    show(document)
    return OK if is_healthy(document) else FAILING


def _is_tried(document: dict[str, Any] | None) -> bool:
    """Whether each role has a session, a failure, or waits for a role that has failed."""
    return document is not None and all(
        is_served(role) or role["last_error"] or str(role.get("waits")).startswith("waits for ")
        for role in filter(is_enabled, document["roles"])
    )
