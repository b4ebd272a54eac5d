"""`credential_process` helpers: they take no input, and can be killed with all of their children."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import Any

from botocore import credentials as boto_credentials


class Helper(subprocess.Popen[bytes]):
    """A `credential_process`, the leader of a process group of its own."""

    _waited_for = False

    def communicate(self, *arguments: Any, **options: Any) -> tuple[bytes, bytes]:
        """As in Popen: until the helper has ended, and all who hold its output have."""
        self._waited_for = True
        try:
            return super().communicate(*arguments, **options)
        finally:
            self._waited_for = False

    def kill_all(self) -> None:
        """Kill the group, as long as it is waited for: a helper that has left a child behind is gone itself."""
        # Not reaped before communicate() returns, so the number of the group cannot be another's by now.
        if self._waited_for or self.returncode is None:
            # Gone in this instant; or a program of another user's (sudo), whom we cannot kill.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)


class Builder(boto_credentials.ProfileProviderBuilder):
    """botocore's builder of profile providers, with our Popen in its process providers."""

    def __init__(self, session: Any, popen: Any) -> None:
        super().__init__(session)
        self._boto_session = session
        self._popen = popen

    def process_provider(self, profile: str) -> boto_credentials.ProcessProvider:
        """A `credential_process` provider for `profile`."""
        return self._create_process_provider(profile)

    def _create_process_provider(self, profile_name: str) -> boto_credentials.ProcessProvider:
        session = self._boto_session
        return boto_credentials.ProcessProvider(
            profile_name=profile_name, load_config=lambda: session.full_config, popen=self._popen
        )
