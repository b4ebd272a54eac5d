"""The process around a keeper: configuration, lock, signals, threads, and their orderly end."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from assumed import logs
from assumed.config import Config
from assumed.doctor.inspect import collisions
from assumed.errors import ConfigError, FileRefused
from assumed.hooks.commands import Errands
from assumed.privacy import close_off

from . import notify
from .assembly import Assembly, answer, assemble, say
from .inbox import Ran, Reload, Stop
from .instance import Post
from .once import Progress, one_round
from .signals import relay
from .start import config_to_keep, guard_environment, take_shell_variables, usable_config

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def run(config_path: Path | None) -> int:
    """Keep the roles until SIGTERM or SIGINT. Returns the exit status.

    Raises ConfigError (2) when neither the configuration nor a last good one can be used, AlreadyRunning (4).
    """
    close_off()
    inherited = take_shell_variables(os.environ)
    guard_environment(inherited)
    config, error = config_to_keep(config_path)
    logs.configure(config.log_level, config.log_format, sys.stderr)
    logs.take_crashes()
    post = Post(config.credentials_file)
    try:
        return _keep(config, error, post, inherited)
    finally:
        post.leave()


def once(config_path: Path | None, progress: Progress) -> int:
    """Renew every due role, then return 0, or 1 when one failed. Raises as `run` does.

    Quieter than the daemon: what it has to say goes through `progress`, and only errors into the log.
    """
    close_off()
    inherited = take_shell_variables(os.environ)
    guard_environment(inherited)
    config, error = usable_config(config_path)
    if error is not None:
        raise error
    logs.configure("error", config.log_format, sys.stderr)
    logs.take_crashes()
    post = Post(config.credentials_file)
    try:
        return _one_round(assemble(config, post.directory, inherited, log=_log_of_once), config, progress)
    finally:
        post.leave()


def _log_of_once(level: str, name: str, **facts: Any) -> None:
    """A renewal that failed goes through `progress`."""
    if name != "role.renewal_failed":
        say(level, name, **facts)


def _one_round(assembly: Assembly, config: Config, progress: Progress) -> int:
    # A role that is gone loses its keys when two rounds in a row have read the same: cron has no 5 s to wait.
    confirmed = assembly.store.remembers(config.text)
    assembly.keeper.desk.delivery.orphans = confirmed
    _remember(assembly, config)
    _sweep(assembly)
    try:
        well = one_round(assembly, progress)
        if confirmed:
            assembly.store.prune({role.profile for role in config.enabled()})
        return 0 if well else 1
    finally:
        assembly.keeper.desk.stopping = True
        assembly.timetable.stop()
        assembly.sources.close()


def _keep(config: Config, error: ConfigError | None, post: Post, inherited: dict[str, str]) -> int:
    assembly = assemble(config, post.directory, inherited, post.stand_if_possible)
    keeper, say = assembly.keeper, assembly.news.say
    keeper.desk.ports.hooks = Errands(lambda errand, outcome: keeper.desk.inbox.put(Ran(errand, outcome)))
    if error is not None:
        keeper.desk.watch.reject(error)
        say("error", "config.rejected", problems=error.problems, message="the last good configuration goes on")
    else:
        _remember(assembly, config)
    for finding in collisions(config, os.environ):
        say("warning", "profile.shadowed", subject=finding.subject, message=finding.message, advice=finding.advice)
    swept = _sweep(assembly)
    if swept:
        say("info", "file.swept", count=swept, message="leftovers of an earlier crash have been removed")
    restore = _take_signals(assembly)
    say("info", "daemon.started", pid=os.getpid(), roles=len(config.enabled()), config=str(config.path))
    try:
        assembly.watcher.start()
        assembly.timetable.start()
        assembly.textfile.start()
        post.listen(lambda request: answer(assembly, request))
        stopped_by = keeper.run()
    finally:
        _stop(assembly)
        restore()
    say("info", "daemon.stopped", signal=signal.Signals(stopped_by).name)
    return 0


def _sweep(assembly: Assembly) -> int:
    """Remove what killed writers left behind. A file that cannot be looked at now is said by the first write."""
    swept = assembly.store.sweep()
    with contextlib.suppress(FileRefused):
        swept += assembly.file.sweep()
    with contextlib.suppress(FileRefused):
        swept += assembly.config_file.sweep()
    return swept


def _remember(assembly: Assembly, config: Config) -> None:
    try:
        assembly.store.keep_config(config.text)
    except FileRefused as error:
        assembly.news.say("error", "config.not_remembered", message=error.message, advice=error.advice)


def _stop(assembly: Assembly) -> None:
    notify.notify("STOPPING=1")
    assembly.keeper.desk.stopping = True
    assembly.timetable.stop()
    assembly.sources.close()
    assembly.watcher.stop()
    assembly.textfile.stop()


def _take_signals(assembly: Assembly) -> Callable[[], None]:
    """Let signals do nothing but put a message; a second SIGTERM or SIGINT ends the process at once."""
    inbox = assembly.keeper.desk.inbox
    asked = False

    def heard(number: int) -> None:
        nonlocal asked
        if number == signal.SIGHUP:
            inbox.put(Reload())
            return
        if asked:
            # Nothing to lose: every write is atomic, and what is in flight is asked for again after a restart.
            os._exit(128 + number)
        asked = True
        inbox.put(Stop(number))

    return relay(SIGNALS, heard)
