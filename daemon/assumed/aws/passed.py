"""The AWS credentials file that systemd passes to its service alone (`LoadCredential=aws-credentials:…`).

What it says of a profile comes first, key by key; its keys come before whatever else the profile says. Held to be
whole: where it cannot be read nobody signs by a profile, for another of that name could be somebody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore import credentials as boto_credentials
from botocore import exceptions as boto
from botocore.configloader import raw_config_parse

from assumed.errors import RenewalFailed
from assumed.model import FailureKind


class PassedProvider(boto_credentials.SharedCredentialProvider):
    """The keys of one profile in that file. The name is what botocore's errors call it."""

    METHOD = "passed-by-systemd"


def provider(path: Path, profile: str) -> PassedProvider:
    """A provider of that profile's keys; it has none where the file does not name the profile."""
    return PassedProvider(creds_filename=str(path), profile_name=profile)


def add_profiles(path: Path, session: Any) -> None:
    """Have a botocore session know the profiles of the file. Raises RenewalFailed where it cannot be read."""
    known = session.full_config["profiles"]
    for name, section in _read(path).items():
        known.setdefault(name, {}).update(section)


def _read(path: Path) -> Mapping[str, Mapping[str, Any]]:
    try:
        profiles: Mapping[str, Mapping[str, Any]] = raw_config_parse(str(path))
    except (boto.BotoCoreError, OSError) as error:
        raise _refusal(f"cannot be read as an AWS credentials file ({type(error).__name__})") from None
    if not profiles:
        raise _refusal("names no profile")
    return profiles


def _refusal(what: str) -> RenewalFailed:
    return RenewalFailed(
        FailureKind.SOURCE_DEAD,
        "PassedCredentials",
        f"the credential aws-credentials that systemd passes {what}",
        "mend the file that LoadCredential= names in the unit, then restart the service",
    )
