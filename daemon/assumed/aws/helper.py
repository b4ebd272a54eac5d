"""`credential_process` helpers: they take no input, and can be killed with all of their children."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import structlog
from botocore import credentials as boto_credentials

from assumed.errors import RenewalFailed
from assumed.model import FailureKind

from .passed import provider
from .sts import read_token

GLANCE = 0.5
"""Seconds between two looks whether a helper has been killed."""
REAP = 1.0
"""Seconds that a killed helper, and all who hold its output, have to end."""
MOST_STUCK = 3
"""Helpers of one command that could not be killed and still run: with so many no further one is started."""

_stuck: list[Helper] = []


class Helper(subprocess.Popen[bytes]):
    """A `credential_process`, the leader of a process group of its own.

    One that cannot be killed (another user's: sudo) is not waited for. Raises RenewalFailed where too many of those
    still run.
    """

    is_waited_for = False
    _killed_at: float | None = None

    def __init__(self, command: list[str], **options: Any) -> None:
        _stuck[:] = [one for one in _stuck if one.poll() is None]
        pids = [one.pid for one in _stuck if one.args == command]
        if len(pids) >= MOST_STUCK:
            running = ", ".join(map(str, pids))
            raise _stuck_failure(f"earlier runs of the credential_process still run: processes {running}")
        super().__init__(command, **options)

    def communicate(self, *arguments: Any, **options: Any) -> tuple[bytes, bytes]:
        """As in Popen: until the helper has ended, and all who hold its output have; but for a killed one not longer
        than a moment. Raises RenewalFailed then."""
        self.is_waited_for = True
        try:
            while True:
                try:
                    return super().communicate(*arguments, **{**options, "timeout": GLANCE})
                except subprocess.TimeoutExpired:
                    if self._killed_at is not None and time.monotonic() - self._killed_at > REAP:
                        raise self._written_off() from None
        finally:
            self.is_waited_for = False

    def _written_off(self) -> RenewalFailed:
        for pipe in (self.stdout, self.stderr):
            if pipe is not None:
                pipe.close()
        if self.poll() is None:
            _stuck.append(self)
        message = f"the credential_process cannot be killed: process {self.pid} or a child of it runs on"
        structlog.get_logger().warning("helper.stuck", pid=self.pid, message=message)
        return _stuck_failure(message)

    def kill_all(self) -> None:
        """Kill the group, as long as it is waited for: a helper that has left a child behind is gone itself."""
        self._killed_at = self._killed_at or time.monotonic()
        # Not reaped before communicate() returns, so the number of the group cannot be another's by now.
        if self.is_waited_for or self.returncode is None:
            # Gone in this instant; or a program of another user's (sudo), whom we cannot kill.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)


class TokenFile:
    """A web identity token for botocore's provider: read anew each time, from a regular file, and no more than fits."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __call__(self) -> str:
        return read_token(Path(self._path))


def use_token_file(provider: Any) -> None:
    """Have a web identity provider of botocore's read its token so."""
    provider._token_loader_cls = TokenFile  # noqa: SLF001 - botocore offers no other way in


def _stuck_failure(message: str) -> RenewalFailed:
    advice = "end it as the user that it runs as; give helpers a time limit of their own"
    return RenewalFailed(FailureKind.SOURCE_DEAD, "HelperStuck", message, advice)


class Builder(boto_credentials.ProfileProviderBuilder):
    """botocore's builder of profile providers, with our Popen in its process providers, and what systemd passes."""

    def __init__(self, session: Any, popen: Any, passed: Path | None = None) -> None:
        super().__init__(session)
        self._boto_session = session
        self._popen = popen
        self._passed = passed

    def providers(self, profile_name: str, disable_env_vars: bool = False) -> list[Any]:
        """Those of a profile that another one refers to."""
        first = [provider(self._passed, profile_name)] if self._passed is not None else []
        return [*first, *super().providers(profile_name, disable_env_vars)]

    def process_provider(self, profile: str) -> boto_credentials.ProcessProvider:
        """A `credential_process` provider for `profile`."""
        return self._create_process_provider(profile)

    def _create_web_identity_provider(self, profile_name: str, disable_env_vars: bool) -> Any:
        one = super()._create_web_identity_provider(profile_name, disable_env_vars)  # type: ignore[misc] # no such stub
        use_token_file(one)
        return one

    def _create_process_provider(self, profile_name: str) -> boto_credentials.ProcessProvider:
        session = self._boto_session
        return boto_credentials.ProcessProvider(
            profile_name=profile_name, load_config=lambda: session.full_config, popen=self._popen
        )
