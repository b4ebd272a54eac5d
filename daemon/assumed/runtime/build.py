"""The parts of a daemon: everything is made here, once, and handed in."""

from __future__ import annotations

import os
import queue
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from assumed import logs, redact
from assumed.aws.files import AwsFiles
from assumed.aws.sources import Sources
from assumed.aws.sts import Answer, Pacer, assume
from assumed.aws.variables import ENDPOINT_VARIABLES
from assumed.clock import SystemClock, machine_id
from assumed.config import Config, read
from assumed.credentials.file import CredentialsFile
from assumed.credentials.process import ConfigFile
from assumed.engine.events import Due
from assumed.engine.state import Order, State
from assumed.errors import FileRefused
from assumed.events import EventLog
from assumed.hooks.dispatcher import Dispatcher
from assumed.metrics.counters import Counters, facts, facts_offline
from assumed.metrics.textfile import Textfile
from assumed.model import Instant
from assumed.paths import aws_config_file, passed_credentials
from assumed.snapshot import Snapshot
from assumed.store import Store

from . import notify
from .config_lines import ConfigLines
from .deliverable import check_deliverable, command_of
from .delivery import Delivery
from .effects import Engine, Outside, Renewer
from .inbox import Hint, Message
from .loop import BEAT, Loop
from .recent import Recent
from .reload import ConfigWatch
from .requests import Requests
from .scheduler import Background, Scheduler
from .start import parser_of
from .watcher import Watcher

Reclaim = Callable[[], tuple[bool, FileRefused | None]]


@dataclass(slots=True)
class Daemon:
    """What the main function starts and stops."""

    loop: Loop
    scheduler: Scheduler
    watcher: Watcher
    sources: Sources
    file: CredentialsFile
    config_file: ConfigFile
    store: Store
    log: EventLog
    textfile: Textfile
    hooks: Dispatcher
    requests: Requests

    def follow_snapshots(self) -> None:
        """Wake hooks and metrics for each new snapshot."""

        def published() -> None:
            self.hooks.wake()
            self.textfile.wake()

        self.loop.engine.outside.published = published


def write_log(level: str, event: str, **facts: Any) -> None:
    """Log one event."""
    structlog.get_logger().log(logs.LEVELS[level], event, **facts)


def build(
    config: Config,
    directory: Path,
    inherited: dict[str, str],
    reclaim: Reclaim = lambda: (False, None),
    write: Callable[..., None] | None = None,
) -> Daemon:
    """A daemon of `config` whose state lies in `directory`. Starts nothing. `reclaim`: see Outside; `write`: see
    EventLog."""
    clock, inbox = SystemClock(), queue.SimpleQueue[Message]()
    log = EventLog(write or (lambda *args, **facts: write_log(*args, **facts)), lambda: clock.now().wall)  # noqa: PLW0108 - tests listen in
    counters, recent = Counters(), Recent()
    log.listeners += [counters.count, recent.add]
    file = CredentialsFile(config.credentials_file, directory)
    config_file = ConfigFile(aws_config_file(os.environ), config.credentials_file, directory)
    files = AwsFiles(config.credentials_file, config_file.path, os.environ, inherited)
    parse = parser_of(config.path)
    watch = ConfigWatch(config, read, lambda text: check_deliverable(parse(text)))
    store = Store(directory, _place(config, config_file), lambda: watch.checked)
    sources = Sources(
        config.credentials_file,
        inherited,
        clock.now,
        inbox.put,
        passed=passed_credentials(os.environ),
        learned=lambda source, keys: redact.guard(source, keys.secret_access_key, keys.session_token),
    )
    scheduler = Scheduler(
        Background(),
        lambda profile: inbox.put(Due(profile)),
        lambda: clock.now().wall,
        lambda: log("error", "scheduler.revived", message="its thread had died; a new one continues its plan"),
    )
    watcher = Watcher(lambda: inbox.put(Hint()))

    def look_after_directories() -> str:
        watcher.watch([config.path, config.credentials_file, directory, *files.beside()])
        return watcher.problem

    def snapshot() -> Snapshot:
        return loop.snapshot

    def is_current(order: Order) -> bool:
        return engine.state.identities.get(order.role.profile) == order.identity

    def is_awaited(order: Order) -> bool:
        return engine.state.in_flight.get(order.role.profile) == order

    renewer = Renewer(sources, _paced(), clock.now, inbox.put, log, is_current, is_awaited)
    outside = Outside(
        now=clock.now,
        sources=sources,
        scheduler=scheduler,
        store=store,
        renew=renewer.begin,
        log=log,
        manager=notify.notify,
        reconfigure=lambda level, form: logs.configure(level, form, sys.stderr),
        reclaim=reclaim,
        watch=look_after_directories,
        is_watched=notify.is_wanted(),
    )
    delivery = Delivery(
        file,
        config.config_id,
        files.region_of,
        lambda role: command_of(directory, role.profile),
        log,
        lambda: clock.now().wall,
        ConfigLines(config_file, config.config_id, log),
    )
    engine = Engine(watch, files, delivery, outside, State(machine_id()), inbox)
    loop = Loop(engine, heartbeat(notify.watchdog_seconds()))
    hooks = Dispatcher(snapshot, store, clock.now, log)
    textfile = Textfile(
        lambda: watch.running.metrics_textfile,
        lambda: facts(snapshot(), counters, clock.now()),
        lambda: facts_offline(watch.running),
        log,
    )
    requests = Requests(snapshot, inbox.put, clock.now, recent, counters, log)
    return Daemon(loop, scheduler, watcher, sources, file, config_file, store, log, textfile, hooks, requests)


def _place(config: Config, config_file: ConfigFile) -> dict[str, str]:
    """Where this daemon finds what its sessions depend on, for who reads the store without it."""
    places = {"config": config.path, "credentials_file": config.credentials_file, "aws_config": config_file.path}
    absolute = {name: os.path.abspath(path) for name, path in places.items()}  # noqa: PTH100
    return absolute | {name: os.environ.get(name, "") for name in ENDPOINT_VARIABLES}


def _paced() -> Callable[[Any, Order, Callable[[], Instant]], Answer]:
    """STS, asked at the pace that each source may be asked; what it gives is guarded from the log."""
    pacer = Pacer()

    def ask(client: Any, order: Order, now: Callable[[], Instant]) -> Answer:
        pacer.wait(order.role.source())
        answer = assume(client, order, now)
        redact.guard(order.role.profile, answer.session.secret_access_key, answer.session.session_token)
        return answer

    return ask


def heartbeat(watchdog: float | None) -> float:
    """Seconds between heartbeats: twice within a watchdog's patience, as sd_watchdog_enabled(3) advises."""
    return BEAT if watchdog is None else min(BEAT, watchdog / 2)
