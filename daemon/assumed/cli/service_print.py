"""`assumed service print`, and what `install --dry-run` shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assumed.errors import AssumedError

from .app import OK, say
from .service import chosen, options
from .service_words import tell
from .terminal import write

if TYPE_CHECKING:
    from assumed.config import Config
    from assumed.service.facts import Choice
    from assumed.service.plan import Command, File, Plan


@click.command(name="print")
@options
def print_command(config_path: Path | None, system: bool, user: str | None) -> int:
    """Print the files that install would write, for people with configuration management.

    Passwords in the URLs of proxies are left out. Nothing is asked of the service manager, so the sandbox is
    always among the files.

    \b
    Examples:
      assumed service print
      assumed service print --system --user alice
    """
    choice = chosen(config_path, system, user, needs_root=False)
    planned = planned_for(choice, choice.configuration(), sandboxed=True)
    write(_shown_files(planned))
    _say_what_is_hidden(planned)
    tell_kept(planned)
    return OK


def planned_for(choice: Choice, config: Config, *, sandboxed: bool) -> Plan:
    """The plan of that service, for this shell and this very program. Raises AssumedError."""
    from assumed.service.facts import wish
    from assumed.service.plan import plan
    from assumed.service.program import program
    from assumed.service.units import Unspeakable

    try:
        return plan(choice.site, wish(choice, choice.site, config, program(), sandboxed=sandboxed))
    except Unspeakable as error:
        raise AssumedError(str(error)) from None


def show_plan(planned: Plan, unconfined: str, *, lingers: bool) -> int:
    """`--dry-run`: every directory, file and command, in their order."""
    missing = [directory for directory in planned.directories if not directory.path.exists()]
    write([f"# ---- {one.path} (directory, made {one.mode:04o})" for one in missing] + [""] * bool(missing))
    write(_shown_files(planned, _remark))
    commands = [*planned.register, *([planned.lingering] if planned.lingering and not lingers else []), *planned.start]
    write([_shown_command(command) for command in commands])
    if unconfined:
        say(f"the sandbox is left out: {unconfined}")
    _say_what_is_hidden(planned)
    tell_kept(planned)
    say("nothing has been done (--dry-run)")
    return OK


def tell_kept(planned: Plan) -> None:
    """What the service has from the shell of an earlier install, and how to take it away."""
    if planned.kept:
        drop = planned.site.command("install", setting=f"{planned.kept[0]}=")
        tell("ok", "kept from the last install", f"{', '.join(planned.kept)} (to drop one: {drop})")


def _remark(file: File) -> str:
    from assumed.errors import FileRefused
    from assumed.service.execute import differs

    try:
        return "" if differs(file) else "; it is there already"
    except FileRefused:
        return ""  # root's own, and we are not root: a dry run for the machine's unit


def _shown_files(planned: Plan, remark: Callable[[File], str] = lambda _: "") -> list[str]:
    """Every file, whole, under its name."""
    lines = []
    for file in planned.files:
        lines += [f"# ---- {file.path} (mode {file.mode:04o}{remark(file)})", *file.shown.splitlines(), ""]
    return lines


def _shown_command(command: Command) -> str:
    """A command, and why it is given."""
    return f"$ {command!s:<58}  # {command.why}"


def _say_what_is_hidden(planned: Plan) -> None:
    """That the shown files are not quite those that are written."""
    if any(file.shown != file.text for file in planned.files):
        say("passwords are not shown ([hidden]); install writes them")
