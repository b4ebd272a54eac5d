"""The temporary home of the demo: natan's keys, the configuration, and a real daemon."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from assumed.errors import AssumedError, NotAnswering, NotRunning
from assumed.paths import socket_path, state_dir
from assumed.runtime.control import ask

from .aws import WalkThrough

START_SECONDS = 20.0
STOP_SECONDS = 10.0

CONFIG = """\
[defaults]
source_profile = "default"
region = "{region}"
role_session_name = "{session_name}"

[[roles]]
profile = "my-role"
role_arn = "{my_role}"
external_id = "{external_id}"

[[roles]]
profile = "reports"
role_arn = "{reports_role}"
deliver = "process"

[[roles]]
profile = "archive"
role_arn = "{archive_role}"
source_profile = "my-role"
"""


def roles_of(facts: WalkThrough) -> dict[str, str]:
    """Managed profile → role ARN, in the order of the configuration."""
    return {"my-role": facts.my_role, "reports": facts.reports_role, "archive": facts.archive_role}


@dataclass
class DemoHome:
    """A directory that is removed at the end, and the daemon that runs in it."""

    facts: WalkThrough
    _directory: tempfile.TemporaryDirectory[str] = field(
        default_factory=lambda: tempfile.TemporaryDirectory(prefix="assumed-demo-")
    )
    _daemon: subprocess.Popen[bytes] | None = None

    @property
    def path(self) -> Path:
        return Path(self._directory.name)

    @property
    def credentials(self) -> Path:
        return self.path / "credentials"

    def variables(self) -> dict[str, str]:
        """What a second terminal needs so that AWS's tools look only here."""
        return {
            "AWS_SHARED_CREDENTIALS_FILE": str(self.credentials),
            "AWS_CONFIG_FILE": str(self.path / "config"),
            "AWS_ENDPOINT_URL": self.facts.endpoint,
        }

    def __enter__(self) -> Self:
        natan = self.facts.natan
        keys = f"aws_access_key_id = {natan.access_key_id}\naws_secret_access_key = {natan.secret_access_key}\n"
        self._write("credentials", f"[default]\n{keys}")
        self._write("config", f"[default]\nregion = {self.facts.region}\n")
        names = ("region", "session_name", "my_role", "external_id", "reports_role", "archive_role")
        self._write("config.toml", CONFIG.format(**{name: getattr(self.facts, name) for name in names}))
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop_daemon()
        self._directory.cleanup()

    def start_daemon(self) -> None:
        """Starts `assumed run` and waits until it answers. Raises AssumedError with the end of its log."""
        private = ("AWS_", "ASSUMED_", "XDG_", "NOTIFY_SOCKET")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(private)}
        with (self.path / "daemon.log").open("ab") as log:
            self._daemon = subprocess.Popen(
                [sys.executable, "-P", "-m", "assumed", "run", "--config", str(self.path / "config.toml")],
                env=inherited | self.variables() | {"HOME": str(self.path), "AWS_EC2_METADATA_DISABLED": "true"},
                cwd=self.path,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the demo, which stops the daemon as a service manager does
            )
        deadline = time.monotonic() + START_SECONDS
        while self.status() is None:
            if time.monotonic() > deadline:
                raise AssumedError(f"the daemon does not answer; the end of its log: {self._log()}")
            time.sleep(0.05)

    def status(self) -> dict[str, Any] | None:
        """The status document; None until the daemon answers. Raises AssumedError if it has ended."""
        if self._daemon is not None and self._daemon.poll() is not None:
            raise AssumedError(f"the daemon exited with {self._daemon.returncode}; the end of its log: {self._log()}")
        try:
            return ask(socket_path(state_dir(self.credentials)), {"command": "status"})
        except (NotRunning, NotAnswering):
            return None

    def _log(self) -> str:
        return "\n".join((self.path / "daemon.log").read_text(errors="replace").splitlines()[-5:]) or "none"

    def stop_daemon(self) -> None:
        if self._daemon is None:
            return
        self._daemon.send_signal(signal.SIGTERM)
        try:
            self._daemon.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            self._daemon.wait()
        self._daemon = None

    def _write(self, name: str, text: str) -> None:
        file = self.path / name
        file.touch(0o600)
        file.write_text(text)
