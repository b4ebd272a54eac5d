"""The embedded AWS: moto's server behind the front, with the users and roles of the walk-through.

moto checks identity and trust policies after `reset-auth`. Where it differs from AWS, a comment says so.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
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

ACCOUNT = "123456789012"  # moto's
REGION = "us-west-2"
EXTERNAL_ID = "MyApp-42"
START_SECONDS = 60
_BOOTSTRAP = {"aws_access_key_id": "AKIABOOTSTRAP", "aws_secret_access_key": "bootstrap"}


class MotoMissing(AssumedError):
    """moto is not installed; the message says how to install it."""


class Moto:
    """moto's server in its own process. Raises MotoMissing, or AssumedError if it does not start.

    Its own process keeps moto's hundred modules, threads and warnings out of this one. It ends with its standard
    input, so it cannot outlive this process, however that one dies.
    """

    url: str
    _process: subprocess.Popen[str]

    def start(self) -> Self:
        if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask") is None:
            raise MotoMissing("this needs moto's server: pip install 'assumed[demo]'")
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "MOTO_"))},
            start_new_session=True,  # Ctrl-C is for this process: stop() ends the server
        )
        assert self._process.stdout is not None  # noqa: S101
        ready, _, _ = select.select([self._process.stdout], [], [], START_SECONDS)
        port = self._process.stdout.readline().strip() if ready else ""
        if not port.isdigit():
            self._process.kill()
            reason = self._process.communicate()[1].strip().splitlines() or ["no reason given"]
            raise AssumedError(f"moto's server did not start: {reason[-1]}")
        self.url = f"http://127.0.0.1:{port}"
        return self

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()

    __enter__ = start

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def enforce_iam(self) -> None:
        """From now on every call needs a valid signature and a policy that allows it."""
        # moto answers 500 to the default form content type
        plain = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{self.url}/moto-api/reset-auth", b"0", plain)  # noqa: S310  (loopback)
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310


def serve_moto() -> None:
    """moto's server on a free loopback port, printed on stdout, until stdin ends."""
    logging.disable()
    from moto.server import ThreadedMotoServer  # noqa: PLC0415  (takes half a second: only here)

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)
    sys.stdin.read()
    os._exit(0)  # moto stores nothing: there is nothing to clean up


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A user's long-term key pair."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class WalkThrough:
    """What the embedded AWS contains once the people of the walk-through have done their part.

    `natan` is in the group developers; `mallory` is in no group and may do nothing. `my_role` (MyApp/MyS3Access) trusts
    natan with the external ID and may read the bucket; `reports_role` (MyApp/Reports) trusts natan without one;
    `archive_role` (Archive) trusts only sessions of `my_role` named `session_name`: a chain.
    """

    endpoint: str
    natan: AccessKey
    mallory: AccessKey
    my_role: str
    reports_role: str
    archive_role: str
    region: str = REGION
    session_name: str = "natan"
    external_id: str = EXTERNAL_ID
    bucket: str = "my-app-data"
    key: str = "reports/2026/hello.txt"


@contextlib.contextmanager
def embedded_aws(clip_seconds: int | None = None, port: int = 0) -> Iterator[tuple[Front, WalkThrough]]:
    """moto behind a front on `port`, set up, with IAM enforced. Both are stopped at the end."""
    with Moto() as moto, Front(moto.url, clip_seconds, port) as front:
        facts = set_up(front.url)
        moto.enforce_iam()
        yield front, facts


def client(endpoint: str, service: str, **credentials: str) -> Any:
    """A boto3 client that ignores the user's AWS files and variables."""
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    config = Config(
        retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, connect_timeout=5, read_timeout=30
    )
    session = boto3.Session(region_name=REGION, **(credentials or _BOOTSTRAP))
    return session.client(service, endpoint_url=endpoint, config=config)


def set_up(endpoint: str) -> WalkThrough:
    """Does with boto3 what the walk-through does in the console. IAM enforcement must still be off."""
    iam, s3 = client(endpoint, "iam"), client(endpoint, "s3")
    natan, mallory = _user(iam, "natan"), _user(iam, "mallory")
    trust = {"AWS": f"arn:aws:iam::{ACCOUNT}:user/natan"}
    # At AWS the principal of a chain is the role's ARN; moto compares it with the session's ARN
    chained = {"AWS": f"arn:aws:sts::{ACCOUNT}:assumed-role/MyS3Access/natan"}
    my_role = _role(iam, "/MyApp/", "MyS3Access", trust, EXTERNAL_ID)
    reports = _role(iam, "/MyApp/", "Reports", trust)
    facts = WalkThrough(endpoint, natan, mallory, my_role, reports, _role(iam, "/", "Archive", chained))
    bucket = f"arn:aws:s3:::{facts.bucket}"
    read = _policy(["s3:ListBucket", "s3:GetObject"], [bucket, f"{bucket}/*"])
    for role in ("MyS3Access", "Reports", "Archive"):
        iam.put_role_policy(RoleName=role, PolicyName="ReadBucket", PolicyDocument=read)
    chain = _policy("sts:AssumeRole", facts.archive_role)
    iam.put_role_policy(RoleName="MyS3Access", PolicyName="Chain", PolicyDocument=chain)
    iam.create_group(GroupName="developers")
    iam.add_user_to_group(GroupName="developers", UserName="natan")
    for name, role in (("MyAppS3Access", my_role), ("MyAppReports", reports)):
        policy = iam.create_policy(PolicyName=name, PolicyDocument=_policy("sts:AssumeRole", role))
        iam.attach_group_policy(GroupName="developers", PolicyArn=policy["Policy"]["Arn"])
    s3.create_bucket(Bucket=facts.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=facts.bucket, Key=facts.key, Body=b"kept fresh\n")
    return facts


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
    """A policy with one statement."""
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": statement})


if __name__ == "__main__":
    serve_moto()
