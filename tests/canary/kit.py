"""The setting of one scene: a home, an STS, the daemon at log level debug, and everything that is output anywhere."""

from __future__ import annotations

import base64
import contextlib
import secrets
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from process.kit import arn
from world.control import NotRunning
from world.daemon import DEFAULTS, Daemon, Home, role
from world.fake_sts import SOURCE_KEY, FakeSts

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("status",),
    ("status", "--json"),
    ("check",),
    ("check", "--json"),
    ("metrics",),
    ("refresh",),
    ("once",),
    ("wait", "--timeout", "0.5"),
)
COMMAND_SECONDS = 5.0
"""Seconds for a command: one that waits for roles that never become fresh is killed, and its output counts."""
PIECE = 20
"""The number of characters of a secret that must not appear."""


def odd_secret() -> str:
    """A secret that matches no known pattern."""
    return f"canary-{secrets.token_hex(18)}"


def aws_secret() -> str:
    """A secret that looks like AWS's: 40 characters of base64."""
    return base64.b64encode(secrets.token_bytes(30)).decode()


def aws_token() -> str:
    """A session token that looks like AWS's."""
    return "IQoJb3JpZ2lu" + base64.b64encode(secrets.token_bytes(200)).decode()


def forms(secret: str) -> set[str]:
    """The parts of a secret that must appear nowhere: each end, also URL-encoded, in base64 and in hexadecimal."""
    ends = {secret[:PIECE], secret[-PIECE:]}
    raw = secret.encode()
    return ends | {quote(end, safe="") for end in ends} | {base64.b64encode(raw).decode()[: PIECE * 2], raw.hex()}


