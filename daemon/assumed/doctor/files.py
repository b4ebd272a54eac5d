"""The two AWS files, as SDKs read them, and what in them keeps a reader from the kept profiles. No secret is shown."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from assumed.config.model import Config
from assumed.config.report import listed
from assumed.credentials.ini import Document, decode, parser_of, profile_of, scan, values_of
from assumed.credentials.merge import KeptProfile, merge
from assumed.credentials.ownership import PREFERRED_KEYS
from assumed.credentials.process import (
    ConfigFile,
    advice_for,
    credential_process_argv,
    line_for,
    merge_config,
    process_command,
)
from assumed.errors import FileRefused
from assumed.files import read_limited
from assumed.model import Finding, Instant, Session
from assumed.paths import NULL, PathError, aws_config_file, state_dir

Values = Mapping[str, str]
Profiles = Mapping[str, Values]
"""Profile → key → value, of one AWS file."""

LARGEST = 64 << 20
_CLAIMS = PREFERRED_KEYS - {"login_session"}
"""What SDKs prefer to keys in the credentials file (botocore's order: role, web identity, SSO, keys)."""
_BEFORE_PROCESS = {"aws_access_key_id", "login_session"}
"""What some SDKs prefer to a credential_process: keys in JavaScript and Go, a login in botocore."""
_ONLY_WITH_ROLE = {"source_profile", "credential_source"}
"""Keys that mean something only beside a role_arn."""


@dataclass(frozen=True, slots=True)
class AwsFiles:
    """What the two AWS files say."""

    credentials: Profiles = field(repr=False)
    config: Profiles = field(repr=False)
    sessions: Profiles
    """Name → the values of `[sso-session NAME]`."""
    text: bytes = field(repr=False)
    """Of the credentials file."""
    broken: tuple[Finding, ...]
    """Why one of them cannot be read: what is missing here may stand there."""
    environ: Mapping[str, str] = field(repr=False)

    def values(self, name: str) -> dict[str, str]:
        """What both files say of a profile: the credentials file wins, key by key. An empty value is none."""
        merged = {**self.config.get(name, {}), **self.credentials.get(name, {})}
        return {key: value for key, value in merged.items() if value}

    def signing(self, name: str | None) -> list[tuple[str, dict[str, str]]]:
        """A source profile and those that sign for it in turn, each with its values."""
        found: dict[str, dict[str, str]] = {}
        while name is not None and name not in found:
            found[name] = self.values(name)
            name = found[name].get("source_profile")
        return list(found.items())


def read(config: Config, environ: Mapping[str, str]) -> AwsFiles:
    """Read both files. One that is not there has no profiles."""
    broken: list[Finding] = []
    text, document = _read(Path(os.path.realpath(config.credentials_file)), broken)
    try:
        sections = _values(_read(aws_config_file(environ), broken)[1])
    except PathError as error:
        broken.append(Finding("error", error.variable, error.what, error.advice))
        sections = {}
    profiles = {name: values for header, values in sections.items() if (name := profile_of(header)) is not None}
    sessions = {
        name: values
        for header, values in sections.items()
        if header.startswith("sso-session") and (name := profile_of(header.replace("sso-session", "profile", 1)))
    }
    return AwsFiles(_values(document), profiles, sessions, text, tuple(broken), environ)


def _read(path: Path, broken: list[Finding]) -> tuple[bytes, Document]:
    """The file's bytes, and what botocore reads in them; nothing where it cannot be read, which is then a finding."""
    text = b""
    try:
        text = b"" if Path(os.path.realpath(path)) == NULL else read_limited(path, LARGEST)
        return text, scan(decode(text))
    except FileNotFoundError:
        pass
    except OSError as error:
        advice = "put a plain file in its place, and check its owner and mode"
        broken.append(Finding("error", str(path), f"cannot be read: {error.strerror}", advice))
    except FileRefused as refused:
        broken.append(Finding("error", str(path), refused.message, refused.advice))
    return text, scan("")


def _values(document: Document) -> dict[str, dict[str, str]]:
    """Section → what SDKs read there, that which leaks from `[DEFAULT]` included."""
    parser = parser_of(document)
    return {name: values_of(document, name, parser) or {} for name in document.sections}


def claims(config: Config, files: AwsFiles) -> Iterator[Finding]:
    """Kept profiles that the AWS configuration claims for itself, by keys which SDKs prefer to what we write."""
    name = files.environ.get("AWS_CONFIG_FILE") or "~/.aws/config"
    for role in config.enabled():
        preferred = _CLAIMS | _BEFORE_PROCESS if role.deliver == "process" else _CLAIMS
        if found := sorted(preferred & files.config.get(role.profile, {}).keys()):
            keys, effect = listed(found, "and"), "which SDKs follow instead of the kept profile"
            if _ONLY_WITH_ROLE.issuperset(found):
                effect = "and no role_arn: Go's SDK (Terraform, rclone) refuses that"
            advice = f"remove {keys} from that profile in {name}, or keep the role under another profile"
            yield Finding("error", role.profile, f"{name} has {keys} for it, {effect}", advice)


def refusals(config: Config, files: AwsFiles) -> Iterator[Finding]:
    """What the next write of the credentials file would refuse or take over, by the rules of the write itself."""
    none = "none"
    session = Session(none, none, none, none, 0.0, 0.0, 0.0, Instant(0.0, 0.0), none, none, none)
    kept = [
        KeptProfile(role.profile, role.deliver, replace(session, profile=role.profile), role.region, "/usr/bin/true")
        for role in config.enabled()
    ]
    tried = merge(files.text, kept, config.config_id, remove_orphans=False)
    for refusal in tried.refused:
        yield Finding("error", refusal.profile, refusal.reason, refusal.advice)
    for profile in tried.adopted:
        if not files.credentials[profile].keys().isdisjoint(("aws_access_key_id", "credential_process")):
            message = "was written by another program or configuration; its credentials will be replaced"
            yield Finding("warning", profile, message, "stop whatever else renews it")


def config_lines(config: Config, files: AwsFiles) -> Iterator[Finding]:
    """Whether the AWS config file can hold the lines of the roles that are delivered by process. Writes nothing."""
    profiles = [role.profile for role in config.enabled() if role.deliver == "process"]
    directory = state_dir(config.credentials_file)
    if not profiles:
        return
    file = ConfigFile(aws_config_file(files.environ), config.credentials_file, directory)
    try:
        file.check_writable()
        commands = {profile: process_command(credential_process_argv(directory, profile)) for profile in profiles}
        lines = [line_for(profile, command) for profile, command in commands.items()]
        refused = merge_config(file.read(), lines, config.config_id, remove_orphans=False).refused
    except FileRefused as refusal:
        yield Finding("warning", str(file.path), refusal.message, advice_for(profiles[0], refusal.advice))
        return
    for one in refused:
        yield Finding("warning", one.profile, f"{file.path}: {one.reason}", advice_for(one.profile, one.advice))
