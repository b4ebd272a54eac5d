"""A real daemon, `assumed run`, as a process of its own in a home of its own.

home = Home(tmp_path)
home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
home.configure(role("my-role", ROLE, external_id="MyApp-42"))
with Daemon(home, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
    daemon.wait_until_fresh("my-role")
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from botocore.configloader import raw_config_parse

from .control import NotRunning, ask, state_of
from .waiting import eventually, patient

START_SECONDS = 60.0
STOP_SECONDS = 60.0


def python() -> str:
    """The interpreter that runs `assumed`. ASSUMED_PYTHON names another one, for example of an older version."""
    return PYTHON or sys.executable


PYTHON = os.environ.get("ASSUMED_PYTHON", "")
"""Read at once: the tests' own environment has no ASSUMED_ variables."""


def package() -> Path:
    """The directory of the package under test."""
    program = "import importlib.util as util; print(util.find_spec('assumed').submodule_search_locations[0])"
    done = subprocess.run([python(), "-c", program], capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


def role(profile: str, role_arn: str, **keys: Any) -> str:
    """One `[[roles]]` entry as TOML."""
    values = {"profile": profile, "role_arn": role_arn, **keys}
    return "\n".join(["[[roles]]", *(f"{name} = {_toml(value)}" for name, value in values.items()), ""])


def _toml(value: Any) -> str:
    """A TOML value: strings, numbers, booleans and lists of them, written as in JSON."""
    if not isinstance(value, dict):
        return json.dumps(value)
    return "{ " + ", ".join(f"{json.dumps(name)} = {_toml(item)}" for name, item in value.items()) + " }"


DEFAULTS = '[defaults]\nsource_profile = "default"\nregion = "us-west-2"\n'


@dataclass(frozen=True, slots=True)
class Home:
    """A home directory with AWS's two files and the daemon's configuration in their usual places."""

    path: Path
    interpreter: str = field(default_factory=python)
    """Runs `assumed` in this home."""

    @property
    def credentials(self) -> Path:
        return self.path / ".aws" / "credentials"

    @property
    def aws_config(self) -> Path:
        return self.path / ".aws" / "config"

    @property
    def config(self) -> Path:
        return self.path / ".config" / "assumed" / "config.toml"

    @property
    def state(self) -> Path:
        return state_of(self.credentials)

    def add_source(self, access_key_id: str, secret: str, profile: str = "default") -> None:
        """Appends a section of long-term keys, as `aws configure` does."""
        self._append(
            self.credentials, f"[{profile}]\naws_access_key_id = {access_key_id}\naws_secret_access_key = {secret}\n"
        )

    def configure(self, *roles: str, defaults: str = DEFAULTS) -> None:
        """Replaces the configuration, by rename as good editors do."""
        self.config.parent.mkdir(parents=True, exist_ok=True)
        new = self.config.with_name("config.toml.new")
        new.write_text("\n".join([defaults, *roles]))
        new.replace(self.config)

    def profile(self, name: str) -> dict[str, str] | None:
        """A section of the credentials file, read by botocore's own parser, or None."""
        return dict(raw_config_parse(str(self.credentials)).get(name, {})) or None

    def environment(self, **more: str) -> dict[str, str]:
        """The variables of a person with this home: nothing of AWS's or ours except `more`."""
        private = ("AWS_", "ASSUMED_", "XDG_")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(private)}
        return {**inherited, "HOME": str(self.path), "AWS_EC2_METADATA_DISABLED": "true", **more}

    def assumed(
        self, *arguments: str, within: float = 60.0, before: Sequence[str] = (), **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs one `assumed` command in this home; `before` is a command that runs another one."""
        return subprocess.run(
            [*before, self.interpreter, "-m", "assumed", *arguments],
            env=self.environment(**more),
            cwd=self.path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )

    def commands(self) -> list[str]:
        """The names of all commands, as listed by `--help`."""
        _, _, listed = self.assumed("--help").stdout.partition("\nCommands:\n")
        return re.findall(r"^  ([a-z][a-z-]*)  ", listed.partition("\n\n")[0], re.MULTILINE)

    def _append(self, file: Path, text: str) -> None:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(0o600)
        with file.open("a") as stream:
            stream.write(text)


class Daemon:
    """`assumed run` in `home`. As a context manager it runs inside, and is stopped and reaped after."""

    def __init__(self, home: Home, under: Sequence[str] = (), **environment: str) -> None:
        """`under` is a command that replaces itself with another one (setpriv, env)."""
        self.home = home
        self._under = list(under)
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._stdout = home.path / "daemon.stdout"
        self._stderr = home.path / "daemon.stderr"

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def stdout(self) -> str:
        return self._stdout.read_text()

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """Log events so far of every run in this home, or those with one name, such as `role.renewed`."""
        lines = [json.loads(line) for line in self.stderr.splitlines() if line.startswith("{")]
        return [line for line in lines if name in (None, line.get("event"))]

    def start(self, answering: bool = True) -> Self:
        """Starts it, and waits until it answers on its control socket, unless `answering` is false."""
        with self._stdout.open("ab") as stdout, self._stderr.open("ab") as stderr:
            self._process = subprocess.Popen(
                [*self._under, self.home.interpreter, "-m", "assumed", "run", "--config", str(self.home.config)],
                env=self.home.environment(**{"ASSUMED_LOG_FORMAT": "json", **self._environment}),
                cwd=self.home.path,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        if answering:
            self._eventually(self._answers, START_SECONDS, "an answer on the control socket")
        return self

    def ask(self, command: str, **more: Any) -> dict[str, Any]:
        """One request on the control socket. Raises NotRunning."""
        return ask(self.home.state, {"command": command, **more})

    def status(self) -> dict[str, Any]:
        """The status document."""
        return self.ask("status")

    def role(self, profile: str) -> dict[str, Any]:
        """One role of the status document. Raises KeyError."""
        return dict({entry["profile"]: entry for entry in self.status()["roles"]}[profile])

    def wait_until(self, predicate: Callable[[dict[str, Any]], Any], within: float = 10.0) -> dict[str, Any]:
        """The first status document for which `predicate` holds. Raises AssertionError with the end of the log."""
        last: dict[str, Any] = {}

        def holds() -> bool:
            nonlocal last
            last = self.status()
            return bool(predicate(last))

        try:
            self._eventually(holds, within, "the status waited for")
        except AssertionError as error:
            raise AssertionError(f"{error}\nstatus: {json.dumps(last, indent=1)}") from None
        return last

    def wait_until_fresh(self, *profiles: str, within: float = 15.0) -> dict[str, Any]:
        """Until those roles (all if none is given) are fresh and delivered."""

        def fresh(status: dict[str, Any]) -> bool:
            roles = [entry for entry in status["roles"] if not profiles or entry["profile"] in profiles]
            return len(roles) >= max(1, len(profiles)) and all(
                entry["state"] == "fresh" and entry["delivered"] for entry in roles
            )

        return self.wait_until(fresh, within)

    def wait_for_exit(self, within: float = STOP_SECONDS) -> int:
        """Its exit status (negative: the signal). Raises subprocess.TimeoutExpired."""
        assert self._process is not None, "not started"
        return self._process.wait(patient(within))

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "not started"
        self._process.send_signal(number)

    def stop(self) -> int:
        """SIGTERM; returns the exit status. Raises if it has to be killed."""
        if not self.is_running():
            return 0 if self._process is None else self.wait_for_exit()
        self.signal(signal.SIGTERM)
        try:
            return self.wait_for_exit()
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError(f"it did not end within {STOP_SECONDS} s of SIGTERM\n{self._end_of_log()}") from None

    def kill9(self) -> None:
        """SIGKILL: leaves what a crash leaves."""
        self.signal(signal.SIGKILL)
        self.wait_for_exit()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _answers(self) -> bool:
        try:
            return bool(self.ask("ping")["pid"] == self.pid)
        except NotRunning:
            return False

    def _eventually(self, predicate: Callable[[], bool], within: float, saying: str) -> None:
        def alive() -> bool:
            assert self._process is not None, "not started"
            if self._process.poll() is not None:
                raise AssertionError(f"the daemon ended with {self._process.returncode}\n{self._end_of_log()}")
            return predicate()

        try:
            eventually(alive, within, saying=saying)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._end_of_log()}") from None

    def _end_of_log(self) -> str:
        return "the log's end:\n" + "\n".join(self.stderr.splitlines()[-20:])
