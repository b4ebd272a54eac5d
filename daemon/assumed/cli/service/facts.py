"""What a service has to be told: gathered from the configuration, this shell and this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from assumed.config import Config, find, host_facts, load, read
from assumed.core import carried
from assumed.core.errors import ConfigError, NotRunning
from assumed.core.units import Wanted
from assumed.edge.control import ask, socket_path
from assumed.edge.service.manager import Manager
from assumed.edge.service.plan import Wish
from assumed.edge.service.program import program
from assumed.edge.service.site import Account, Site, account_of, site_of
from assumed.edge.store import state_dir
from assumed.edge.surroundings import started_programs

SHELLS_OWN = ("XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
"""Of root's own session: they say nothing about another account."""


@dataclass(frozen=True)
class Choice:
    """Which service is meant: one's own, or (as root) that of an account."""

    config_path: Path | None
    user: str | None = None
    platform: str = sys.platform
    units: Path | None = None
    """The directory of units that the manager reads, once it has been asked."""

    @cached_property
    def account(self) -> Account:
        """Whose roles are kept."""
        return account_of(self.user, os.environ)

    @cached_property
    def environ(self) -> Mapping[str, str]:
        """The environment in which the account's paths are read."""
        if self.user is None:
            return os.environ
        theirs = {"HOME": str(self.account.home), "USER": self.account.name, "LOGNAME": self.account.name}
        return {**{name: value for name, value in os.environ.items() if name not in SHELLS_OWN}, **theirs}

    @cached_property
    def site(self) -> Site:
        """Where it is, or would be."""
        site = site_of(self.account, system=self.user is not None, platform=self.platform)
        return site if self.units is None else replace(site, units=self.units)

    def settled(self) -> Choice:
        """The same, its site one that the manager reads. Raises AssumedError where no manager answers."""
        return replace(self, units=self.manager.settled().units)

    @cached_property
    def manager(self) -> Manager:
        """Whom to ask."""
        return Manager(self.site, os.environ)

    def configuration(self) -> Config:
        """The configuration, valid. Raises ConfigError."""
        path = find(self.config_path, self.environ)
        return load(read(path), path, self.environ, host=host_facts())

    @property
    def names_its_configuration(self) -> bool:
        """Whether the person has named one: then a missing one is a slip, not a beginning."""
        return self.config_path is not None or bool(self.environ.get("ASSUMED_CONFIG"))

    @property
    def usual_configuration(self) -> Path:
        """Where the account's own configuration lies, if it has one."""
        named = self.environ.get("XDG_CONFIG_HOME", "")
        base = Path(named) if named.startswith("/") else self.account.home / ".config"
        return base / "assumed" / "config.toml"

    def status(self, config: Config) -> dict[str, Any] | None:
        """The status document of the daemon that keeps this configuration's credentials file; None without one."""
        if self.account.uid == os.getuid():
            try:
                return ask(socket_path(state_dir(config.credentials_file)), {"command": "status"})
            except NotRunning:
                return None
        if os.geteuid() != 0:
            return None  # nobody but its user and root is answered
        done = self.as_account(["status", "--json"], config, capture=True)
        try:
            document = json.loads(done.stdout)
        except ValueError:
            return None
        return document if document.get("daemon") else None

    def as_account(
        self, arguments: list[str], config: Config, *, capture: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """One of our own commands as the account: root's own eyes are no measure of what it sees."""
        return subprocess.run(
            [*program(), *arguments, "--config", str(config.path)],
            cwd="/",
            env={**self.environ, "AWS_SHARED_CREDENTIALS_FILE": str(config.credentials_file)},
            stdin=subprocess.DEVNULL,
            capture_output=capture,
            text=True,
            check=False,
            user=self.account.uid,
            group=self.account.gid,
            extra_groups=[],
        )


def wish(choice: Choice, site: Site, config: Config, words: tuple[str, ...], *, sandboxed: bool) -> Wish:
    """The service for this configuration, started by these words."""
    started = started_programs(config, choice.environ)
    link = config.credentials_file
    needed = dict.fromkeys([os.path.dirname(os.path.realpath(link)), os.path.realpath(link.parent)])
    textfile = config.metrics_textfile
    state = state_dir(link)
    writable = dict.fromkeys([*needed, *([os.path.realpath(textfile.parent)] if textfile else [])])
    return Wish(
        wanted=Wanted(
            words,
            tuple(writable),
            compiles=bool(started),
            user=choice.user,
            shares_tmp=not socket_path(state).is_relative_to(state),
        ),
        variables=_variables(choice, config, with_path=bool(started)),
        needed=tuple(needed),
        sandboxed=sandboxed,
        linger=site.manager == "systemd" and not site.system,
    )


def _variables(choice: Choice, config: Config, *, with_path: bool) -> dict[str, str]:
    variables = carried.carried(choice.environ)
    for name in carried.TRUST:
        if name in variables and not variables[name].startswith(("/", "~", "$")):
            variables[name] = os.path.abspath(variables[name])  # noqa: PTH100 (Path.absolute keeps `..`)
    if with_path and choice.environ.get("PATH"):
        parts = [part for part in choice.environ["PATH"].split(os.pathsep) if part.startswith("/")]
        variables["PATH"] = os.pathsep.join(dict.fromkeys(parts))
    if _usual(choice) != config.path:
        variables[carried.CONFIG] = str(config.path)
    return variables


def _usual(choice: Choice) -> Path | None:
    """The configuration that the service would find by itself."""
    try:
        return find(None, {"HOME": str(choice.account.home)})
    except ConfigError:
        return None
