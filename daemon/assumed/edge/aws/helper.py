"""`credential_process` helpers: they take no input, and can be killed with all of their children."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from botocore import credentials as boto_credentials

from .passed import provider
from .sts import read_token


class Helper(subprocess.Popen[bytes]):
    """A `credential_process`, the leader of a process group of its own."""

    is_waited_for = False

    def communicate(self, *arguments: Any, **options: Any) -> tuple[bytes, bytes]:
        """As in Popen: until the helper has ended, and all who hold its output have."""
        self.is_waited_for = True
        try:
            return super().communicate(*arguments, **options)
        finally:
            self.is_waited_for = False

    def kill_all(self) -> None:
        """Kill the group, as long as it is waited for: a helper that has left a child behind is gone itself."""
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
