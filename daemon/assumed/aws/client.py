"""botocore's sessions and clients: one client of STS signs for all sources whose settings are alike.

Of botocore's data they read no more than they need. botocore walks the directories of its 400 services to learn that
there is one called sts, and parses what endpoints.json says of all of them. Without that a first client takes 28 ms
instead of 80, and 7 MB less: a `credential-process` without a daemon waits for it, and a daemon keeps it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from botocore import credentials as boto_credentials
from botocore import exceptions as boto
from botocore.config import Config
from botocore.configloader import load_config, raw_config_parse
from botocore.loaders import JSONFileLoader, Loader
from botocore.utils import parse_timestamp

from assumed import __version__
from assumed.errors import RenewalFailed
from assumed.model import FailureKind, Role

from . import http
from .files import look_of
from .refusals import no_region, of_sts
from .source_failures import of_source

UNSPEAKABLE = r"[^A-Za-z0-9!#$%&'*+.^_`|~,-]"
"""What botocore, too, replaces in the name that an application is given (`sdk_ua_app_id`)."""
SERVICES = ("sts", "sso", "sso-oidc", "signin")
"""What its credential providers and we make clients of."""
ENDPOINTS = (*SERVICES, "portal.sso", "oidc")
"""Their names in endpoints.json."""
BEGINS, ENDS, BLOCK = '\n    "services" : {', "\n    }", '\n      "'
"""How botocore has always indented the services of a partition."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that sign, read in one piece. The repr shows no secret."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(repr=False)
    refreshable: bool = False


class Signing(boto_credentials.Credentials):
    """Credentials of botocore's shape: the keys of the call that this thread makes. So one client, of half a megabyte,
    signs for all sources whose settings are alike."""

    thread = threading.local()

    def load_credentials(self) -> Signing:
        """As of a credential resolver."""
        return self

    def get_frozen_credentials(self) -> Any:
        """As botocore asks for each signature."""
        keys = self.thread.keys
        return boto_credentials.ReadOnlyCredentials(keys.access_key_id, keys.secret_access_key, keys.session_token)


class StsClient:
    """A client of STS by which a thread signs with `keys`; other sources sign with theirs by the same one."""

    def __init__(self, boto: Any, keys: Keys | None) -> None:
        self.boto = boto
        self._keys = keys

    def __getattr__(self, name: str) -> Any:
        """botocore's; what this thread asks for next is signed with the keys."""
        Signing.thread.keys = self._keys
        return getattr(self.boto, name)


def new_client(root: Role, region: str | None, credentials_file: Path, passed: Path | None) -> Any:
    """A client of STS with the settings of a source. Raises RenewalFailed for a bad region or endpoint."""
    try:
        session = new_session(root, credentials_file, passed)
        session.register_component("credential_provider", Signing("per", "call"))
        # The one retry loop is the daemon's: botocore's would multiply it.
        config = Config(user_agent=_user_agent(session), retries={"total_max_attempts": 1})
        return session.create_client("sts", region_name=region, config=config)
    except boto.NoRegionError:
        raise no_region(root.source()) from None
    except http.CallFailed as error:
        raise of_sts(error, root, 0.0, region) from None
    except (boto.BotoCoreError, ValueError) as error:
        advice = "correct the region or the endpoint"
        raise RenewalFailed(FailureKind.MISCONFIGURED, type(error).__name__, str(error), advice) from None


def new_session(root: Role, credentials_file: Path, passed: Path | None) -> Any:
    """A botocore session of a source. `passed`: the AWS credentials file that systemd passes to its service alone.
    Raises RenewalFailed."""
    session = _Session(profile=root.source_profile)
    session.set_config_variable("credentials_file", str(credentials_file))
    session.passed = _checked(passed) if root.source_profile is not None else []
    try:
        data_path = session.get_config_variable("data_path")
    except boto.BotoCoreError as error:
        raise of_source(error, root, None, None) from None
    session.register_component("data_loader", loader(data_path))
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_instant)
    return session


