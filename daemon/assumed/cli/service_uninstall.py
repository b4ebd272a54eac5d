"""`assumed service uninstall`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from assumed.config import find
from assumed.errors import AssumedError, ConfigError
from assumed.service import execute
from assumed.service.choice import Choice
from assumed.service.execute import Record
from assumed.service.plan import commands
from assumed.service.purge import Purged
from assumed.service.purge import purge as purge_state
from assumed.service.units import commented_configuration

from .app import OK, say
from .service import chosen, counted, options, report


@click.command(name="uninstall")
@options
@click.option("--purge", is_flag=True, help="Also remove the managed profiles and the state; see above.")
def uninstall_command(config_path: Path | None, system: bool, user: str | None, purge: bool) -> int:
    """Stop the service and remove exactly what install has made.

    The configuration and the managed profiles are kept. --purge removes from the credentials file the profiles of
    this configuration, and no others, and the state directory beside it. A configuration that install wrote is
    removed too while it is unchanged; one that contains your roles is kept. The service of a deleted account can
    be removed, without --purge.

    \b
    Examples:
      assumed service uninstall
      assumed service uninstall --purge
      sudo assumed service uninstall --system --user alice
    """
    return uninstall(chosen(config_path, system, user, may_be_gone=not purge), purge=purge)


def uninstall(choice: Choice, *, purge: bool) -> int:
    """Removes that service. Returns the exit status. Raises AssumedError."""
    choice = choice.resolved()
    record, found = execute.read_record(choice.site.record), choice.manager.installed()
    if record is None and found is not None:
        by_hand = " && ".join([*map(str, commands(choice.site, "stop")), f"rm {found.file}"])
        raise AssumedError(f"{found.file} was not written by `assumed service install` and is kept; by hand: {by_hand}")
    if record is None and not purge:
        say("no service is installed; nothing to remove")
        return OK
    places = _places(choice, record) if purge else None  # before the service's configuration is forgotten
    if record is not None:
        _remove(choice, record)
    if purge:
        _purge(choice, places)
    for path in execute.remove_directories(record.directories, choice.site) if record is not None else []:
        report("ok", "", f"removed {path} (empty)")
    if choice.gone:
        say(f"this machine has no account {choice.account.name}: nothing in its home was changed")
    elif not purge:
        say("configuration and managed profiles kept; --purge removes them too")
    return OK


def _places(choice: Choice, record: Record | None) -> tuple[Path, Path] | None:
    """The configuration and the credentials file whose profiles are removed; None where they are unknown.

    Raises ConfigError for a configuration that was named and cannot be used, unless it is the service's own.
    """
    named = choice.names_configuration
    own = choice if named or record is None else replace(choice, config_path=Path(record.config))
    try:
        config = own.configuration()
    except ConfigError:
        if named and (record is None or str(find(choice.config_path, choice.environ)) != record.config):
            raise
        return (Path(record.config), Path(record.credentials_file)) if record is not None else None
    return config.path, config.credentials_file


def _remove(choice: Choice, record: Record) -> None:
    """Stops it, and removes the files and settings in the record."""
    site, manager = choice.site, choice.manager
    manager.run_all(commands(site, "stop"))
    if manager.state().running:
        raise AssumedError(f"{site.title} does not stop; nothing was removed; see its log: {site.command('logs')}")
    for name in record.files:
        if not site.may_hold(Path(name)):
            report("warning", name, "listed in the record, but not a file that install writes; kept")
    for path in execute.remove_files(name for name in record.files if site.may_hold(Path(name))):
        report("ok", "", f"removed {path}")
    manager.run_all(commands(site, "forget"))
    if record.lingering:
        refused = manager.run_all(commands(site, "unlinger"))
        message = f"lingering could not be disabled ({refused})" if refused else "lingering disabled"
        advice = commands(site, "unlinger")[0].instead if refused else ""
        report("warning" if refused else "ok", choice.account.name, message, advice)
    execute.remove_files([str(site.record)])
    report("ok", site.title, "stopped and uninstalled")


def _purge(choice: Choice, places: tuple[Path, Path] | None) -> None:
    """Removes the profiles and the state, and the configuration that install wrote while it is unchanged."""
    usual = choice.usual_configuration
    with execute.acting_as(choice.account):
        purged = purge_state(*places) if places is not None else Purged((), None)
        if is_example := execute.text_at(usual) == commented_configuration():
            execute.remove_files([str(usual)])
            execute.remove_directories([str(usual.parent)], choice.site)
    if places is None:
        say("no profiles removed: there is no usable configuration")
    if purged.profiles and places is not None:
        names = counted(len(purged.profiles), "profile")
        report("ok", str(places[1]), f"removed {names}: {', '.join(purged.profiles)}")
    if purged.left:
        kept = ", ".join(purged.left[:3])
        report("warning", str(purged.state), f"kept (it contains {kept}, which assumed did not write)")
    elif purged.state is not None:
        report("ok", "", f"removed {purged.state}")
    if is_example or usual.exists():
        report(
            "ok",
            str(usual),
            "removed (unchanged since install wrote it)" if is_example else "kept (it contains your roles)",
        )
