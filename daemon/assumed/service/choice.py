"""Which service a command is about, and what this shell and this machine say about it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from assumed.aws.variables import CONFIG, PATHS, TRUST, carried, is_carried
from assumed.config import Config, find, host_facts, load, read
from assumed.errors import AssumedError, NotAnswering, NotRunning
from assumed.model import Finding
from assumed.paths import socket_path, state_dir, usual_configurations
from assumed.runtime.control import ask

from .environment import started_programs
from .execute import acting_as
from .manager import Manager
from .site import PLAIN_PATH, Account, Site, account_of, program, refuse_foreign, run_as, site_of
from .units import Spec, assignments

# Root's own session and files, which mean nothing for another account.
OF_ROOT = ("XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", *PATHS, CONFIG)
# May do nothing: a deleted account's uid may belong to another one by now.
NOBODY = 65534


@dataclass(frozen=True)
class Choice:
    """One's own service, or (as root) that of an account.

    `units`: the directory of units that the manager reads, once it has been asked. `gone`: whether the account has been
    deleted and only its service is left.
    """

    config_path: Path | None
    user: str | None = None
    platform: str = sys.platform
    units: Path | None = None
    gone: bool = False

    @cached_property
    def account(self) -> Account:
        """Whose roles are kept. Raises NoAccount."""
        if self.gone and self.user is not None:
            return Account(self.user, NOBODY, NOBODY, Path("/nonexistent"))
        return account_of(self.user, os.environ)

    @cached_property
    def environ(self) -> Mapping[str, str]:
        """The environment in which the account's paths are read."""
        if self.user is None:
            return os.environ
        theirs = {"HOME": str(self.account.home), "USER": self.account.name, "LOGNAME": self.account.name}
        return {**{name: value for name, value in os.environ.items() if name not in OF_ROOT}, **theirs}

    @cached_property
    def site(self) -> Site:
        """Where the service is, or would be."""
        return site_of(self.account, system=self.user is not None, platform=self.platform, units=self.units)

    @cached_property
    def manager(self) -> Manager:
        """The manager of that site."""
        return Manager(self.site, os.environ)

    def resolved(self) -> Choice:
        """The same, with a directory that the manager reads. Raises AssumedError where no manager answers."""
        return replace(self, units=self.manager.units())

    def configuration(self) -> Config:
        """The configuration, valid, as the account may read it. Raises ConfigError."""
        with acting_as(self.account):
            path = find(self.config_path, self.environ)
            text = read(path)
        host = host_facts() if self.user is None else replace(host_facts(), user=self.user)
        return load(text, path, self.environ, host=host)

    @property
    def names_configuration(self) -> bool:
        """Whether --config or $ASSUMED_CONFIG names one: then a missing file is a mistake."""
        return self.config_path is not None or bool(self.environ.get(CONFIG))

    @property
    def usual_configuration(self) -> Path:
        """Where the account's configuration belongs. Raises AssumedError for a directory of another user."""
        path = usual_configurations(self.environ)[0]
        if self.user is None:
            refuse_foreign(path, "$XDG_CONFIG_HOME")
        return path

    def status(self, config: Path, credentials_file: Path) -> dict[str, Any] | None:
        """The status document of the daemon that keeps this credentials file; None where none answers."""
        if self.account.is_ours:
            try:
                return ask(socket_path(state_dir(credentials_file)), {"command": "status"})
            except (NotRunning, NotAnswering):
                return None
        if os.geteuid() == 0:  # the daemon answers its user and root alone
            with contextlib.suppress(AssumedError):
                document = self._answer("status", config, credentials_file)
                return document if document.get("daemon") else None
        return None

    def check(self, config: Config) -> list[Finding]:
        """The findings of `assumed check` as the account. Raises AssumedError."""
        found = self._answer("check", config.path, config.credentials_file).get("findings", ())
        return [Finding(**finding) for finding in found]

    def _answer(self, command: str, config: Path, credentials_file: Path) -> dict[str, Any]:
        """The JSON of one of our commands as the account. Raises AssumedError."""
        done = self.as_account([command, "--json"], config, credentials_file)
        try:
            return dict(json.loads(done.stdout))
        except (ValueError, TypeError):
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise AssumedError(f"`assumed {command}` as {self.account.name} failed: {last}") from None

    def as_account(
        self, arguments: list[str], config: Path, credentials_file: Path
    ) -> subprocess.CompletedProcess[str]:
        """One of our commands as the account: root sees more than the service will."""
        more = {**carried(self.environ), "AWS_SHARED_CREDENTIALS_FILE": str(credentials_file)}
        if self.account.is_ours:
            more["PATH"] = self.environ.get("PATH", PLAIN_PATH)
        return run_as(self.account, [*program(), *arguments, "--config", str(config)], more)


def spec(choice: Choice, config: Config, *, sandboxed: bool) -> Spec:
    """The service for this configuration. Raises AssumedError for what its files cannot hold."""
    before = _captured_before(choice)
    with acting_as(choice.account):  # whose files are read
        programs = started_programs(config, choice.environ)
        variables = _variables(choice, config, with_path=bool(programs))
        # A shell over SSH has less than one at the screen: what the last install captured stays, until it is set empty.
        ignored = {*variables, *choice.environ, *(OF_ROOT if choice.user is not None else ())}
        kept = {name: value for name, value in before.items() if name not in ignored}
        for name, value in {**variables, **kept}.items():
            if re.search("[\ud800-\udfff]", value):
                without = choice.site.command("install", setting=f"{name}=")
                raise AssumedError(f"${name} is not UTF-8; correct it, or install without it: {without}")
        link, textfile = config.credentials_file, config.metrics_textfile
        directories = [os.path.dirname(os.path.realpath(link)), os.path.realpath(link.parent)]
        writable = [*directories, *([os.path.realpath(textfile.parent)] if textfile else [])]
        state = state_dir(link)
        everything = {**kept, **variables}
        return Spec(
            program=program(),
            writable=tuple(dict.fromkeys(writable)),
            directories=tuple(dict.fromkeys(directories)),
            variables={
                name: everything[name] for name in sorted(everything, key=lambda one: (not is_carried(one), one))
            },
            kept=tuple(kept),
            starts_programs=bool(programs),
            shares_tmp=not socket_path(state).is_relative_to(state),
            sandboxed=sandboxed,
        )


def _captured_before(choice: Choice) -> dict[str, str]:
    """What the last install captured of its shell; empty where that cannot be read."""
    try:
        if choice.site.manager == "launchd":
            agent = choice.manager.installed()
            variables = (agent.variables if agent else None) or {}
        else:
            variables = assignments(choice.site.environment.read_text("utf-8", "surrogateescape"))
    except (OSError, ValueError):
        return {}
    return {name: value for name, value in variables.items() if is_carried(name)}


def _variables(choice: Choice, config: Config, *, with_path: bool) -> dict[str, str]:
    """What the service needs of this shell's environment."""
    variables = carried(choice.environ)
    for name in TRUST:
        if name in variables and not variables[name].startswith(("/", "~", "$")):
            variables[name] = os.path.abspath(variables[name])  # noqa: PTH100 (Path.absolute keeps `..`)
    if with_path and choice.environ.get("PATH"):
        parts = [part for part in choice.environ["PATH"].split(os.pathsep) if part.startswith("/")]
        variables["PATH"] = os.pathsep.join(dict.fromkeys(parts))
    usual = next(filter(os.path.lexists, usual_configurations({"HOME": str(choice.account.home)})), None)
    return variables if usual == config.path else {**variables, CONFIG: str(config.path)}