@dataclass
class Stage:
    """As a context manager, STS and a service manager listen inside; the daemon is stopped at the end."""

    home: Home
    form: str
    secrets: set[str] = field(default_factory=set)
    """Secrets that our STS has not issued."""
    said: dict[str, str] = field(default_factory=dict)
    """Place → its output."""
    belongs: set[Path] = field(default_factory=set)
    """Files and directories that may contain the scene's secrets."""
    alone: tuple[tuple[str, ...], ...] = ()
    """Commands that run after the daemon has ended, in addition to `once`."""
    environ_tells: bool = False
    """Whether the scene itself puts a secret into the daemon's environment (which its helpers do not inherit)."""

    def __post_init__(self) -> None:
        self.sts = FakeSts()
        self.source_secret = aws_secret()
        self.sts.add_key(SOURCE_KEY, self.source_secret)
        self.home.add_source(SOURCE_KEY, self.source_secret)
        self.belongs |= {self.home.credentials, self.home.state / "sessions"}
        self.environment = {
            "ASSUMED_LOG_LEVEL": "debug",
            "ASSUMED_LOG_FORMAT": self.form,
            "NOTIFY_SOCKET": str(self.home.path / "notify"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self.daemon: Daemon | None = None

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Everything needed before the daemon starts."""
        with self.sts, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(self.environment["NOTIFY_SOCKET"])
            self.environment.setdefault("AWS_ENDPOINT_URL_STS", self.sts.url)
            listener = threading.Thread(target=self._listen, args=[manager], daemon=True)
            listener.start()
            try:
                yield
            finally:
                if self.daemon is not None:
                    self.daemon.stop()
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
                    end.sendto(b"", self.environment["NOTIFY_SOCKET"])
                listener.join()

    def _listen(self, manager: socket.socket) -> None:
        heard = []
        while message := manager.recv(65536):
            heard.append(message.decode("utf-8", "backslashreplace"))
            self.said["notify"] = "\n".join(heard)

    def configure(self, **roles: dict[str, Any]) -> None:
        """Name → keys of a role in addition to its ARN."""
        written = f'metrics_textfile = "{self.home.path}/assumed.prom"\n{DEFAULTS}'
        self.home.configure(*(role(name, arn(name), **keys) for name, keys in roles.items()), defaults=written)

    def start(self, under: Sequence[str] = (), answering: bool = True) -> Daemon:
        self.daemon = Daemon(self.home, under=under, **self.environment)
        return self.daemon.start(answering)

    def wait_until(self, predicate: Callable[[dict[str, Any]], Any], within: float = 30.0) -> None:
        """Until this holds for the status document. Every status on the way is recorded, too."""
        assert self.daemon is not None

        def heard(status: dict[str, Any]) -> bool:
            self.hear_status(status)
            return bool(predicate(status))

        self.daemon.wait_until(heard, within)

    def wait_for_errors(self, *profiles: str) -> None:
        """Until each of these roles has reported an error at some time."""
        silent = set(profiles)

        def told(status: dict[str, Any]) -> bool:
            silent.difference_update(entry["profile"] for entry in status["roles"] if entry["last_error"])
            return not silent

        self.wait_until(told)

    def was_answered(self, name: str) -> bool:
        """Whether STS has answered a call for that role."""
        return any(call.outcome for call in self.sts.calls_for(arn(name)))

    def hear_status(self, status: dict[str, Any]) -> None:
        """Record the status document, each content once."""
        errors = [entry["last_error"] for entry in status["roles"] if entry["last_error"]]
        text = f"{errors} {status['daemon']['config_error']} {status['credentials_file']}"
        known = self.said.get("status on the way", "")
        if text not in known:
            self.said["status on the way"] = f"{known}\n{text}"

    def all_secrets(self) -> set[str]:
        return self.secrets | self.sts.secrets()

    def hear(self, *more: tuple[str, ...]) -> None:
        """Record the output of everything that can be queried."""
        assert self.daemon is not None
        self._look_at_processes()
        for command in ("status", "metrics", "ping", "look", "refresh", "nonsense"):
            with contextlib.suppress(NotRunning):
                self.said[f"socket {command}"] = repr(self.daemon.ask(command, profiles=[]))
        # A second daemon exits with a message. Commands have no log format: once is enough.
        second = (("run",),) if self.daemon.is_running() else ()
        commands = (*COMMANDS, *second, *more) if self.form == "json" else ()
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda words: self.run(*words), commands))
        # The commands ran beside the daemon; now they run without one.
        self.daemon.stop()
        self.run("once")
        self.run("metrics")
        for words in self.alone:
            self.run(*words)
        self.said["daemon's stdout"] = self.daemon.stdout
        self.said["daemon's stderr"] = self.daemon.stderr
        for path in self._files():
            self.said[f"file {path.relative_to(self.home.path)}"] = path.read_text(errors="backslashreplace")

    def run(self, *words: str) -> None:
        """Run a command and record both streams, unless stdout is meant to contain a session."""
        environment = {name: value for name, value in self.environment.items() if name != "NOTIFY_SOCKET"}
        try:
            done = self.home.assumed(*words, within=COMMAND_SECONDS, **environment)
            said = [done.stdout, done.stderr]
        except subprocess.TimeoutExpired as late:  # it waits for roles that never become fresh
            said = [(part or b"").decode("utf-8", "backslashreplace") for part in (late.stdout, late.stderr)]
        name = f"assumed {' '.join(words)}"
        while name in self.said:
            name += ", again"
        self.said[name] = said[1] if words[0] in ("credential-process", "env") else "\n".join(said)

    def _look_at_processes(self) -> None:
        """Record arguments and environments of the daemon and its descendants, as far as they can be read."""
        assert self.daemon is not None
        for pid in descendants(self.daemon.pid):
            for what in ("cmdline", "environ"):
                if what == "environ" and self.environ_tells and pid == self.daemon.pid:
                    continue
                with contextlib.suppress(OSError):
                    self.said[f"{what} of {pid}"] = Path(f"/proc/{pid}/{what}").read_text(errors="backslashreplace")

    def _files(self) -> list[Path]:
        """Every file of this home that must not contain a secret."""
        return [
            path
            for path in sorted(self.home.path.rglob("*"))
            if path.is_file() and not any(path == place or place in path.parents for place in self.belongs)
        ]

    def hits(self) -> list[str]:
        """Where a secret appeared, with its context."""
        wanted = {form for secret in self.all_secrets() for form in forms(secret)}
        found = []
        for where, text in self.said.items():
            for form in wanted:
                at = text.find(form)
                if at >= 0:
                    found.append(f"{where}: …{text[max(0, at - 60) : at + len(form) + 20]!r}")
        return found


def descendants(pid: int) -> list[int]:
    """The process and all its descendants, if /proc lists them."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    family = [pid]
    for member in family:
        family += [child for child, parent in parents.items() if parent == member]
    return family


def script(path: Path, text: str) -> Path:
    """An executable shell script."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return path
