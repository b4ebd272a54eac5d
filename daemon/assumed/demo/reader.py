"""A reader of the kept profiles, as every tool is one: a new session each time, a listing, done."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .front import Front
from .ledger import Issued


@dataclass(frozen=True, slots=True)
class Read:
    """One listing through a kept profile."""

    profile: str
    access_key_id: str
    error: str | None
    """What went wrong, in the words of boto3; None when it went well."""


@dataclass
class Reader:
    """Lists the bucket through kept profiles, and remembers the first session for the counter-proof."""

    credentials: Path
    endpoint: str
    bucket: str
    reads: list[Read] = field(default_factory=list)
    _first: Any = None

    def read(self, profile: str) -> Read:
        """Lists the bucket once, with whatever the profile holds at this moment."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        key = ""
        try:
            client, key = self._client(profile)
            if self._first is None:
                self._first = (client, key)
            client.list_objects_v2(Bucket=self.bucket)
        except (BotoCoreError, ClientError) as error:
            read = Read(profile, key, " ".join(str(error).split()))
        else:
            read = Read(profile, key, None)
        self.reads.append(read)
        return read

    def first_session(self, front: Front) -> Issued | None:
        """The session that the first read bore."""
        return front.ledger.issued.get(self._first[1]) if self._first else None

    def try_first_session(self) -> str | None:
        """Lists the bucket with the first session, kept by hand as one does without a daemon; the error's code."""
        from botocore.exceptions import ClientError  # noqa: PLC0415

        try:
            self._first[0].list_objects_v2(Bucket=self.bucket)
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return None

    def _client(self, profile: str) -> tuple[Any, str]:
        import boto3  # noqa: PLC0415
        import botocore.session  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415
        from botocore.exceptions import NoCredentialsError  # noqa: PLC0415

        core = botocore.session.Session(profile=profile)
        core.set_config_variable("credentials_file", str(self.credentials))
        core.set_config_variable("config_file", str(self.credentials.with_name("config")))
        session = boto3.Session(botocore_session=core)
        credentials = session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        keys = credentials.get_frozen_credentials()
        config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, read_timeout=10)
        client = core.create_client(
            "s3",
            endpoint_url=self.endpoint,
            config=config,
            aws_access_key_id=keys.access_key,
            aws_secret_access_key=keys.secret_key,
            aws_session_token=keys.token,
        )
        return client, keys.access_key
