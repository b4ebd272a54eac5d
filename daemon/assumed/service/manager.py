"""systemd or launchd: commands to it, and what it reports of the service."""

from __future__ import annotations

import os
import plistlib
import re
import shlex
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from assumed.config import find
from assumed.errors import AssumedError, ConfigError

from .plan import Command
from .site import NO_MANAGER, Site, typed
from .units import assignments, shell_words

# A start may wait for READY, a stop for the daemon's end.
COMMAND_SECONDS = 120.0
# launchd keeps the label for some seconds after a bootout, and answers 5 (EIO) or 37 (in progress) until then.
SETTLE_SECONDS = 15.0
STATE_PROPERTIES = (
    *("LoadState", "UnitFileState", "ActiveState", "SubState", "MainPID", "StatusText", "Result", "NRestarts"),
    *("ExecMainCode", "ExecMainStatus", "FragmentPath"),
)
SETTING_PROPERTIES = (
    *("ExecStart", "Environment", "EnvironmentFiles", "ReadWritePaths", "InaccessiblePaths", "ProtectSystem"),
    *("ProtectHome", "PrivateTmp", "PrivateUsers", "MemoryDenyWriteExecute"),
)
# Exists where systemd runs (sd_booted(3)).
BOOTED = Path("/run/systemd/system")
TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - to compare with
HOMES = ("/home", "/root", "/run/user")
_NO_SESSION = "failed: 125:"


@dataclass(frozen=True, slots=True)
class State:
    """The state of the service as its manager reports it.

    `detail`: the service's own status while it runs, else how it ended.
    """

    loaded: bool = False
    enabled: bool = False
    running: bool = False
    pid: int = 0
    detail: str = ""
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class Installed:
    """The service with its effective settings, drop-ins included.

    `program`: None where no manager answers, and only the file is known. `command`: its words, as far as the manager
    shows where each ends.
    `variables`: its environment; None where we may not read it. `config`: the configuration that it uses; None where
    that is unknown. `writable`: where it may write, links resolved; None: wherever its user may. `hidden`: what it
    cannot see. `may_compile`: whether what it starts may write code and run it. `passed_keys`: whether systemd passes
    it an AWS credentials file.
    """

    site: Site
    file: Path
    program: str | None
    command: tuple[str, ...]
    variables: Mapping[str, str] | None = field(repr=False)
    config: Path | None
    writable: tuple[Path, ...] | None = None
    hidden: tuple[Path, ...] = ()
    may_compile: bool = True
    passed_keys: bool = False


