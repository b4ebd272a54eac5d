"""The embedded AWS: moto's server behind the front, with the people and roles of the walk-through in it.

moto checks identity and trust policies once `reset-auth` has switched that on. What it cannot express
(the account's root as a principal, a role as the principal of a chain) is said where it matters below.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import select
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

from assumed.errors import AssumedError

from .front import Front

ACCOUNT = "123456789012"
"""moto's account."""
REGION = "us-west-2"
EXTERNAL_ID = "MyApp-42"
START_SECONDS = 60
_BOOTSTRAP = {"aws_access_key_id": "AKIABOOTSTRAP", "aws_secret_access_key": "bootstrap"}


class MotoMissing(AssumedError):
    """moto is not installed; the message says how to install it."""


class Moto:
    """moto's server in a process of its own. Raises MotoMissing, or AssumedError when it does not start."""

    def __init__(self) -> None:
        self.url = ""
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> Self:
        if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask") is None:
            raise MotoMissing("this needs moto's server: pip install 'assumed[demo]'")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "MOTO_"))}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-m", "assumed.demo.moto_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,  # Ctrl-C is for whoever started us: the server ends when we say so
        )
        assert self._process.stdout is not None  # noqa: S101
        ready = select.poll()
        ready.register(self._process.stdout, select.POLLIN)
        answered = ready.poll(START_SECONDS * 1000)
        port = self._process.stdout.readline().strip() if answered else ""
        if not port.isdigit():
            self._process.kill()
            _, stderr = self._process.communicate()
            raise AssumedError(
                f"moto's server did not start: {(stderr.strip().splitlines() or ['no reason given'])[-1]}"
            )
        self.url = f"http://127.0.0.1:{port}"
        return self

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.communicate()
        self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def enforce_iam(self) -> None:
        """From now on every call needs a valid signature and a policy that allows it."""
        # moto answers 500 to the default form content type
        request = urllib.request.Request(  # noqa: S310  (loopback, http)
            f"{self.url}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            answer.read()


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A user's long-term key pair, as IAM handed it out."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class WalkThrough:
    """What stands in the embedded AWS when the people of the article have done their part."""

    endpoint: str
    region: str
    account: str
    natan: AccessKey
    """In group developers: may assume `my_role`."""
    mallory: AccessKey
    """In no group: may do nothing."""
    my_role: str
    """MyApp/MyS3Access: trusts natan with the external id, may read the bucket."""
    reports_role: str
    """MyApp/Reports: trusts natan, no external id."""
    archive_role: str
    """Archive: trusts sessions of `my_role` named `session_name` alone: a chain."""
    session_name: str
    external_id: str
    bucket: str
    key: str


@contextlib.contextmanager
def embedded_aws(clip_seconds: int | None = None, port: int = 0) -> Iterator[tuple[Front, WalkThrough]]:
    """moto behind a front on `port`, set up, with IAM enforced; both are gone at the end."""
    with Moto() as moto, Front(moto.url, clip_seconds, port) as front:
        facts = set_up(front.url)
        moto.enforce_iam()
        yield front, facts


def client(endpoint: str, service: str, **credentials: str) -> Any:
    """A boto3 client that looks at no file and no variable of the person's own."""
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    config = Config(
        retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, connect_timeout=5, read_timeout=30
    )
    session = boto3.Session(region_name=REGION, **(credentials or _BOOTSTRAP))
    return session.client(service, endpoint_url=endpoint, config=config)


def set_up(endpoint: str) -> WalkThrough:
    """Does by boto3 what the article does in the console. Needs IAM enforcement to be off."""
    iam, s3 = client(endpoint, "iam"), client(endpoint, "s3")
    bucket, key, session_name = "my-app-data", "reports/2026/hello.txt", "natan"
    natan, mallory = _user(iam, "natan"), _user(iam, "mallory")
    trust = {"AWS": f"arn:aws:iam::{ACCOUNT}:user/natan"}
    # AWS would take the role's ARN as the principal of a chain; moto compares the session's ARN with it
    chained = {"AWS": f"arn:aws:sts::{ACCOUNT}:assumed-role/MyS3Access/{session_name}"}
    my_role = _role(iam, "/MyApp/", "MyS3Access", trust, EXTERNAL_ID)
    reports = _role(iam, "/MyApp/", "Reports", trust)
    archive = _role(iam, "/", "Archive", chained)
    read = _policy(["s3:ListBucket", "s3:GetObject"], [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"])
    for role in ("MyS3Access", "Reports", "Archive"):
        iam.put_role_policy(RoleName=role, PolicyName="ReadBucket", PolicyDocument=read)
    iam.put_role_policy(RoleName="MyS3Access", PolicyName="Chain", PolicyDocument=_policy("sts:AssumeRole", archive))
    iam.create_group(GroupName="developers")
    iam.add_user_to_group(GroupName="developers", UserName="natan")
    for name, role in (("MyAppS3Access", my_role), ("MyAppReports", reports)):
        policy = iam.create_policy(PolicyName=name, PolicyDocument=_policy("sts:AssumeRole", role))
        iam.attach_group_policy(GroupName="developers", PolicyArn=policy["Policy"]["Arn"])
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=bucket, Key=key, Body=b"kept fresh\n")
    return WalkThrough(
        endpoint, REGION, ACCOUNT, natan, mallory, my_role, reports, archive, session_name, EXTERNAL_ID, bucket, key
    )


def _user(iam: Any, name: str) -> AccessKey:
    iam.create_user(UserName=name)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return AccessKey(made["AccessKeyId"], made["SecretAccessKey"])


def _role(iam: Any, path: str, name: str, principal: dict[str, str], external_id: str | None = None) -> str:
    statement: dict[str, Any] = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    if external_id is not None:
        statement["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    arn: str = iam.create_role(Path=path, RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    return arn


def _policy(action: str | list[str], resource: str | list[str]) -> str:
    """A policy of one statement, in the article's own form."""
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": statement})
