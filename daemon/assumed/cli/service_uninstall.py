"""`assumed service uninstall`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from assumed.errors import AssumedError, ConfigError

from .app import OK, say
from .service import chosen, options
from .service_words import counted, tell, with_progress

if TYPE_CHECKING:
    from assumed.service.facts import Choice
    from assumed.service.record import Record


@click.command(name="uninstall")
@options
@click.option("--purge", is_flag=True, help="Also remove the kept profiles and the state; see above.")
def uninstall_command(config_path: Path | None, system: bool, user: str | None, purge: bool) -> int:
    """Stop the service and remove exactly what install has made.

    The configuration stays, and so do the kept profiles with what is left of their sessions. --purge takes from
    the credentials file the profiles that this configuration keeps, and no others, and the state directory
    beside it. A configuration that install wrote and that nobody has filled in goes, too; one with your roles
    in it is yours and stays. The service of an account that has been deleted goes, too, but not with --purge.

    \b
    Examples:
      assumed service uninstall
      assumed service uninstall --purge
      sudo assumed service uninstall --system --user alice
    """
    return uninstall(chosen(config_path, system, user, may_be_gone=not purge), purge=purge)


def uninstall(choice: Choice, *, purge: bool) -> int:
    """What `uninstall` does for a choice that is made. Returns the exit status. Raises AssumedError."""
    from assumed.service import execute
    from assumed.service.found import unit_file
    from assumed.service.record import read

    choice = choice.settled()
    site = choice.site
    record = read(site.record)
    standing = unit_file(site) if site.manager == "systemd" else site.file if site.file.exists() else None
    if record is None and standing is not None:
        raise AssumedError(
            f"{standing} was not written by `assumed service install`, so it is left alone; by hand: "
            f"{' && '.join(map(str, _removal(choice)))} && rm {standing}"
        )
    if record is None and not purge:
        say("no service is installed; there is nothing to remove")
        return OK
    kept = _kept_files(choice, record) if purge else None  # before its configuration can no longer be found
    if record is not None:
        _remove(choice, record)
    if kept is not None:
        _purge(choice, *kept)
    if purge:
        _remove_example(choice)
    if record is not None:
        gone = execute.remove_directories(record.directories, choice.site)
        if gone:
            tell("ok", ", ".join(map(str, gone)), "made by install, empty now, and removed")
    if choice.gone:
        say(f"this machine has no account {choice.account.name} any more: nothing in its home has been touched")
    elif not purge:
        say("the configuration and the kept profiles stay; --purge takes them, too")
    return OK


def _removal(choice: Choice) -> tuple[object, ...]:
    from assumed.service.plan import removal

    return removal(choice.site).unregister


def _remove(choice: Choice, record: Record) -> None:
    """Stops it, and removes the files and settings that a record names."""
    from assumed.service import execute
    from assumed.service.plan import removal, unlinger

    planned, manager = removal(choice.site), choice.manager
    with_progress(f"stopping {choice.site.title}", lambda: [manager.tell(command) for command in planned.unregister])
    if manager.seen().running:
        logs = choice.site.command("logs")
        raise AssumedError(f"{choice.site.title} does not stop; nothing has been removed; see: {logs}")
    for name in record.files:
        if not choice.site.is_own_file(Path(name)):
            tell("warning", name, "stands in the record, but is no file that install writes, and is left alone")
    for path in execute.remove_files(name for name in record.files if choice.site.is_own_file(Path(name))):
        tell("ok", str(path), "is removed")
    for command in planned.forget:
        manager.tell(command)
    if record.lingering:
        refused = manager.tell(unlinger(choice.site))
        if refused is None:
            tell("ok", choice.account.name, "no longer keeps services while not logged in (lingering is disabled)")
        else:
            message = f"still keeps services while not logged in ({refused})"
            tell("warning", choice.account.name, message, unlinger(choice.site).instead)
    execute.remove_files([str(choice.site.record)])
    tell("ok", choice.site.title, "is stopped and uninstalled")


def _kept_files(choice: Choice, record: Record | None) -> tuple[Path, Path] | None:
    """The configuration and the credentials file whose profiles are to go; None where nothing is known of them.

    Raises ConfigError for one that was named and cannot be used, unless it is the service's own.
    """
    try:
        config = choice.configuration()
    except ConfigError as error:
        if record is not None and (not choice.names_its_configuration or choice.place == Path(record.config)):
            return Path(record.config), Path(record.credentials_file)
        if choice.names_its_configuration:
            raise
        say(f"no profiles are removed, for it is not known which are kept: {error.problems[0].splitlines()[0]}")
        return None
    return config.path, config.credentials_file


def _purge(choice: Choice, config: Path, credentials_file: Path) -> None:
    from assumed.service import execute
    from assumed.service.purge import purge

    with execute.acting_as(choice.account):
        purged = purge(config, credentials_file)
        if purged.profiles:
            names = counted(len(purged.profiles), "profile")
            tell("ok", str(credentials_file), f"loses {names}: {', '.join(purged.profiles)}")
        if purged.left:
            kept = ", ".join(purged.left[:3])
            tell("warning", str(purged.state), f"kept (it contains {kept}, which assumed has not written)")
        elif purged.state is not None:
            tell("ok", str(purged.state), "removed")


def _remove_example(choice: Choice) -> None:
    """The configuration that install wrote, as long as nobody has written anything into it."""
    from assumed.service import execute, texts

    usual = choice.usual_configuration
    with execute.acting_as(choice.account):
        if execute.text_at(usual) == texts.commented_configuration():
            execute.remove_files([str(usual)])
            execute.remove_directories([str(usual.parent)], choice.site)
            tell("ok", str(usual), "was written by install, had nothing of yours, and is removed")
        elif usual.exists():
            tell("ok", str(usual), "has your roles in it, and stays")