class Manager:
    """The service manager of one site."""

    def __init__(self, site: Site, environ: Mapping[str, str]) -> None:
        self.site = site
        self._environ = dict(environ)
        runtime = f"/run/user/{site.account.uid}"
        if not site.system and not environ.get("XDG_RUNTIME_DIR") and os.path.isdir(runtime):  # noqa: PTH112
            self._environ["XDG_RUNTIME_DIR"] = runtime  # su and some cron jobs leave it out; systemctl needs it

    def units(self) -> Path:
        """The directory of units that the manager reads. Raises AssumedError where no manager answers."""
        site = self.site
        if site.manager == "launchd":
            return site.file.parent
        if not BOOTED.is_dir():
            raise AssumedError(NO_MANAGER)
        done = self.run([*site.systemctl, "show", "--property=UnitPath"])
        if done.returncode != 0:
            machine = typed(["service", "install", "--system", "--user", site.account.name], as_root=True)
            hint = (
                "" if site.system else f"; log in as that user (not with su or sudo), or use the machine's: {machine}"
            )
            raise AssumedError(f"{' '.join(site.systemctl)} does not answer: {_first_line(done, 'no message')}{hint}")
        read = done.stdout.partition("=")[2].split()
        theirs = [path for path in read if path.endswith("/systemd/user") and path.startswith(f"{site.account.home}/")]
        usual = str(site.file.parent)
        return Path(usual if site.system or usual in read or not theirs else theirs[0])

    def state(self) -> State:
        """The state of the service; `State()` where the manager does not know it or does not answer."""
        if self.site.manager == "launchd":
            done = self.run(["launchctl", "print", self.site.unit])
            return printed(done.stdout) if done.returncode == 0 else State()
        return _state(self._show(*STATE_PROPERTIES))

    def installed(self) -> Installed | None:
        """The service; None where it is not installed."""
        return self._agent() if self.site.manager == "launchd" else self._unit()

    def lingers(self) -> bool:
        """Whether the account's user manager runs without a login."""
        done = self.run(["loginctl", "show-user", self.site.account.name, "--property=Linger"])
        return done.stdout.strip() == "Linger=yes"

    def sandbox_error(self, drop_in: str, program: Sequence[str]) -> str:
        """Starts the program once in the sandbox; returns why that fails, "" when it works.

        A user manager needs unprivileged user namespaces for a sandbox, which some systems forbid.
        """
        # systemd-run expands no specifier: those lines, all of them about files, are left out.
        settings = [f"--property={line}" for line in re.findall(r"(?m)^[A-Z]\w+=[^%\n]+$", drop_in)]
        # Not --wait, which needs D-Bus: the start of a oneshot lasts until it has ended.
        words = ["systemd-run", "--user", "--quiet", "--collect", "--property=Type=oneshot", *settings]
        done = self.run([*words, "--", *program, "--version"])
        return "" if done.returncode == 0 else _first_line(done, "the trial failed")

    def run_all(self, commands: Iterable[Command]) -> str | None:
        """Runs commands. Returns why one was refused that has an `instead`. Raises AssumedError where another fails."""
        for command in commands:
            settle = time.monotonic() + SETTLE_SECONDS
            passing = command.words[:2] == ("launchctl", "bootstrap")
            while (done := self.run(command.words)).returncode != 0:
                if not passing or _NO_SESSION in done.stderr or time.monotonic() > settle:
                    break
                time.sleep(0.5)
            if done.returncode != 0 and command.instead:
                return _first_line(done, f"exit status {done.returncode}")
            if done.returncode != 0 and not command.optional:
                hint = "; log in at the screen once, then install again" if _NO_SESSION in done.stderr else ""
                raise AssumedError(f"`{command}` failed: {_first_line(done, f'exit status {done.returncode}')}{hint}")
            while command.words[:2] == ("launchctl", "bootout") and self.state().loaded and time.monotonic() < settle:
                time.sleep(0.1)
        return None

    def run(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """One command. A missing program is exit status 127, a hanging one 124."""
        try:
            return subprocess.run(
                words,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=COMMAND_SECONDS,
                check=False,
            )
        except FileNotFoundError:
            return subprocess.CompletedProcess(words, 127, "", f"{words[0]} is not installed")
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(words, 124, "", f"no answer within {COMMAND_SECONDS:.0f} s")

    def _show(self, *properties: str) -> dict[str, str]:
        """Properties as `systemctl show` prints them, each value on a line; empty where the manager does not answer."""
        shown: dict[str, str] = {}
        done = self.run([*self.site.systemctl, "show", self.site.unit, f"--property={','.join(properties)}"])
        for name, _, value in (line.partition("=") for line in done.stdout.splitlines()):
            shown[name] = f"{shown[name]}\n{value}" if name in shown else value
        return shown

    def _unit(self) -> Installed | None:
        site, shown = self.site, self._show(*STATE_PROPERTIES, *SETTING_PROPERTIES)
        if not shown:
            return Installed(site, site.file, None, (), None, None) if site.file.exists() else None
        state, file = _state(shown), Path(shown.get("FragmentPath", ""))
        # systemd loads any instance of a template, installed or not
        if not file.name or (file.name != site.unit and not (state.enabled or state.running)):
            return None
        started = re.match(r"\{ path=(.*?) ; argv\[\]=(.*?) ; ignore_errors=", shown.get("ExecStart", ""))
        program, command = started.groups() if started else ("", "")
        variables = self._variables(shown.get("Environment", ""), shown.get("EnvironmentFiles", "").splitlines())
        confined = site.system or shown["PrivateUsers"] == "yes"
        cat = self.run([*site.systemctl, "cat", site.unit]).stdout  # `show` calls LoadCredential= unprintable
        return Installed(
            site=site,
            file=file,
            program=program,
            command=(program, *command.removeprefix(program).split()),
            variables=variables,
            config=_config(site, command, variables),
            writable=_paths(shown["ReadWritePaths"]) if confined and shown["ProtectSystem"] == "strict" else None,
            hidden=_hidden(shown) if confined else (),
            may_compile=shown["MemoryDenyWriteExecute"] != "yes",
            passed_keys=re.search(r"(?m)^LoadCredential(Encrypted)?=aws-credentials", cat) is not None,
        )

    def _variables(self, environment: str, files: Sequence[str]) -> dict[str, str] | None:
        """The environment of a unit; None where a file of it cannot be read."""
        found: dict[str, str] = {}
        if not self.site.system:
            lines = self.run([*self.site.systemctl, "show-environment"]).stdout.splitlines()
            found = dict(line.split("=", 1) for line in lines if "=" in line and "=$'" not in line)
        try:
            found |= assignments(environment)
            for path in (Path(value.rpartition(" (ignore_errors=")[0]) for value in files):
                found |= assignments(path.read_text("utf-8", "surrogateescape")) if path.exists() else {}
        except (OSError, ValueError):
            return None
        return found

    def _agent(self) -> Installed | None:
        site = self.site
        try:
            agent = plistlib.loads(site.file.read_bytes())
            script = agent["ProgramArguments"][-1].replace("$HOME", str(site.account.home))
            command = shlex.split(script.removeprefix("exec ").partition(" >>")[0])
            variables = {str(name): str(value) for name, value in agent.get("EnvironmentVariables", {}).items()}
            config = _config(site, " ".join(command), variables)
            return Installed(site, site.file, command[0], tuple(command), variables, config)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, plistlib.InvalidFileException):
            return None


