"""Reads managed profiles as tools do: a new boto3 session and a bucket listing each time."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .aws import client
from .front import Front
from .ledger import Issued


@dataclass(frozen=True, slots=True)
class Read:
    """One listing through a managed profile. `error` is boto3's message; None if it succeeded."""

    profile: str
    access_key_id: str
    error: str | None


@dataclass
class Reader:
    """Lists the bucket through managed profiles, and remembers the first session to show that it expires."""

    credentials: Path
    endpoint: str
    bucket: str
    reads: list[Read] = field(default_factory=list)
    _first: Any = None

    def read(self, profile: str) -> Read:
        """Lists the bucket once, with the profile's current content."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        key, problem = "", None
        try:
            s3, key = self._client(profile)
            self._first = self._first or (s3, key)
            s3.list_objects_v2(Bucket=self.bucket)
        except (BotoCoreError, ClientError) as error:
            problem = " ".join(str(error).split())
        self.reads.append(Read(profile, key, problem))
        return self.reads[-1]

    def first_session(self, front: Front) -> Issued | None:
        """The session of the first read."""
        return front.ledger.issued.get(self._first[1]) if self._first else None

    def try_first_session(self) -> str | None:
        """Lists the bucket with the first session, as without a daemon; returns the error code."""
        from botocore.exceptions import ClientError  # noqa: PLC0415

        try:
            self._first[0].list_objects_v2(Bucket=self.bucket)
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return None

    def _client(self, profile: str) -> tuple[Any, str]:
        import botocore.session  # noqa: PLC0415
        from botocore.exceptions import NoCredentialsError  # noqa: PLC0415

        core = botocore.session.Session(profile=profile)
        core.set_config_variable("credentials_file", str(self.credentials))
        core.set_config_variable("config_file", str(self.credentials.with_name("config")))
        credentials = core.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        keys: Any = credentials.get_frozen_credentials()
        s3 = client(
            self.endpoint,
            "s3",
            aws_access_key_id=keys.access_key,
            aws_secret_access_key=keys.secret_key,
            aws_session_token=keys.token,
        )
        return s3, keys.access_key
