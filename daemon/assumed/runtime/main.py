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
from assumed.privacy import close_off

from . import notify
from .build import Daemon, build, write_log
from .inbox import Reload, Stop
from .instance import Instance
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
    instance = Instance(config.credentials_file)
    try:
        return _keep(config, error, instance, inherited)
    finally:
        instance.release()


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
    instance = Instance(config.credentials_file)
    try:
        return _one_round(build(config, instance.directory, inherited, write=_log_of_once), config, progress)
    finally:
        instance.release()


def _log_of_once(level: str, name: str, **facts: Any) -> None:
    """A renewal that failed goes through `progress`."""
    if name != "role.renewal_failed":
        write_log(level, name, **facts)


def _one_round(daemon: Daemon, config: Config, progress: Progress) -> int:
    # A role that is gone loses its keys when two rounds in a row have read the same: cron has no 5 s to wait.
    confirmed = daemon.store.remembers(config.text)
    daemon.loop.engine.delivery.orphans = confirmed
    _remember(daemon, config)
    _sweep(daemon)
    try:
        well = one_round(daemon, progress)
        if confirmed:
            daemon.store.prune({role.profile for role in config.enabled()})
        return 0 if well else 1
    finally:
        daemon.scheduler.stop()
        daemon.sources.close()


def _keep(config: Config, error: ConfigError | None, instance: Instance, inherited: dict[str, str]) -> int:
    daemon = build(config, instance.directory, inherited, instance.reclaim)
    log = daemon.log
    if error is not None:
        daemon.loop.engine.config.reject(error)
        log("error", "config.rejected", problems=error.problems, message="the last good configuration stays in use")
    else:
        _remember(daemon, config)
    for finding in collisions(config, os.environ):
        log("warning", "profile.shadowed", subject=finding.subject, message=finding.message, advice=finding.advice)
    swept = _sweep(daemon)
    if swept:
        log("info", "file.swept", count=swept, message="removed leftovers of an earlier crash")
    restore = _take_signals(daemon)
    log("info", "daemon.started", pid=os.getpid(), roles=len(config.enabled()), config=str(config.path))
    try:
        daemon.watcher.start()
        daemon.scheduler.start()
        daemon.follow_snapshots()
        instance.listen(daemon.requests.answer)
        stopped_by = daemon.loop.run()
    finally:
        _stop(daemon)
        restore()
    log("info", "daemon.stopped", signal=signal.Signals(stopped_by).name)
    return 0


def _sweep(daemon: Daemon) -> int:
    """Remove what killed writers left behind. A file that cannot be looked at now is reported by the first write."""
    swept = daemon.store.sweep()
    for file in (daemon.file, daemon.config_file):
        with contextlib.suppress(FileRefused):
            swept += file.sweep()
    return swept


def _remember(daemon: Daemon, config: Config) -> None:
    try:
        daemon.store.keep_config(config.text)
    except FileRefused as error:
        daemon.log("error", "config.not_remembered", message=error.message, advice=error.advice)


def _stop(daemon: Daemon) -> None:
    notify.notify("STOPPING=1")
    daemon.scheduler.stop()
    daemon.sources.close()
    daemon.hooks.close()
    daemon.watcher.stop()
    daemon.textfile.stop()


def _take_signals(daemon: Daemon) -> Callable[[], None]:
    """Let signals do nothing but put a message; a second SIGTERM or SIGINT ends the process at once."""
    inbox = daemon.loop.engine.inbox
    is_stopping = False

    def received(number: int) -> None:
        nonlocal is_stopping
        if number == signal.SIGHUP:
            inbox.put(Reload())
            return
        if is_stopping:
            # Nothing to lose: every write is atomic, and what is in flight is asked for again after a restart.
            os._exit(128 + number)
        is_stopping = True
        inbox.put(Stop(number))

    return relay(SIGNALS, received)
