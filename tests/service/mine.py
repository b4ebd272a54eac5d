"""A service of one's own as install leaves it, and what there is to say about it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from assumed.aws.variables import is_carried
from assumed.config import Config, HostFacts, load
from assumed.model import Finding
from assumed.service import execute
from assumed.service.facts import Choice
from assumed.service.findings import about
from assumed.service.found import installed
from assumed.service.plan import plan
from assumed.service.program import Account
from assumed.service.record import Record
from assumed.service.site import Site, site_of
from service.kit import wish
from world.daemon import Home, role

ARN = "arn:aws:iam::123456789012:role/MyApp"


class Service:
    """One of the user's own, as install leaves it on a site of this home."""

    def __init__(self, home: Path, platform: str = "linux") -> None:
        self.home = Home(home)
        self.platform = platform
        self.config_path: Path = self.home.config
        self.home.configure(role("my-role", ARN))
        self.site: Site = site_of(Account("alice", os.getuid(), os.getgid(), home), platform=platform)
        self.program = home / "bin" / "assumed"
        self.program.parent.mkdir()
        self.program.write_text("#!/bin/sh\n")
        self.program.chmod(0o755)

    def install(
        self, sandboxed: bool = True, compiles: bool = False, credentials: Path | None = None, **variables: str
    ) -> None:
        """Writes its files. `credentials`: the directory of the credentials file."""
        wished = wish(
            str(self.program), home=self.home.path, sandboxed=sandboxed, compiles=compiles, variables=variables
        )
        if credentials is not None:
            wished = replace(wished, wanted=replace(wished.wanted, writable=(str(credentials),)))
        execute.write(plan(self.site, wished), Record())
        if self.site.manager == "systemd" and sandboxed:
            self.drop_in("PrivateTmp=no", "20-home.conf")  # where the tests' homes lie

    def drop_in(self, text: str, name: str = "override.conf") -> None:
        """Adds a person's own settings."""
        directory = self.site.units / "assumed.service.d"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(f"[Service]\n{text}\n")

    @property
    def config(self) -> Config:
        path = self.config_path
        return load(path.read_text(), path, {"HOME": str(self.home.path)}, host=HostFacts("alice", "host"))

    def findings(self, **environ: str) -> list[Finding]:
        """What there is to say about it in a shell with these variables."""
        found = installed(self.site, dict)
        assert found is not None
        with pytest.MonkeyPatch.context() as shell:
            for name in filter(is_carried, os.environ):  # of whoever runs the tests
                shell.delenv(name)
            for name, value in environ.items():
                shell.setenv(name, value)
            return about([(Choice(None, platform=self.platform), found)], self.config, None)
