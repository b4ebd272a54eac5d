"""Which variables a shell and a service have otherwise, in a way that bears on the roles. Judgements on text alone."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from assumed.aws import variables as aws_variables
from assumed.aws.urls import is_of_this_machine
from assumed.config.model import Config
from assumed.paths import CREDENTIALS_FILE, aws_config_file, default_credentials_file

from .aws_files import Profiles

CALLED = ("STS", "SSO", "SSO_OIDC", "SIGNIN")
"""Services of AWS that the daemon calls, by their names in `AWS_ENDPOINT_URL_…`: the others are for other programs."""
METADATA = "AWS_EC2_METADATA_"
OF_HELPERS = ("SSL_CERT_FILE", "SSL_CERT_DIR", "ALL_PROXY", "all_proxy")
"""Not read by botocore (endpoint.py, httpsession.py), but by what is started: a credential_process, a hook."""
_FILE_OF = {"AWS_CONFIG_FILE": aws_config_file, "AWS_SHARED_CREDENTIALS_FILE": default_credentials_file}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the roles take from an environment, because neither they nor the AWS files say it."""

    region: bool
    metadata: bool
    """Whether a source asks EC2's metadata service."""
    credentials_file: bool
    """Whether the configuration leaves it to AWS_SHARED_CREDENTIALS_FILE."""
    helpers: bool
    """Whether programs of others are started."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A variable that is not the same; None where it is not set. For `aws_variables.shown`: they may hold passwords."""

    name: str
    here: str | None
    there: str | None


def asked(config: Config, credentials: Profiles, aws_config: Profiles) -> Asked:
    """What the enabled roles need of their environment."""
    region = metadata = False
    helpers = bool(config.hooks.commands())
    for role in config.enabled():
        root = role
        while root.parent is not None and (parent := config.role(root.parent)) is not None:
            root = parent
        sources = signing(root.source_profile, credentials, aws_config)
        # Without a profile of its own botocore takes the region of the default one.
        of_region = sources[:1] or signing("default", credentials, aws_config)[:1]
        region |= role.region is None and not any(values.get("region") for _, values in of_region)
        metadata |= "Ec2InstanceMetadata" in (
            root.credential_source,
            *(values.get("credential_source") for _, values in sources),
        )
        helpers |= any("credential_process" in values for _, values in sources)
    return Asked(region, metadata, CREDENTIALS_FILE.search(config.text) is None, helpers)


def signing(name: str | None, credentials: Profiles, aws_config: Profiles) -> list[tuple[str, dict[str, str]]]:
    """A source profile and those that sign for it in turn, each with what both AWS files say of it."""
    found: dict[str, dict[str, str]] = {}
    while name is not None and name not in found:
        found[name] = {**aws_config.get(name, {}), **credentials.get(name, {})}
        name = found[name].get("source_profile")
    return list(found.items())


def differences(asked: Asked, environ: Mapping[str, str], service: Mapping[str, str]) -> Iterable[Difference]:
    """What bears on the roles and differs, by name. `~` is the shell's in both."""
    home = environ.get("HOME", "/")
    here, there = aws_variables.carried(environ), aws_variables.carried(service)
    for name in sorted({*here, *there}):
        mine, its = here.get(name), there.get(name)
        if _bears(name, asked) and not _same(name, mine, its, home) and not _is_a_stand_in(name, mine, its):
            yield Difference(name, mine, its)


def _bears(name: str, asked: Asked) -> bool:
    if name == "AWS_REGION":
        return False  # botocore does not read it (configprovider.py): it is for other SDKs
    if name == "AWS_DEFAULT_REGION":
        return asked.region
    if name.startswith(METADATA):
        return asked.metadata
    if name in OF_HELPERS:
        return asked.helpers
    if name == "AWS_SHARED_CREDENTIALS_FILE":
        return asked.credentials_file
    of_service = name.removeprefix(f"{aws_variables.ENDPOINT}_")
    return of_service == name or of_service in CALLED


def _same(name: str, here: str | None, there: str | None, home: str) -> bool:
    if here == there:
        return True
    if name in _FILE_OF:
        return _file(name, here, home) == _file(name, there, home)
    # install makes a relative path of certificates absolute: a service starts elsewhere
    relative = name in aws_variables.TRUST and here is not None and not here.startswith(("/", "~", "$"))
    return relative and there is not None and there.endswith("/" + posixpath.normpath(str(here)))


def _file(name: str, value: str | None, home: str) -> Path | str | None:
    try:
        return _FILE_OF[name]({"HOME": home, **({name: value} if value else {})})
    except ValueError:
        return value


def _is_a_stand_in(name: str, here: str | None, there: str | None) -> bool:
    """All of AWS on this very machine (LocalStack, moto), for what is developed in this shell: a service that goes on
    with the real one is right."""
    if name != aws_variables.ENDPOINT or here is None or there is not None:
        return False
    return is_of_this_machine(here)