class _Session(http.Session):
    """Sessions share what they read of the AWS files: of 240, each would hold the profiles of all."""

    passed: Sequence[str] = ()

    @property
    def full_config(self) -> Any:
        """As botocore's, and on top of it what systemd passes."""
        files = self.get_config_variable("config_file"), self.get_config_variable("credentials_file")
        return read_once(_merged, *files, *self.passed)


_reading = threading.Lock()
_read: dict[Any, tuple[Any, Any]] = {}


def read_once(parse: Callable[..., Any], *names: str) -> Any:
    """What `parse` makes of files, once for all sessions until one of the files changes. Not to be written to."""
    looks = [look_of(Path(os.path.expanduser(os.path.expandvars(name)))) for name in names]  # noqa: PTH111
    with _reading:
        known = _read.get((parse, names))
        if known is None or known[0] != looks:
            known = _read[parse, names] = looks, parse(*names)
        return known[1]


def _merged(config_file: str, *others: str) -> Any:
    config: Any = {"profiles": {}}
    with contextlib.suppress(boto.ConfigNotFound):
        config = load_config(config_file)
    for file in others:
        with contextlib.suppress(boto.ConfigNotFound):
            for name, section in raw_config_parse(file).items():
                config["profiles"].setdefault(name, {}).update(section)
    return config


def _checked(passed: Path | None) -> list[str]:
    """Held to be whole: where the file cannot be read no profile signs, for one of that name could be another's."""
    if passed is None:
        return []
    fault = "names no profile"
    try:
        if raw_config_parse(str(passed)):
            return [str(passed)]
    except (boto.BotoCoreError, OSError) as error:
        fault = f"cannot be read as an AWS credentials file ({type(error).__name__})"
    message = f"the credential aws-credentials that systemd passes {fault}"
    advice = "correct the file that LoadCredential= names in the unit, then restart the service"
    raise RenewalFailed(FailureKind.SOURCE_DEAD, "PassedCredentials", message, advice)


def _instant(text: Any) -> datetime:
    """A timestamp of STS's. dateutil, by which botocore reads every form there is, takes a tenth of a whole call."""
    try:
        instant = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return parse_timestamp(text)
    return instant if instant.tzinfo is not None else parse_timestamp(text)


def _user_agent(session: Any) -> str:
    """What CloudTrail shows of the caller. botocore's own is put together anew for every call, for a tenth of it."""
    application = session.get_config_variable("user_agent_appid")
    named = f" app/{re.sub(UNSPEAKABLE, '-', application)}" if application else ""
    return f"assumed/{__version__} {session.user_agent()}{named}"


# -- botocore's data ---------------------------------------------------------------------------------------------------


class _Files(JSONFileLoader):
    def load_file(self, file_path: str) -> Any:
        """As botocore's. endpoints.json in another form than the usual one is parsed whole."""
        if Path(file_path).name == "endpoints" and Path(f"{file_path}.json").exists():
            try:
                return json.loads(cut(Path(f"{file_path}.json").read_text("utf-8")))
            except ValueError:
                pass
        return super().load_file(file_path)


def cut(text: str) -> str:
    """endpoints.json without the services that no client here is for: their text is never parsed."""
    before, *partitions = text.split(BEGINS)
    kept = [before]
    for partition in partitions:
        services, _, after = partition.partition(ENDS)
        blocks = (block.rstrip(",") for block in services.split(BLOCK)[1:] if block.partition('"')[0] in ENDPOINTS)
        kept.append(",".join(BLOCK + block for block in blocks) + ENDS + after)
    return BEGINS.join(kept)


class _OurServices(Loader):
    FILE_LOADER_CLASS = _Files

    def list_available_services(self, type_name: str) -> list[str]:
        places = [Path(place, name) for place in self.search_paths for name in SERVICES]
        return sorted({place.name for place in places if any(place.glob(f"*/{type_name}.json*"))})


@cache
def loader(data_path: str | None) -> Loader:
    """A loader as `botocore.loaders.create_loader` makes one, for all sessions: it holds parsed JSON. `data_path`: the
    variable AWS_DATA_PATH, as it is."""
    named = map(os.path.expandvars, data_path.split(os.pathsep) if data_path else ())
    return _OurServices(extra_search_paths=[os.path.expanduser(place) for place in named])  # noqa: PTH111 (raises less)
