"""A keeper with the real edges: everything is made here, once, and handed in."""

from __future__ import annotations

import os
import queue
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from assumed import __version__, logs, redact
from assumed.aws.files import AwsFiles
from assumed.aws.sources import Sources
from assumed.aws.sts import Answer, Order, Pacer, assume
from assumed.aws.variables import ENDPOINT_VARIABLES
from assumed.clock import SystemClock, machine_id
from assumed.config import Config, read
from assumed.credentials.config_file import ConfigFile
from assumed.credentials.file import CredentialsFile
from assumed.engine.book import Book
from assumed.errors import FileRefused
from assumed.events import News
from assumed.metrics.counters import Tally
from assumed.metrics.textfile import Textfile
from assumed.model import Instant, Role
from assumed.paths import aws_config_file, passed_credentials
from assumed.store import Store

from . import facts, notify, status
from .config_lines import ConfigLines
from .control import Answer as Reply
from .control import Request
from .deliverable import check_deliverable, command_of
from .delivery import Delivery
from .desk import Desk
from .inbox import Hint, Message, Refresh, Reload, Wanted
from .loop import BEAT, Keeper
from .ports import Ports
from .recent import Recent
from .reload import ConfigWatch
from .scheduler import Timetable, background
from .start import parser_of
from .watcher import Watcher


@dataclass(slots=True)
class Assembly:
    """The parts of a running daemon that its main function starts and stops."""

    keeper: Keeper
    timetable: Timetable
    watcher: Watcher
    sources: Sources
    file: CredentialsFile
    config_file: ConfigFile
    store: Store
    news: News
    tally: Tally
    textfile: Textfile
    recent: Recent = field(default_factory=Recent)


def say(level: str, event: str, **facts: Any) -> None:
    """Log one event."""
    structlog.get_logger().log(logs.LEVELS[level], event, **facts)


Stand = Callable[[], tuple[bool, FileRefused | None]]


def assemble(
    config: Config,
    directory: Path,
    inherited: dict[str, str],
    stand: Stand = lambda: (False, None),
    log: Callable[..., None] | None = None,
) -> Assembly:
    """Make a keeper of `config` whose state lies in `directory`. Starts nothing. `stand`: see Post; `log`: see News."""
    clock = SystemClock()
    log = log or (lambda *args, **facts: say(*args, **facts))  # noqa: PLW0108 - tests listen in
    news = News(log, lambda: clock.now().wall)
    tally = Tally()
    news.listeners.append(tally.hear)
    file = CredentialsFile(config.credentials_file, directory)
    aws_config = ConfigFile(aws_config_file(os.environ), config.credentials_file, directory)
    place = {"config": config.path, "credentials_file": config.credentials_file, "aws_config": aws_config.path}
    files = AwsFiles(config.credentials_file, aws_config.path, os.environ, inherited)
    delivery = Delivery(
        file,
        config.config_id,
        files.region_of,
        lambda role: command_of(directory, role.profile),
        news.say,
        lambda: clock.now().wall,
        ConfigLines(aws_config, config.config_id, news.say),
    )
    parse = parser_of(config.path)
    watch = ConfigWatch(config, read, lambda text: check_deliverable(parse(text)))
    absolute = {name: os.path.abspath(path) for name, path in place.items()}  # noqa: PTH100
    endpoints = {name: os.environ.get(name, "") for name in ENDPOINT_VARIABLES}
    store = Store(directory, absolute | endpoints, lambda: watch.checked)
    pacer = Pacer()

    def ask(client: Any, order: Order, now: Callable[[], Instant]) -> Answer:
        pacer.wait(order.role.source())
        answer = assume(client, order, now)
        redact.guard(order.role.profile, answer.session.secret_access_key, answer.session.session_token)
        return answer

    inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
    # The timetable needs the keeper's worker, which exists only a few lines further down.
    timetable = Timetable(
        background(group_of=lambda profile: keeper.renewals.endpoint(profile)),  # noqa: PLW0108
        lambda profile: keeper.renewals.run(profile),  # noqa: PLW0108
        lambda: clock.now().wall,
        lambda: news.say("error", "scheduler.revived", message="its thread had died; a new one goes on with its plan"),
    )
    watcher = Watcher(lambda: inbox.put(Hint()))
    sources = Sources(
        config.credentials_file,
        inherited,
        clock.now,
        inbox.put,
        passed=passed_credentials(os.environ),
        learned=lambda source, keys: redact.guard(source, keys.secret_access_key, keys.session_token),
    )

    said = ""

    def look_after_directories() -> None:
        nonlocal said
        watcher.watch([config.path, config.credentials_file, *files.beside()])
        if watcher.problem and watcher.problem != said:
            news.say("warning", "watch.failed", message=watcher.problem)
        said = watcher.problem

    textfile = Textfile(
        lambda: watch.running.metrics_textfile,
        lambda: metrics(assembled),
        lambda: facts.offline(watch.running),
        news.say,
    )
    news.listeners.append(lambda _: textfile.wake())

    def beaten(line: str) -> None:
        tell_manager(line, "WATCHDOG=1")
        textfile.wake()

    ports = Ports(
        now=clock.now,
        sources=sources,
        timetable=timetable,
        store=store,
        ask=ask,
        say=news.say,
        ready=lambda line: tell_manager(line, "READY=1"),
        reloading=notify.reloading,
        alive=beaten,
        reconfigured=reconfigure,
        stand=stand,
        watch=look_after_directories,
        status=tell_manager if notify.is_wanted() else None,
    )
    desk = Desk(watch, files, delivery, Book(machine_id()), ports, inbox)
    keeper = Keeper(desk, heartbeat(notify.watchdog_seconds()))
    assembled = Assembly(keeper, timetable, watcher, sources, file, aws_config, store, news, tally, textfile)
    news.listeners.append(assembled.recent.hear)
    return assembled


