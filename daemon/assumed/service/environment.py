"""What the roles take from an environment, and how a service's differs from this shell's."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from assumed.aws.urls import is_of_this_machine
from assumed.aws.variables import ENDPOINT, TRUST, carried
from assumed.config.model import Config
from assumed.doctor.files import AwsFiles, read
from assumed.model import Role
from assumed.paths import CREDENTIALS_FILE, aws_config_file, default_credentials_file

_FILE_OF = {"AWS_CONFIG_FILE": aws_config_file, "AWS_SHARED_CREDENTIALS_FILE": default_credentials_file}


def started_programs(config: Config, environ: Mapping[str, str]) -> list[str]:
    """The hooks and helpers that the daemon starts for this configuration, as names for a person."""
    files = read(config, environ)
    helpers = [
        f"the credential_process of {name}"
        for role in config.enabled()
        for name, values in _sources(config, role, files)
        if "credential_process" in values
    ]
    return [*dict.fromkeys(helpers), *(f"the hook {name}" for name in config.hooks.commands())]


def differences(
    config: Config, environ: Mapping[str, str], service: Mapping[str, str]
) -> Iterator[tuple[str, str | None, str | None]]:
    """The variables that matter to the roles and differ: name, value here, value of the service; None: not set."""
    ignored = _ignored(config, environ)
    here, there = carried(environ), carried(service)
    for name in sorted({*here, *there}):
        mine, its = here.get(name), there.get(name)
        # LocalStack, moto: what is developed in this shell talks to them, the service rightly to AWS itself
        is_stand_in = name == ENDPOINT and mine is not None and its is None and is_of_this_machine(mine)
        if not re.fullmatch(ignored, name) and not is_stand_in and not _same(name, mine, its, environ.get("HOME", "/")):
            yield name, mine, its


def _ignored(config: Config, environ: Mapping[str, str]) -> str:
    """A pattern of the variables that no role of this configuration depends on."""
    files = read(config, environ)
    sources = {role: _sources(config, role, files) for role in config.enabled()}
    default = files.signing("default")  # whose region botocore takes where a source has none
    has_region = all(
        role.region or any(values.get("region") for _, values in (found or default)[:1])
        for role, found in sources.items()
    )
    asked = {_root(config, role).credential_source for role in sources}
    named = {values.get("credential_source") for found in sources.values() for _, values in found}
    ignored = {
        # botocore reads no AWS_REGION (configprovider.py), and the daemon calls these four services alone
        f"AWS_REGION|{ENDPOINT}_(?!(?:STS|SSO|SSO_OIDC|SIGNIN)$).*": True,
        "AWS_DEFAULT_REGION": has_region,
        "AWS_EC2_METADATA_.*": "Ec2InstanceMetadata" not in asked | named,
        "AWS_SHARED_CREDENTIALS_FILE": CREDENTIALS_FILE.search(config.text) is not None,
        # not read by botocore (endpoint.py, httpsession.py), but by hooks and helpers
        "SSL_CERT_FILE|SSL_CERT_DIR|ALL_PROXY|all_proxy": not started_programs(config, environ),
    }
    return "|".join(pattern for pattern, applies in ignored.items() if applies)


def _root(config: Config, role: Role) -> Role:
    """The role whose source signs for this one, through its parents."""
    while role.parent is not None and (parent := config.role(role.parent)) is not None:
        role = parent
    return role


def _sources(config: Config, role: Role, files: AwsFiles) -> list[tuple[str, dict[str, str]]]:
    return files.signing(_root(config, role).source_profile)


def _same(name: str, here: str | None, there: str | None, home: str) -> bool:
    if name in _FILE_OF:
        return _file(name, here, home) == _file(name, there, home)
    if name in TRUST and here and there and not here.startswith(("/", "~", "$")):
        return there.endswith("/" + posixpath.normpath(here))  # install has made it absolute
    return here == there


def _file(name: str, value: str | None, home: str) -> Path | str | None:
    try:
        return _FILE_OF[name]({"HOME": home, **({name: value} if value else {})})
    except ValueError:
        return value
