"""What every process of assumed starts with: the configuration, and an environment without the shell's credentials."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path

from assumed import redact
from assumed.aws.variables import SHELL_VARIABLES
from assumed.config import Config, find, host_facts, load, read
from assumed.config.places import glimpse
from assumed.doctor import environment
from assumed.errors import ConfigError
from assumed.paths import exists, named_credentials_file, state_dir

KEY_LOG = "SSLKEYLOGFILE"


def take_shell_variables(environ: MutableMapping[str, str]) -> dict[str, str]:
    """Take credential and profile variables out of the environment; returns what they were.

    Drops SSLKEYLOGFILE, too, into which TLS libraries write the keys of a connection.
    """
    environ.pop(KEY_LOG, None)
    return {name: environ.pop(name) for name in SHELL_VARIABLES if name in environ}


def guard_environment(inherited: Mapping[str, str]) -> None:
    """Redact the environment's credentials and the passwords of its proxies and endpoints."""
    redact.guard("environment", *(inherited.get(name) for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")))
    for name, passwords in environment.secrets(os.environ):
        redact.guard(name, *passwords)


def parser_of(path: Path) -> Callable[[str], Config]:
    """Text → Config for the file at `path`. Raises ConfigError."""
    return lambda text: load(text, path, os.environ, host=host_facts())


def usable_config(config_path: Path | None) -> tuple[Config, ConfigError | None]:
    """The configuration; when it is bad, the last good one and what is wrong. Raises ConfigError when there is none."""
    path = find(config_path, os.environ)
    parse = parser_of(path)
    try:
        return parse(read(path)), None
    except ConfigError as error:
        last_good = _last_good(named_credentials_file(glimpse(path), path, os.environ))
        if not exists(last_good):
            raise
        return parse(read(last_good)), error


def config_to_keep(config_path: Path | None) -> tuple[Config, ConfigError | None]:
    """The configuration that the daemon starts with: as `usable_config`, but an edit with a role that cannot be
    delivered waits, too. Without a last good one, every other role is kept."""
    from .deliverable import check_deliverable  # noqa: PLC0415 - `exec`, which needs the rest, can do without

    config, error = usable_config(config_path)
    if error is not None:
        return config, error
    try:
        return check_deliverable(config), None
    except ConfigError as found:
        error = found
    try:
        return check_deliverable(parser_of(config.path)(read(_last_good(config.credentials_file)))), error
    except ConfigError:
        return config, None


def _last_good(credentials_file: Path) -> Path:
    return state_dir(credentials_file) / "config.last-good.toml"
