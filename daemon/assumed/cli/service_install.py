"""`assumed service install`."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assumed import __version__
from assumed.errors import AlreadyRunning, AssumedError
from assumed.redact import printable

from .app import FAILING, OK, USAGE, say
from .health import is_enabled, is_healthy, is_served
from .render import render
from .service import chosen, options
from .service_print import planned_for, show_plan, tell_kept
from .service_words import TICK, counted, tell, with_progress
from .terminal import terminal_of, write

if TYPE_CHECKING:
    from assumed.config import Config
    from assumed.service.facts import Choice
    from assumed.service.manager import Seen
    from assumed.service.plan import Command, Plan
    from assumed.service.record import Record
    from assumed.service.site import Site

TRIED_SECONDS = 15.0
"""For the first renewals; the daemon says READY within 10 s whatever the network does."""


@click.command(name="install")
@options
@click.option("--dry-run", is_flag=True, help="Show every file and every command, and do nothing.")
def install_command(config_path: Path | None, system: bool, user: str | None, dry_run: bool) -> int:
    """Install the service and start it, or bring an installed one up to date.

    The configuration is validated first; where there is none, a commented one is written for you to fill in.
    What this shell has set and a service would not see (AWS_CONFIG_FILE, endpoints, proxies …) is taken along,
    in a file for you alone; credentials never are. A second install changes nothing, unless there is something
    to change; what the first took along and this shell does not set is kept, until you set it to nothing. What
    you want otherwise belongs into a drop-in (systemctl --user edit assumed).

    \b
    Examples:
      assumed service install
      assumed service install --dry-run
      HTTPS_PROXY= assumed service install      no proxy any more
      assumed --config /srv/team/assumed.toml service install
      sudo assumed service install --system --user alice
    """
    return install(chosen(config_path, system, user, needs_root=not dry_run), dry_run=dry_run)


def install(choice: Choice, *, dry_run: bool = False) -> int:
    """What `install` does for a choice that is made. Returns the exit status. Raises AssumedError."""
    from assumed.service.program import program, trial

    choice = choice.settled()
    if not choice.names_its_configuration and _writes_example(choice, dry_run=dry_run):
        return USAGE
    config = choice.configuration()
    trial(program(), choice.account)
    planned = planned_for(choice, config, sandboxed=True)
    unconfined = _why_no_sandbox(choice, planned, config)
    if unconfined:
        planned = planned_for(choice, config, sandboxed=False)
    lingers = planned.lingering is None or choice.manager.lingers()
    if dry_run:
        return show_plan(planned, unconfined, lingers=lingers)
    seen, document = choice.manager.seen(), choice.status(config.path, config.credentials_file)
    _refuse_beside_another(document, seen.pid, planned)
    tell("ok", str(config.path), f"{counted(len(config.enabled()), 'role')} to keep, no mistake")
    if unconfined:
        tell("warning", planned.site.title, f"runs without the sandbox: {unconfined}")
    old = document["daemon"]["version"] if document else __version__
    _Installation(choice, planned, config, seen).carry_out(old, lingers=lingers)
    return _first_look(choice, config)


@dataclass
class _Installation:
    """One plan being carried out."""

    choice: Choice
    planned: Plan
    config: Config
    seen: Seen

    def carry_out(self, old_version: str, *, lingers: bool) -> None:
        """Writes what differs and starts what is not as it should be; a record of it is kept at every step."""
        from assumed.service.record import Record, read

        record = read(self.planned.site.record) or Record()
        self._tell_another_configuration(record)
        record.version = __version__
        record.config, record.credentials_file = str(self.config.path), str(self.config.credentials_file)
        changed = self._write(record)
        own = self.choice.account.uid == os.getuid()
        if own:
            _warn(self.choice, self.config)
        if changed or not self.seen.enabled:
            _give(self.choice, self.planned.register)
        if not lingers and self.planned.lingering is not None:
            self._linger(self.planned.lingering, record)
        self._keep(record)
        try:
            self._bring_up(old_version, changed=changed)
        finally:
            if not own:  # `check` as the account looks at how the service stands, too
                _warn(self.choice, self.config)

    def _tell_another_configuration(self, record: Record) -> None:
        """A shell without $ASSUMED_CONFIG, say, where the last install had one."""
        if record.config and record.config != str(self.config.path):
            message = f"takes the place of {record.config}, which the service has kept until now"
            advice = f"if that is not meant: {self.planned.site.command('install', '--config', record.config)}"
            tell("warning", str(self.config.path), message, advice)

    def _write(self, record: Record) -> bool:
        from assumed.service import execute

        try:
            changes = execute.write(self.planned, record)
        finally:
            self._keep(record)  # what was made before it failed is still ours to take away
        for path in changes.written:
            tell("ok", str(path), "is written")
        if self.planned.takes and self.planned.site.environment in changes.written:
            tell("ok", "taken along from this shell", ", ".join(self.planned.takes))
        tell_kept(self.planned)
        for path in changes.removed:
            tell("ok", str(path), "is not needed any more, and removed")
        for path in changes.set_aside:
            tell("warning", str(path), "is what stood there before, by another hand")
        return bool(changes.written or changes.removed)

    def _keep(self, record: Record) -> None:
        from assumed.service import execute

        execute.write_record(self.planned.site.record, record, self.choice.account)

    def _linger(self, command: Command, record: Record) -> None:
        refused = self.choice.manager.tell(command)
        if refused is None:
            record.lingering = True
            tell("ok", self.choice.account.name, "keeps services while not logged in (lingering is enabled)")
        else:
            message = f"ends with your last session, for lingering could not be enabled ({refused})"
            tell("warning", self.planned.site.title, message, command.instead)

    def _bring_up(self, old_version: str, *, changed: bool) -> None:
        if self.seen.running and not changed and old_version == __version__:
            tell("ok", self.planned.site.title, "is installed and running; nothing had to be changed")
            return
        self._start(changed=changed)

    def _start(self, *, changed: bool) -> None:
        planned, seen = self.planned, self.seen
        # An agent that launchd has loaded is told to begin again, also when it has just ended.
        # One that ends again and again would make a start wait for its next try: systemd.service(5), RestartSec=.
        known = seen.loaded if planned.site.manager == "launchd" else seen.running or seen.loops
        commands = planned.start if not known else planned.replace if changed else planned.restart
        began = time.monotonic()
        try:
            with_progress(f"starting {planned.site.title}", lambda: _give(self.choice, commands))
        except AssumedError as error:
            raise AssumedError(f"{error}\n  {_ask_the_log(planned.site)}") from None
        word = "started again" if seen.running else "started"
        tell("ok", planned.site.title, f"is {word} after {time.monotonic() - began:.1f} s")


def _warn(choice: Choice, config: Config) -> None:
    """What will keep roles from working; the service is installed all the same, and tries again by itself."""
    from assumed.config.report import listed
    from assumed.doctor.inspect import inspect, started_programs
    from assumed.doctor.service import too_wide
    from assumed.service.execute import acting_as
    from assumed.service.findings import about, real_places, service_of

    service = service_of(choice)
    if choice.account.uid == os.getuid():
        findings = inspect(config, choice.environ, passed_keys=bool(service and service.passed_keys))
        findings += about([(choice, service)] if service else [], config, None)
    else:
        findings = choice.check(config)
    errors = [finding for finding in findings if finding.severity == "error"]
    for finding in [*errors, *(too_wide(service, *real_places(choice, config)) if service is not None else [])]:
        tell(finding.severity, finding.subject, finding.message, finding.advice)
    with acting_as(choice.account):
        started = started_programs(config, choice.environ)
    if started and service is not None and service.writable is not None:
        message = f"may write only where the service may: {', '.join(map(str, service.writable))}"
        edit = " ".join([*choice.site.systemctl, "edit", service.name])
        advice = f"for another directory: {edit}, with ReadWritePaths= under [Service]"
        tell("warning", listed(started, "and"), message, advice)


def _writes_example(choice: Choice, *, dry_run: bool) -> bool:
    """Whether there is no configuration; then one to fill in is written, and said what is to be done."""
    from assumed.config import find
    from assumed.errors import ConfigError
    from assumed.service import execute, texts

    try:
        find(None, choice.environ)
    except ConfigError:
        path = choice.usual_configuration
    else:
        return False
    if dry_run:
        say(f"there is no configuration; install would write one to fill in: {path}")
        return True
    execute.write_for(choice.account, path, texts.commented_configuration())
    say(
        f"there was no configuration; one to fill in is written: {path}\n"
        "  Give it a [[roles]] entry: the profile to keep fresh, its role_arn, and who signs (source_profile).\n"
        f"  Then: {choice.site.again}"
    )
    return True


def _why_no_sandbox(choice: Choice, planned: Plan, config: Config) -> str:
    """Why the service cannot live in the sandbox; "" where it can, and where none is asked for."""
    from assumed.doctor.service import TEMPORARY
    from assumed.service.program import program
    from assumed.service.texts import DROP_IN

    drop_ins = [file for file in planned.files if file.path.name == DROP_IN]
    if not drop_ins:
        return ""
    for path in (config.path, config.credentials_file):
        if any(path.is_relative_to(hidden) for hidden in TEMPORARY):
            return f"it would hide {path}"
    return choice.manager.can_confine(planned.files[0].text, drop_ins[0].text, program())


def _refuse_beside_another(document: dict[str, Any] | None, pid: int, planned: Plan) -> None:
    """Two daemons cannot keep one file: one in a terminal, say, or the machine's unit beside the user's."""
    if document is not None and document["daemon"]["pid"] != pid:
        raise AlreadyRunning(
            f"an assumed that is not {planned.site.title} keeps these profiles (pid {document['daemon']['pid']}); "
            "stop it first (Ctrl-C, or `assumed service uninstall` of another service), then install again"
        )


def _first_look(choice: Choice, config: Config) -> int:
    """The roles' status as soon as each of them has been tried. Returns the exit status."""
    if choice.account.uid != os.getuid():
        done = choice.as_account(["status"], config.path, config.credentials_file)
        write([printable(line) for line in done.stdout.splitlines()])
        write([printable(line) for line in done.stderr.splitlines()], sys.stderr)
        return done.returncode
    deadline = time.monotonic() + TRIED_SECONDS

    def tried() -> dict[str, Any] | None:
        while True:
            document = choice.status(config.path, config.credentials_file)
            roles = [role for role in document["roles"] if is_enabled(role)] if document else []
            if (document and all(map(_is_tried, roles))) or time.monotonic() > deadline:
                return document
            time.sleep(TICK)

    document = with_progress("waiting for the first sessions", tried)
    if document is None:
        raise AssumedError(f"the service does not answer\n  {_ask_the_log(choice.site)}")
    write(["", *render(document, time.time(), terminal_of(sys.stdout))])
    return OK if is_healthy(document) else FAILING


def _ask_the_log(site: Site) -> str:
    return f"what it said: {site.command('logs', '-n', '20')}"


def _is_tried(role: dict[str, Any]) -> bool:
    """Whether there is something to say of it: a session, a failure, or that it waits for one that has failed."""
    return is_served(role) or bool(role["last_error"]) or str(role.get("waits")).startswith("waits for ")


def _give(choice: Choice, commands: tuple[Command, ...]) -> None:
    for command in commands:
        choice.manager.tell(command)
