"""Roles whose `deliver` cannot be carried out, found before anything is written."""

from __future__ import annotations

from pathlib import Path

from assumed.config import Config, role_problems
from assumed.credentials.ownership import Unfit
from assumed.credentials.process import credential_process_argv, process_command
from assumed.errors import ConfigError
from assumed.model import Role
from assumed.paths import state_dir


def command_of(directory: Path, profile: str) -> str:
    """The `credential_process` line of a profile whose session is in the state directory. Raises Unfit."""
    return process_command(credential_process_argv(directory, profile))


def check_deliverable(config: Config) -> Config:
    """`config`. Raises ConfigError, with file, line and key, for enabled roles whose profile could not be written."""
    directory = state_dir(config.credentials_file)

    def problem(role: Role) -> str:
        if role.deliver == "process" and role.enabled:
            try:
                command_of(directory, role.profile)
            except Unfit as unfit:
                return f'is "process", but {unfit.reason}. {unfit.advice}'
        return ""

    if problems := role_problems(config, "deliver", problem):
        raise ConfigError(problems)
    return config
