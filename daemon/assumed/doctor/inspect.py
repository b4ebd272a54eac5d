"""What surrounds the configuration on this machine: AWS files, modes, owners, mounts, exported variables.

Looks and changes nothing. No finding shows a value from a credentials file.
"""

from __future__ import annotations

from collections.abc import Mapping

from assumed.aws.files import AwsFiles as Sources
from assumed.config import trust
from assumed.config.model import Config
from assumed.model import Finding
from assumed.paths import aws_config_file

from . import environment, files, permissions
from .sources import sources


def inspect(config: Config, environ: Mapping[str, str], *, passed_keys: bool = False) -> list[Finding]:
    """Everything around `config` that will or may keep a reader from the kept profiles, and what was found well.

    `environ` is that of the shell in question; `passed_keys`: whether an installed service has an AWS credentials
    file that systemd passes to it alone.
    """
    aws = files.read(config, environ)
    found = [*trust.findings(config.path), *permissions.credentials_file(config.credentials_file)]
    found += [*aws.broken, *permissions.state(config.credentials_file), *files.claims(config, aws)]
    if not aws.broken:  # what cannot be read must not look as if it was missing
        found += files.refusals(config, aws)
        endpoints = _endpoints(config, environ)
        elsewhere = {source for source, url in endpoints.items() if url is not None}
        found += [*sources(config, aws, elsewhere, passed_keys=passed_keys), *environment.bundles(config, aws)]
        found += environment.endpoints(url for url in endpoints.values() if url is not None)
    found += [*files.config_lines(config, aws), *environment.variables(config, aws)]
    found += environment.named_files(config, environ)
    return list(dict.fromkeys(found))


def collisions(config: Config, environ: Mapping[str, str]) -> list[Finding]:
    """The kept profiles that the AWS configuration file claims for itself, which SDKs then prefer to ours."""
    aws = files.read(config, environ)
    return [*aws.broken, *files.claims(config, aws)]


def _endpoints(config: Config, environ: Mapping[str, str]) -> dict[str, str | None]:
    """Source → the endpoint of STS that is configured for it; None for AWS's own."""
    known = Sources(config.credentials_file, aws_config_file(environ), environ, {})
    roots = [role for role in config.enabled() if role.parent is None]
    known.look(roots)
    return known.endpoints(roots)
