"""Keepers for tests: one with every real edge and its threads, and what it said."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assumed.config import Config, HostFacts, load
from assumed.paths import state_dir
from assumed.runtime import build as build_module
from assumed.runtime.build import Daemon, build
from world.fake_sts import SOURCE_KEY, SOURCE_SECRET

SOURCE = f"[default]\naws_access_key_id = {SOURCE_KEY}\naws_secret_access_key = {SOURCE_SECRET}\n"


def arn(name: str) -> str:
    return f"arn:aws:iam::123456789012:role/{name}"


def role(profile: str, **keys: Any) -> str:
    """A `[[roles]]` entry."""
    values = {"profile": profile, "role_arn": arn(profile), **keys}
    return "\n".join(["[[roles]]", *(f"{name} = {json.dumps(value)}" for name, value in values.items()), ""])


class Rig:
    """The real parts of a daemon in a home, with nothing started."""

    def __init__(self, home: Path, patch: pytest.MonkeyPatch, *roles: str, inherited: dict[str, str] | None = None):
        self.credentials = home / ".aws" / "credentials"
        self.credentials.parent.mkdir(mode=0o700, exist_ok=True)
        if not self.credentials.exists():
            self.credentials.write_text(SOURCE)
        self.config_path = home / "config.toml"
        text = '[defaults]\nsource_profile = "default"\nregion = "us-west-2"\n' + "\n".join(roles)
        self.config_path.write_text(text)
        self.said: list[tuple[str, str, dict[str, Any]]] = []
        patch.setattr(build_module, "write_log", lambda level, event, **facts: self.said.append((level, event, facts)))
        self.config: Config = load(text, self.config_path, os.environ, host=HostFacts("natan", "laptop"))
        self.state = state_dir(self.config.credentials_file)
        self.daemon: Daemon = build(self.config, self.state, inherited or {})

    def events(self, name: str) -> list[dict[str, Any]]:
        return [facts for _, event, facts in self.said if event == name]

    def close(self) -> None:
        self.daemon.scheduler.stop()
        self.daemon.sources.close()
        self.daemon.watcher.stop()


@contextlib.contextmanager
def rig(home: Path, *roles: str, inherited: dict[str, str] | None = None) -> Iterator[Rig]:
    with pytest.MonkeyPatch.context() as patch:
        made = Rig(home, patch, *roles, inherited=inherited)
        try:
            yield made
        finally:
            made.close()
