"""Where the daemon of a configuration listens, and what its roles' readers get, with or without it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assumed.core.errors import AlreadyRunning, AssumedError, ConfigError, NotRunning

if TYPE_CHECKING:
    from assumed.config import Config


@dataclass(frozen=True, slots=True)
class Place:
    """The state directory of a configuration, and the configuration itself or why it cannot be used."""

    path: Path | None
    """The configuration file; None where there is none, and whatever daemon stands there answers."""
    state_dir: Path
    config: Config | None
    error: ConfigError | None

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The daemon's answer. Raises NotRunning, or AssumedError with the sentence that it refuses with.

        Where neither a daemon nor a usable configuration is there, the configuration is what to mend: ConfigError.
        """
        from assumed.edge.control import ask, socket_path

        try:
            answer = ask(socket_path(self.state_dir), {**request, **({"config": str(self.path)} if self.path else {})})
        except NotRunning:
            if self.error is not None:
                raise self.error from None
            raise
        if "another" in answer:
            raise AlreadyRunning(
                f"the daemon of {answer['another']} keeps this credentials file, not that of {self.path}; "
                "give each configuration a credentials_file of its own, or merge them"
            )
        if "error" in answer:
            raise AssumedError(str(answer["error"]))
        return answer

    def document(self) -> dict[str, Any]:
        """The status document: the daemon's own, or one read from the disk, whose `daemon` is None."""
        try:
            return self.ask({"command": "status"})
        except NotRunning:
            from assumed.keeper.status import offline

            if self.config is None:
                raise
            return offline(self.config)


def configuration(config_path: Path | None) -> Config:
    """The configuration to use. Raises ConfigError with every problem at once."""
    from assumed.config import find, host_facts, load, read

    path = find(config_path, os.environ)
    return load(read(path), path, os.environ, host=host_facts())


def locate(config_path: Path | None) -> Place:
    """The place of a configuration. A bad edit must not hide the daemon that goes on with the last good one."""
    from assumed.config import find, host_facts, load, read
    from assumed.config.places import named_credentials_file
    from assumed.edge.store import state_dir

    text = ""
    path: Path | None = None
    try:
        path = find(config_path, os.environ)
        text = read(path)
        config = load(text, path, os.environ, host=host_facts())
    except ConfigError as error:
        return Place(path, state_dir(named_credentials_file(text, path or Path.cwd(), os.environ)), None, error)
    return Place(path, state_dir(config.credentials_file), config, None)
