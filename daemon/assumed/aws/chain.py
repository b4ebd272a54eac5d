"""Whose keys sign: a source's credentials by botocore's own chain, its `credential_process` helpers included.

A helper takes no input, and can be killed with all of its children.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from botocore import credentials as boto_credentials
from botocore.configloader import load_config, raw_config_parse

from assumed.errors import RenewalFailed
from assumed.model import FailureKind, Role

from .client import SERVICES, Keys, new_session, read_once
from .refusals import needs_code
from .source import SourceProfile
from .source_failures import Answer, answered, helper_failure, is_half_written, of_source, token_in

GLANCE = 0.5
"""Seconds between two looks whether a helper has been killed."""
REAP = 1.0
"""Seconds that a killed helper, and all who hold its output, have to end."""
HALF_WRITTEN_SECONDS = 0.1
"""The AWS CLI writes the cache of a login in place: a read in that moment finds it empty or cut off."""
MOST_STUCK = 3
"""Helpers of one command that could not be killed and still run: with so many no further one is started."""


class Chain:
    """botocore's credential chain for one source. `keys` belongs to one thread at a time, the rest to any."""

    def __init__(
        self,
        root: Role,
        profile: SourceProfile | None,
        credentials_file: Path,
        inherited: Mapping[str, str],
        passed: Path | None = None,
    ) -> None:
        """`passed`: the AWS credentials file that systemd passes to its service alone (`LoadCredential=`). Its keys
        come before whatever else a profile says. Raises RenewalFailed when the source cannot work unattended."""
        self._root = root
        self._profile = profile
        self._inherited = inherited
        self._passed = passed if root.source_profile is not None else None
        self._helpers: list[Helper] = []
        self._killed = False
        self._answer: Answer | None = None
        self._credentials: Any = None
        if profile is not None and profile.asking is not None:
            raise needs_code(root, profile.asking.serial, profile)
        self._session = new_session(root, credentials_file, self._passed)
        for service in SERVICES[1:]:
            self._session.register(f"after-call.{service}", partial(self._note, service))

    def keys(self, tries: int = 2) -> Keys:
        """The source's keys now; may take long. Raises RenewalFailed."""
        self._helpers.clear()
        self._killed, self._answer = False, None
        try:
            if self._credentials is None:
                self._credentials = self._load()
            frozen = self._credentials.get_frozen_credentials()
        except RenewalFailed:
            raise
        except Exception as error:  # noqa: BLE001 - providers raise whatever their helper's output leads them to
            if tries and is_half_written(error, self._profile):
                time.sleep(HALF_WRITTEN_SECONDS)
                return self.keys(tries - 1)
            raise self._failure(error) from None
        refreshable = isinstance(self._credentials, boto_credentials.RefreshableCredentials)
        return Keys(frozen.access_key, frozen.secret_key, frozen.token, refreshable)

    def kill(self) -> None:
        """Kill the helper processes that are still being waited for, with all of their children."""
        self._killed = True
        for helper in self._helpers:
            helper.kill_all()

    def waits_for_helper(self) -> bool:
        """Whether a helper process has not ended yet."""
        return any(helper.is_waited_for for helper in self._helpers)

    def _note(self, service: str, http_response: Any, parsed: Any, **_: Any) -> None:
        """What a server of a login answered: botocore turns a refused refresh into a token that has expired."""
        self._answer = answered(service, http_response, parsed) or self._answer

    def _failure(self, error: Exception) -> RenewalFailed:
        """What a provider's exception means. A helper's own words are left out: they may hold what it guards."""
        helper = self._helpers[-1] if self._helpers else None
        if helper is not None and helper.returncode:
            return helper_failure(self._root, "HelperFailed", f"ended with status {helper.returncode}")
        if helper is not None and isinstance(error, ValueError | TypeError | AttributeError | LookupError):
            return helper_failure(self._root, "HelperOutput", "did not print the JSON object that AWS asks for")
        return of_source(error, self._root, self._profile, self._answer)

    def _load(self) -> Any:
        """No provider of the shell's or the machine's identity is asked in the place of a profile."""
        root, session = self._root, self._session
        environ = {name: it for name, it in self._inherited.items() if name != "AWS_CREDENTIAL_EXPIRATION"}
        machine = session.get_component("credential_provider")
        places = [boto_credentials.EnvProvider(environ), *map(machine.get_provider, ("container-role", "iam-role"))]
        if root.credential_source is not None:
            credentials = next(one for one in places if root.credential_source == one.CANONICAL_NAME).load()
            advice = "this machine offers none by that way; name another credential_source or a source_profile"
        else:
            builder = _Builder(session, self._popen, self._passed)
            providers = builder.providers(str(root.source_profile), disable_env_vars=True)
            above = boto_credentials.AssumeRoleProvider(
                lambda: session.full_config,
                session.create_client,
                {},
                str(root.source_profile),
                prompter=self._prompt,
                credential_sourcer=boto_credentials.CanonicalNameCredentialSourcer(places),
                profile_provider_builder=builder,
            )
            providers.insert(int(self._passed is not None), above)
            credentials = boto_credentials.CredentialResolver(providers).load_credentials()
            advice = f"run: aws configure --profile {root.source_profile}"
        if credentials is None:
            message = f"{root.source()} has no credentials"
            raise RenewalFailed(FailureKind.SOURCE_DEAD, "NoCredentials", message, advice)
        return credentials

    def _popen(self, command: list[str], **options: Any) -> Helper:
        helper = Helper(command, stdin=subprocess.DEVNULL, start_new_session=True, **options)
        self._helpers.append(helper)
        if self._killed:
            helper.kill_all()
        return helper

    def _prompt(self, text: str) -> str:
        # botocore would ask on the terminal, which a daemon does not have (aws-vault #779, #888).
        raise needs_code(self._root, text.removeprefix("Enter MFA code for ").rstrip(": "), self._profile)