def heartbeat(watchdog: float | None) -> float:
    """Seconds between heartbeats: twice within a watchdog's patience, as sd_watchdog_enabled(3) advises."""
    return BEAT if watchdog is None else min(BEAT, watchdog / 2)


def tell_manager(line: str, *what: str) -> None:
    """Tell systemd, if it listens, the state of affairs in words, and what else there is to tell."""
    notify.notify(*what, f"STATUS={' '.join(line.split())}")  # a line feed would begin another assignment


def reconfigure(level: str, form: str) -> None:
    """Set logging up as the configuration says now."""
    import sys  # noqa: PLC0415 - the stream is looked up at the time of the call

    logs.configure(level, form, sys.stderr)


def answer(assembly: Assembly, request: Request) -> Reply:
    """Answer one request of the control socket. Runs in the socket's threads; a fault of ours is an answer, too."""
    profiles = request.get("profiles", [])
    if not isinstance(profiles, list) or not all(isinstance(profile, str) for profile in profiles):
        return {"error": "profiles is a list of names"}
    try:
        return _answer(assembly, request, profiles)
    except Exception as error:  # noqa: BLE001 - the next request must find somebody who answers
        say("error", "control.crashed", command=str(request.get("command")), exc_info=error)
        return {"error": f"a fault in assumed ({type(error).__name__}); see its log"}


def _answer(assembly: Assembly, request: Request, profiles: list[str]) -> Reply:
    desk = assembly.keeper.desk
    config = request.get("config")
    if isinstance(config, str) and os.path.realpath(config) != os.path.realpath(desk.watch.running.path):
        return {"another": str(desk.watch.running.path)}
    match request.get("command"):
        case "ping":
            beat = status.beat_document(assembly.keeper.beaten, desk.ports.now())
            return {"pid": os.getpid(), "version": __version__, **beat}
        case "status":
            return document(assembly)
        case "metrics":
            return metrics(assembly)
        case "reload":
            desk.inbox.put(Reload())
            return {"accepted": True}
        case "look":
            return look(desk, profiles)
        case "refresh":
            return refresh(desk, profiles, bool(request.get("due_only")))
        case other:
            return {"error": f"unknown command {other!r}; this is assumed {__version__}"}


def look(desk: Desk, wanted: list[str]) -> Reply:
    """A reader wants these profiles. They are renewed if they are due, at the pace of their backoff.

    An SDK asks again for every request it signs: were each of them a `refresh`, a denied role would be a storm.
    """
    # By the configuration: a daemon that has just begun to listen has not taken its roles over yet.
    config = desk.watch.running
    known = [profile for profile in wanted if (role := config.role(profile)) is not None and role.enabled]
    for profile in known:
        desk.inbox.put(Wanted(profile))
    return {"accepted": known}


def refresh(desk: Desk, wanted: list[str], due_only: bool) -> Reply:
    """Have profiles renewed; none named means all (`due_only`: all that are due or failing)."""
    with desk.lock:
        known = [profile for profile in wanted if profile in desk.book.roles]
        if not wanted:
            known = desk.book.due(desk.ports.now()) if due_only else list(desk.book.roles)
    desk.inbox.put(Refresh(tuple(known)))
    return {"accepted": known, "unknown": sorted(set(wanted) - set(known))}


def document(assembly: Assembly) -> status.Document:
    """The status document of a running daemon."""
    keeper, desk = assembly.keeper, assembly.keeper.desk
    now = desk.ports.now()
    config = desk.watch.running
    disk = status.read_disk(assembly.file, config.roles)
    roles = [
        status.role_document(role, assembly.store.load(role.profile), _known(desk, role, now), disk, now)
        for role in config.roles
    ]
    return {
        "daemon": status.daemon_document(
            __version__, keeper.started, config, desk.watch.error, keeper.renewals.clock_offset
        )
        | status.beat_document(keeper.beaten, now)
        | {"watch_error": assembly.watcher.problem or None},
        "daemon_error": None,
        "roles": roles,
        "credentials_file": status.file_document(config, desk.delivery.written_at, desk.delivery.error or disk.error),
        "unreadable": status.unreadable_document(desk.files.broken_sources()),
        "events": assembly.recent.document(),
    }


def metrics(assembly: Assembly) -> dict[str, Any]:
    """What the metrics of a running daemon are read from."""
    return facts.facts(document(assembly), assembly.keeper, assembly.tally)


def _known(desk: Desk, role: Role, now: Instant) -> status.Known:
    profile = role.profile
    with desk.lock:
        if profile not in desk.book.roles:
            return status.Known(waits="disabled")
        decision = desk.book.decide(profile, now)
        state = desk.book.states[profile]
        identity = desk.book.identities[profile]
    return status.Known(
        state=state,
        due_in=None if decision.due_in == float("inf") else decision.due_in,
        waits="" if decision.reason == "scheduled" else decision.message,
        refusal=desk.delivery.refused.get(profile),
        overwritten_by=desk.delivery.overwritten_by.get(profile, ""),
        notice=desk.delivery.lines.notices.get(profile) if desk.delivery.lines else None,
        identity=identity,
    )
