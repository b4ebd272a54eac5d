"""Where the daemon of a configuration listens, and what its roles' readers get, with or without it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assumed.errors import AssumedError, ConfigError, NotAnswering, NotRunning, OtherConfiguration

if TYPE_CHECKING:
    from assumed.config import Config


CONFIG_MAY_NAME_IT = re.compile(r"credentials_file|\\[uU]")
"""Whether a text can name the credentials file: by the key, or by a key in TOML's escapes."""


class Place:
    """The state directory of a configuration, and the configuration itself or why it cannot be used."""

    def __init__(self, path: Path | None, state_dir: Path, load: Callable[[], Config]) -> None:
        """`load` raises ConfigError. It is called when the configuration is asked for: mostly the daemon knows."""
        self.path = path
        """The configuration file; None where there is none, and any daemon there answers."""
        self.state_dir = state_dir
        self._load = load

    @cached_property
    def config(self) -> Config | None:
        """The configuration; None where it cannot be used."""
        with suppress(ConfigError):
            return self._load()
        return None

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The daemon's answer. Raises NotRunning, NotAnswering, or AssumedError with the sentence that it refuses with.

        Where neither a daemon nor a usable configuration is there, the configuration is what to mend: ConfigError.
        """
        from assumed.paths import socket_path
        from assumed.runtime.control import ask

        try:
            answer = ask(socket_path(self.state_dir), {**request, **({"config": str(self.path)} if self.path else {})})
        except NotRunning:
            self._load()
            raise
        if "another" in answer:
            self._load()  # a mistyped path is no other configuration
            raise OtherConfiguration(answer["another"], self.path)
        if "error" in answer:
            raise AssumedError(str(answer["error"]))
        return answer

    def document(self) -> dict[str, Any]:
        """The status document: the daemon's own, or one read from the disk, whose `daemon` is None and whose
        `daemon_error` says why a daemon that runs did not answer."""
        try:
            return self.ask({"command": "status"})
        except (NotRunning, NotAnswering) as error:
            from assumed.snapshot import offline

            if self.config is None:
                raise
            return offline(self.config, str(error) if isinstance(error, NotAnswering) else None)


def configuration(config_path: Path | None) -> Config:
    """The configuration to use. Raises ConfigError with every problem at once."""
    from assumed.config import find, host_facts, load, read

    path = find(config_path, os.environ)
    return load(read(path), path, os.environ, host=host_facts())


def locate(config_path: Path | None) -> Place:
    """The place of a configuration. A bad edit must not hide the daemon that goes on with the last good one."""
    from assumed.config import find
    from assumed.config.places import glimpse
    from assumed.paths import named_credentials_file, state_dir

    text = ""
    path: Path | None = None
    with suppress(ConfigError):  # raised again where the configuration is asked for
        path = find(config_path, os.environ)
        text = glimpse(path)
        if CONFIG_MAY_NAME_IT.search(text):
            config = configuration(config_path)
            return Place(path, state_dir(config.credentials_file), lambda: config)
    credentials_file = named_credentials_file(text, path or Path("/"), os.environ)
    return Place(path, state_dir(credentials_file), lambda: configuration(config_path))