class _Passed(boto_credentials.SharedCredentialProvider):
    METHOD = "passed-by-systemd"


class _Builder(boto_credentials.ProfileProviderBuilder):
    """botocore's builder of the providers of a profile, also of one that another one refers to: helper processes that
    can be killed, tokens that are read within bounds, and what systemd passes."""

    def __init__(self, session: Any, popen: Any, passed: Path | None) -> None:
        super().__init__(session, cache={})
        self._files = session
        self._popen = popen
        self._passed = passed

    def providers(self, profile_name: str, disable_env_vars: bool = False) -> list[Any]:
        """What systemd passes comes first."""
        passed = [_Passed(str(self._passed), profile_name)] if self._passed is not None else []
        return [*passed, *super().providers(profile_name, disable_env_vars)]

    def _create_web_identity_provider(self, profile_name: str, disable_env_vars: bool) -> Any:
        one = super()._create_web_identity_provider(profile_name, disable_env_vars)  # type: ignore[misc] # no such stub
        one._token_loader_cls = lambda path: partial(token_in, Path(path))  # noqa: SLF001 - there is no other way in
        return one

    def _create_shared_credential_provider(self, profile_name: str) -> Any:
        file = self._files.get_config_variable("credentials_file")
        return boto_credentials.SharedCredentialProvider(file, profile_name, partial(read_once, raw_config_parse))

    def _create_config_provider(self, profile_name: str) -> Any:
        file = self._files.get_config_variable("config_file")
        return boto_credentials.ConfigProvider(file, profile_name, partial(read_once, load_config))

    def _create_process_provider(self, profile_name: str) -> boto_credentials.ProcessProvider:
        return boto_credentials.ProcessProvider(profile_name, lambda: self._files.full_config, popen=self._popen)


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
        pids = [str(one.pid) for one in _stuck if one.args == command]
        if len(pids) >= MOST_STUCK:
            raise _stuck_failure(f"earlier runs of the credential_process still run: processes {', '.join(pids)}")
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
            # Already gone, or another user's program (sudo), which cannot be killed.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)


def _stuck_failure(message: str) -> RenewalFailed:
    advice = "end it as the user that it runs as; give helpers a time limit of their own"
    return RenewalFailed(FailureKind.SOURCE_DEAD, "HelperStuck", message, advice)
