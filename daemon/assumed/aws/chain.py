"""botocore for one source: a fresh session, its credentials by botocore's own chain, and STS clients from it."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore import credentials as boto_credentials
from botocore import exceptions as boto
from botocore.config import Config
from botocore.loaders import Loader
from botocore.utils import parse_timestamp

from assumed import __version__
from assumed.errors import RenewalFailed
from assumed.model import FailureKind, Role, Session

from . import http
from .failures import SERVICES, Around, answered, helper_failure, is_half_written, needs_code, source_failure
from .helper import Builder, Helper, use_token_file
from .models import loader
from .passed import add_profiles, provider
from .sign_in_refusals import Answered
from .source import SourceProfile
from .sts import CLIENT_CONFIG, no_region
from .tls import bundle_of

PROVIDER_OF = {"Ec2InstanceMetadata": "iam-role", "EcsContainer": "container-role"}

# A source_profile names its credentials; falling through to the machine's own identity when it has none would
# sign as somebody else. `credential_source` asks for those by name.
NOT_FOR_PROFILES = ("env", "ec2-credentials-file", "boto-config", "container-role", "iam-role")

HALF_WRITTEN_TRIES, HALF_WRITTEN_SECONDS = 2, 0.1
"""The AWS CLI writes the cache of a login in place: who reads it in that moment finds it empty or cut off."""

UNSPEAKABLE = r"[^A-Za-z0-9!#$%&'*+.^_`|~,-]"
"""What botocore, too, replaces in the name that an application is given (`sdk_ua_app_id`)."""

_loader: Loader | None = None
_loader_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that sign, read in one piece. The repr shows no secret."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(repr=False)
    refreshable: bool = False

    @classmethod
    def of_session(cls, session: Session) -> Keys:
        """A kept role's session as the keys that sign for its child."""
        return cls(session.access_key_id, session.secret_access_key, session.session_token)


class Chain:
    """One botocore session for one source. Thread-safe for `client`; `keys` belongs to one thread at a time."""

    def __init__(
        self,
        root: Role,
        profile: SourceProfile | None,
        credentials_file: Path,
        inherited: Mapping[str, str],
        passed: Path | None = None,
    ) -> None:
        """Build the session. `passed`: see passed.py. Raises RenewalFailed when the source cannot work unattended."""
        self._root = root
        self._passed = passed if root.source_profile is not None else None
        self._inherited = inherited
        self._helpers: list[Helper] = []
        self._killed = False
        self._profile = profile
        if profile is not None:
            _refuse_what_needs_a_person(root, profile)
        try:
            self._session = _new_session(root.source_profile, credentials_file, self._passed)
        except boto.BotoCoreError as error:
            raise source_failure(error, root) from None
        self._answer: Answered | None = None
        for service in SERVICES:
            self._session.register(f"after-call.{service}", self._hear(service))
        self._credentials: Any = None

    def keys(self) -> Keys | None:
        """The source's keys now; may take long. None for web identity, which signs nothing. Raises RenewalFailed."""
        if self._root.web_identity_token_file is not None:
            return None
        self._helpers.clear()
        self._killed = False
        frozen = self._frozen(HALF_WRITTEN_TRIES)
        refreshable = isinstance(self._credentials, boto_credentials.RefreshableCredentials)
        return Keys(frozen.access_key, frozen.secret_key, frozen.token, refreshable)

    def _frozen(self, tries: int) -> Any:
        self._answer = None
        try:
            if self._credentials is None:
                self._credentials = self._load()
            return self._credentials.get_frozen_credentials()
        except RenewalFailed:
            raise
        except Exception as error:  # noqa: BLE001 - providers raise whatever their helper's output leads them to
            if tries == 0 or not is_half_written(error, self._around()):
                raise self._failure(error) from None
        time.sleep(HALF_WRITTEN_SECONDS)
        return self._frozen(tries - 1)

    def _hear(self, service: str) -> Callable[..., None]:
        """Note what a server of a login answered: botocore turns a refused refresh into a token that has expired."""

        def after_call(http_response: Any, parsed: Any, **_: Any) -> None:
            self._answer = answered(service, http_response, parsed) or self._answer

        return after_call

    def _around(self) -> Around:
        session = self._session
        try:
            fips, bundle = bool(session.get_config_variable("use_fips_endpoint")), bundle_of(session)
        except boto.BotoCoreError:  # the profile that would say so is not there
            fips, bundle = False, None
        return Around(self._profile, self._answer, bundle, fips)

    def client(self, region: str | None, keys: Keys | None) -> Any:
        """A new STS client that signs with `keys` (None: unsigned). Raises RenewalFailed for a bad region."""
        config = CLIENT_CONFIG.merge(Config(user_agent=_user_agent(self._session)))
        if keys is None:
            from botocore import UNSIGNED  # noqa: PLC0415 - web identity alone

            config = config.merge(Config(signature_version=UNSIGNED))
        try:
            return self._session.create_client(
                "sts",
                region_name=region,
                config=config,
                aws_access_key_id=keys.access_key_id if keys else None,
                aws_secret_access_key=keys.secret_access_key if keys else None,
                aws_session_token=keys.session_token if keys else None,
            )
        except boto.NoRegionError:
            raise no_region(self._root.source()) from None
        except (boto.BotoCoreError, ValueError) as error:
            raise http.explained(error) or RenewalFailed(
                FailureKind.MISCONFIGURED, type(error).__name__, str(error), "correct the region or the endpoint"
            ) from None

    def kill(self) -> None:
        """Kill the helper processes that are still being waited for, with all of their children."""
        self._killed = True
        for helper in self._helpers:
            helper.kill_all()

    def waits_for_helper(self) -> bool:
        """Whether a helper process has not ended yet."""
        return any(helper.is_waited_for for helper in self._helpers)

    def _failure(self, error: Exception) -> RenewalFailed:
        """What a provider's exception means. A helper's own words are left out: they may hold what it guards."""
        helper = self._helpers[-1] if self._helpers else None
        if helper is not None and helper.returncode:
            return helper_failure(self._root, "HelperFailed", f"ended with status {helper.returncode}")
        if helper is not None and isinstance(error, ValueError | TypeError | AttributeError | LookupError):
            return helper_failure(self._root, "HelperOutput", "did not print the JSON object that AWS asks for")
        return source_failure(error, self._root, self._around())

    def _load(self) -> Any:
        source = self._root.credential_source
        if source == "Environment":
            return _environment_credentials(self._inherited, self._root)
        resolver = self._session.get_component("credential_provider")
        _bound_metadata(resolver)
        if source is not None:
            credentials = resolver.get_provider(PROVIDER_OF[source]).load()
        else:
            for name in NOT_FOR_PROFILES:
                if any(name == p.METHOD for p in resolver.providers):
                    resolver.remove(name)
            if self._passed is not None:
                resolver.providers.insert(0, provider(self._passed, str(self._root.source_profile)))
            self._watch_children(resolver)
            credentials = resolver.load_credentials()
        if credentials is None:
            raise RenewalFailed(
                FailureKind.SOURCE_DEAD,
                "NoCredentials",
                f"{self._root.source()} has no credentials",
                f"run: aws configure --profile {self._root.source_profile}"
                if self._root.source_profile
                else "this machine offers none by that way; name another credential_source or a source_profile",
            )
        return credentials

    def _watch_children(self, resolver: Any) -> None:
        """Give every process provider a Popen that takes no input and can be killed at the deadline."""
        builder = Builder(self._session, self._popen, self._passed)
        for index, one in enumerate(resolver.providers):
            if isinstance(one, boto_credentials.ProcessProvider):
                resolver.providers[index] = builder.process_provider(self._root.source_profile or "default")
            elif isinstance(one, boto_credentials.AssumeRoleProvider):
                # botocore offers no other way in
                setattr(one, "_profile_provider_builder", builder)  # noqa: B010 - unknown to its type stubs
                setattr(one, "_prompter", self._prompt)  # noqa: B010
            elif isinstance(one, boto_credentials.AssumeRoleWithWebIdentityProvider):
                use_token_file(one)

    def _popen(self, command: list[str], **options: Any) -> Helper:
        helper = Helper(command, stdin=subprocess.DEVNULL, start_new_session=True, **options)
        self._helpers.append(helper)
        if self._killed:
            helper.kill_all()
        return helper

    def _prompt(self, text: str) -> str:
        # botocore would ask on the terminal: in a daemon nobody sees it (aws-vault #779, #888).
        raise needs_code(self._root, text.removeprefix("Enter MFA code for ").rstrip(": "), self._profile)


