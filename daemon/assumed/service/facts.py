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

from assumed.aws import variables as aws_variables
from assumed.config import Config, find, host_facts, load, read
from assumed.doctor.inspect import started_programs
from assumed.errors import AssumedError, ConfigError, NotAnswering, NotRunning
from assumed.model import Finding
from assumed.paths import socket_path, state_dir
from assumed.runtime.control import ask

from .execute import acting_as
from .found import taken_along
from .manager import Manager
from .plan import Wish
from .program import Account, program, run_as
from .site import Site, account_of, refuse_anothers, site_of
from .units import Wanted

SHELLS_OWN = (
    *("XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"),
    *(*aws_variables.PATHS, aws_variables.CONFIG),
)
"""Of root's own session, and root's own files: they say nothing about another account."""


NOBODY = 65534
"""Who may do nothing: a deleted account's uid may be another's by now."""


@dataclass(frozen=True)
class Choice:
    """Which service is meant: one's own, or (as root) that of an account."""

    config_path: Path | None
    user: str | None = None
    platform: str = sys.platform
    units: Path | None = None
    """The directory of units that the manager reads, once it has been asked."""
    gone: bool = False
    """Whether the account has been deleted, and what is left of it is its service."""

    @cached_property
    def account(self) -> Account:
        """Whose roles are kept."""
        if self.gone and self.user is not None:
            return Account(self.user, NOBODY, NOBODY, Path("/nonexistent"))
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
        path, text = self.text()
        host = host_facts() if self.user is None else replace(host_facts(), user=self.user)
        return load(text, path, self.environ, host=host)

    def text(self) -> tuple[Path, str]:
        """Where the configuration is, and what stands in it, as the account may read it. Raises ConfigError."""
        with acting_as(self.account):
            return self.place, read(self.place)

    @property
    def place(self) -> Path:
        """Where the configuration is. Raises ConfigError where none is named and none is there."""
        return find(self.config_path, self.environ)

    @property
    def may_judge(self) -> bool:
        """Whether we see what the account sees: we are it, or root, who may act as it."""
        return os.geteuid() in (0, self.account.uid)

    @property
    def names_its_configuration(self) -> bool:
        """Whether the person has named one: then a missing one is a slip, not a beginning."""
        return self.config_path is not None or bool(self.environ.get("ASSUMED_CONFIG"))

    @property
    def usual_configuration(self) -> Path:
        """Where the account's own configuration lies, if it has one. Raises AssumedError for another user's place."""
        named = self.environ.get("XDG_CONFIG_HOME", "")
        if named.startswith("/"):
            refuse_anothers(Path(named), "$XDG_CONFIG_HOME")
        base = Path(named) if named.startswith("/") else self.account.home / ".config"
        return base / "assumed" / "config.toml"

    def status(self, config: Path, credentials_file: Path) -> dict[str, Any] | None:
        """The status document of the daemon that keeps this credentials file; None where none answers."""
        if self.account.uid == os.getuid():
            try:
                return ask(socket_path(state_dir(credentials_file)), {"command": "status"})
            except (NotRunning, NotAnswering):
                return None
        if os.geteuid() != 0:
            return None  # nobody but its user and root is answered
        document = _object(self.as_account(["status", "--json"], config, credentials_file).stdout)
        return document if document.get("daemon") else None

    def check(self, config: Config) -> list[Finding]:
        """What `assumed check` finds as the account. Raises AssumedError."""
        done = self.as_account(["check", "--json"], config.path, config.credentials_file)
        document = _object(done.stdout)
        if "findings" not in document:
            said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
            raise AssumedError(f"`assumed check` as {self.account.name} fails, and says: {said}")
        return [Finding(**finding) for finding in document["findings"]]

    def as_account(
        self, arguments: list[str], config: Path, credentials_file: Path
    ) -> subprocess.CompletedProcess[str]:
        """One of our own commands as the account: root's own eyes are no measure of what it sees."""
        more = {**aws_variables.carried(self.environ), "AWS_SHARED_CREDENTIALS_FILE": str(credentials_file)}
        return run_as(self.account, [*program(), *arguments, "--config", str(config)], more)


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def wish(choice: Choice, site: Site, config: Config, words: tuple[str, ...], *, sandboxed: bool) -> Wish:
    """The service for this configuration, started by these words. Raises AssumedError for what it cannot hold."""
    before = taken_along(site)
    with acting_as(choice.account):  # whose files are looked at
        return _wish(choice, site, config, words, before, sandboxed=sandboxed)


def _wish(
    choice: Choice, site: Site, config: Config, words: tuple[str, ...], before: Mapping[str, str], *, sandboxed: bool
) -> Wish:
    started = started_programs(config, choice.environ)
    link = config.credentials_file
    needed = dict.fromkeys([os.path.dirname(os.path.realpath(link)), os.path.realpath(link.parent)])
    textfile = config.metrics_textfile
    state = state_dir(link)
    writable = dict.fromkeys([*needed, *([os.path.realpath(textfile.parent)] if textfile else [])])
    variables = _variables(choice, config, with_path=bool(started))
    kept = _kept(choice, before, variables)
    _refuse_unspeakable(site, {**variables, **kept})
    return Wish(
        wanted=Wanted(
            words,
            tuple(writable),
            compiles=bool(started),
            user=choice.user,
            home=str(choice.account.home) if choice.user is not None else None,
            shares_tmp=not socket_path(state).is_relative_to(state),
        ),
        variables=_in_order({**kept, **variables}),
        kept=tuple(kept),
        needed=tuple(needed),
        sandboxed=sandboxed,
        linger=site.manager == "systemd" and not site.system,
    )


def _variables(choice: Choice, config: Config, *, with_path: bool) -> dict[str, str]:
    variables = aws_variables.carried(choice.environ)
    for name in aws_variables.TRUST:
        if name in variables and not variables[name].startswith(("/", "~", "$")):
            variables[name] = os.path.abspath(variables[name])  # noqa: PTH100 (Path.absolute keeps `..`)
    if with_path and choice.environ.get("PATH"):
        parts = [part for part in choice.environ["PATH"].split(os.pathsep) if part.startswith("/")]
        variables["PATH"] = os.pathsep.join(dict.fromkeys(parts))
    if _usual(choice) != config.path:
        variables[aws_variables.CONFIG] = str(config.path)
    return variables


def _kept(choice: Choice, before: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """What the last install has taken along, and this shell does not set: one by SSH has less than one at the screen.

    A variable that is set to nothing takes it away.
    """
    own = SHELLS_OWN if choice.user is not None else ()
    return {name: before[name] for name in before if name not in {*variables, *choice.environ, *own}}


def _in_order(variables: Mapping[str, str]) -> dict[str, str]:
    """The same from whichever shell: what is carried by name, then the rest."""
    return dict(sorted(variables.items(), key=lambda pair: (not aws_variables.is_carried(pair[0]), pair[0])))


def _refuse_unspeakable(site: Site, variables: Mapping[str, str]) -> None:
    for name, value in variables.items():
        try:
            value.encode()
        except UnicodeEncodeError:
            without = site.command("install", setting=f"{name}=")
            raise AssumedError(
                f"${name} is not UTF-8, so it cannot be taken along in a service's file; correct it, or go without it: "
                f"{without}"
            ) from None


def _usual(choice: Choice) -> Path | None:
    """The configuration that the service would find by itself."""
    try:
        return find(None, {"HOME": str(choice.account.home)})
    except ConfigError:
        return None