def _first_line(done: subprocess.CompletedProcess[str], otherwise: str) -> str:
    return (done.stderr.strip().splitlines() or [otherwise])[0]


def _state(one: Mapping[str, str]) -> State:
    """The state in systemd's properties."""
    load = one.get("LoadState", "not-found")
    if load != "loaded":  # masked, bad-setting
        return State(detail="" if load == "not-found" else f"not loaded: {load}")
    state, result = one["ActiveState"], one.get("Result", "success")
    # Between two tries a unit is "activating" too: systemd.service(5), RestartSec=.
    loops = one["SubState"].startswith("auto-restart")
    running = state in {"active", "reloading", "activating"} and not loops
    detail = one.get("StatusText", "") if running else state if result == "success" else f"{state}: {result}"
    if loops:  # waitid(2): CLD_EXITED is 1, all other codes come with a signal's number
        kind = "exit status" if one.get("ExecMainCode") == "1" else "signal"
        detail = f"ends again and again ({kind} {one.get('ExecMainStatus')})"
    return State(
        loaded=True,
        enabled=one["UnitFileState"] == "enabled",
        running=running,
        pid=int(one.get("MainPID") or 0),
        detail=detail,
        restarts=int(one.get("NRestarts") or 0),
    )


def printed(text: str) -> State:
    """The state in `launchctl print`, whose form is no interface: only the plain lines at one tab are read."""
    shown = dict(re.findall(r"^\t([a-z ]+) = (.*)$", text, re.MULTILINE))
    numbers = {name: int(value) for name, value in shown.items() if value.isdigit()}
    state = shown.get("state", "not running")
    return State(
        loaded=True,
        enabled=True,
        running=state == "running",
        pid=numbers.get("pid", 0),
        detail="" if state == "running" else f"{state}, last exit code {shown.get('last exit code', 'unknown')}",
        restarts=max(0, numbers.get("runs", 1) - 1),
    )


def _config(site: Site, command: str, variables: Mapping[str, str] | None) -> Path | None:
    """The configuration that the service uses, by the rules of `assumed run`; None where that is unknown."""
    named = re.search(r" --config[= ](.*?)(?= run$| -|$)", command)
    if variables is None and not named:
        return None
    try:
        return find(Path(named[1]) if named else None, {**(variables or {}), "HOME": str(site.account.home)})
    except ConfigError:
        return None


def _paths(shown: str) -> tuple[Path, ...]:
    """Shown paths, links resolved."""
    return tuple(Path(os.path.realpath(word.lstrip("-+"))) for word in shell_words(shown))


def _hidden(one: Mapping[str, str]) -> tuple[Path, ...]:
    """What a unit cannot see."""
    homes = HOMES if one["ProtectHome"] in {"yes", "tmpfs"} else ()
    listed = (word.lstrip("-+") for word in shell_words(one["InaccessiblePaths"]))
    return tuple(Path(path) for path in (*(TEMPORARY if one["PrivateTmp"] == "yes" else ()), *homes, *listed))