def _new_session(profile: str | None, credentials_file: Path, passed: Path | None) -> Any:
    """A botocore session that shares the one loader: it alone holds 8 MB of parsed JSON."""
    global _loader  # noqa: PLW0603 - one cache per process is the point
    session = http.Session(profile=profile)
    session.set_config_variable("credentials_file", str(credentials_file))
    if passed is not None:
        add_profiles(passed, session)
    with _loader_lock:
        if _loader is None:
            _loader = loader(session.get_config_variable("data_path"))
    session.register_component("data_loader", _loader)
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_instant)
    return session


def _bound_metadata(resolver: Any) -> None:
    """The machine's own credentials come over an HTTP session that botocore's fetchers make for themselves."""
    for one in resolver.providers:
        if isinstance(one, boto_credentials.InstanceMetadataProvider | boto_credentials.ContainerProvider):
            # botocore offers no other way in
            fetcher = getattr(one, "_role_fetcher", None) or getattr(one, "_fetcher")  # noqa: B009
            fetcher._session = http.Bounded(fetcher._session)  # noqa: SLF001


def _instant(text: Any) -> datetime:
    """A timestamp of STS's. dateutil, by which botocore reads every form there is, takes a tenth of a whole call."""
    try:
        instant = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return parse_timestamp(text)
    return instant if instant.tzinfo is not None else parse_timestamp(text)


def _user_agent(session: Any) -> str:
    """What CloudTrail shows of who has asked. botocore's own is put together anew for every call, for a tenth of it."""
    application = session.get_config_variable("user_agent_appid")
    named = f" app/{re.sub(UNSPEAKABLE, '-', application)}" if application else ""
    return f"assumed/{__version__} {session.user_agent()}{named}"


def _environment_credentials(inherited: Mapping[str, str], root: Role) -> Any:
    key, secret = inherited.get("AWS_ACCESS_KEY_ID"), inherited.get("AWS_SECRET_ACCESS_KEY")
    if not key or not secret:
        raise RenewalFailed(
            FailureKind.SOURCE_DEAD,
            "NoCredentials",
            "the environment that the daemon was started in holds no AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            f"start it with both set, or name a source_profile for {root.profile}",
        )
    return boto_credentials.Credentials(key, secret, inherited.get("AWS_SESSION_TOKEN"), method="env")


def _refuse_what_needs_a_person(root: Role, profile: SourceProfile) -> None:
    if profile.asking is not None:
        raise needs_code(root, profile.asking.serial, profile)
