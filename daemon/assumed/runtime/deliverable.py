"""The roles that cannot be delivered as the configuration says, found before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from assumed.config import Config, role_problems
from assumed.credentials.command import process_command
from assumed.credentials.config_file import ConfigFile
from assumed.credentials.config_lines import advice_for, line_for, merge_config
from assumed.credentials.ownership import Unfit
from assumed.credentials.process_command import credential_process_argv
from assumed.errors import ConfigError, FileRefused
from assumed.model import Finding, Role
from assumed.paths import PathError, aws_config_file, state_dir


def command_of(directory: Path, profile: str) -> str:
    """The `credential_process` line of a profile whose session lies in the state directory. Raises Unfit."""
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


def config_lines(config: Config, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the AWS config file can hold the lines of the roles that are delivered by process. Writes nothing."""
    profiles = [role.profile for role in config.enabled() if role.deliver == "process"]
    if not profiles:
        return
    directory = state_dir(config.credentials_file)
    try:
        file = ConfigFile(aws_config_file(environ), config.credentials_file, directory)
    except PathError:
        return  # another finding says so
    try:
        file.check_writable()
        lines = [line_for(profile, command_of(directory, profile)) for profile in profiles]
        refused = merge_config(file.read(), lines, config.config_id, remove_orphans=False).refused
    except FileRefused as refusal:
        yield Finding("warning", str(file.path), refusal.message, advice_for(profiles[0], refusal.advice))
        return
    for one in refused:
        message = f"{file.path}: {one.reason}"
        yield Finding("warning", one.profile, message, advice_for(one.profile, one.advice))
