"""The article "Intro to AWS and Assuming AWS Roles", step by step with the real AWS CLI, and then without its last
step: "once these credentials expire, you'll need to request new credentials and update the profile".

moto is the AWS, with IAM enforced. The front before it expires sessions after 10 s instead of an hour, refuses expired
keys as AWS does, and requires the external ID.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from assumed.demo.aws import Moto, client, embedded_aws
from assumed.demo.front import Front
from world.daemon import Daemon, Home, role

AWS = str(Path(sys.executable).parent / "aws")
SESSION_SECONDS = 10
BUCKET = "my-app-data"
EXTERNAL_ID = "the-other-partys-id"
ROLE_ARN = "arn:aws:iam::123456789012:role/MyApp/MyS3Access"

# "The third party has provided us with a policy that allows us to assume a role."
MY_APP_S3_ACCESS = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": ROLE_ARN},
}
TRUST = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Principal": {"AWS": ["arn:aws:iam::123456789012:user/natan", "arn:aws:iam::123456789012:user/mallory"]},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": EXTERNAL_ID}},
    },
}
READ_THE_BUCKET = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Action": ["s3:ListBucket", "s3:GetObject"],
        "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"],
    },
}
EVERYTHING = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}


class Terminal:
    """A person at a terminal with their own home: types `aws …`."""

    def __init__(self, home: Home, endpoint: str) -> None:
        self.home = home
        self.endpoint = endpoint

    def aws(self, *arguments: str, typing: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [AWS, *arguments],
            env=self.home.environment(AWS_ENDPOINT_URL=self.endpoint, AWS_DEFAULT_REGION="us-west-2", **variables),
            input=typing,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def does(self, *arguments: str, **more: str) -> Any:
        """Run a command that must succeed; returns its JSON or text."""
        done = self.aws(*arguments, **more)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.startswith("{") else done.stdout

    def configures(self, key: dict[str, str], *profile: str) -> None:
        """`aws configure`, as in the article."""
        self.does("configure", *profile, typing=f"{key['AccessKeyId']}\n{key['SecretAccessKey']}\nus-west-2\njson\n")


def creating_an_admin_iam_user(front: Front, moto: Moto, admin: Terminal) -> None:
    """The root account's part; from then on every call needs a policy that allows it."""
    iam = client(front.url, "iam")
    iam.create_group(GroupName="admins")
    iam.put_group_policy(GroupName="admins", PolicyName="Administrator", PolicyDocument=json.dumps(EVERYTHING))
    iam.create_user(UserName="admin")
    iam.add_user_to_group(GroupName="admins", UserName="admin")
    admin.configures(iam.create_access_key(UserName="admin")["AccessKey"])
    moto.enforce_iam()


def the_other_partys_part(admin: Terminal) -> None:
    """The role, its permissions, and the bucket."""
    name = ("--role-name", "MyS3Access")
    trust = ("--assume-role-policy-document", json.dumps(TRUST))
    assert admin.does("iam", "create-role", "--path", "/MyApp/", *name, *trust)["Role"]["Arn"] == ROLE_ARN
    reading = ("--policy-document", json.dumps(READ_THE_BUCKET))
    admin.does("iam", "put-role-policy", *name, "--policy-name", "Read", *reading)
    admin.does("s3", "mb", f"s3://{BUCKET}")
    admin.does("s3", "cp", "-", f"s3://{BUCKET}/path/to/hello.txt", typing="hello")


def creating_a_group_to_assume_the_role(admin: Terminal) -> None:
    """natan is a member, mallory is not."""
    document = ("--policy-document", json.dumps(MY_APP_S3_ACCESS))
    policy = admin.does("iam", "create-policy", "--policy-name", "MyAppS3Access", *document)
    group = ("--group-name", "developers")
    admin.does("iam", "create-group", *group)
    admin.does("iam", "attach-group-policy", *group, "--policy-arn", policy["Policy"]["Arn"])
    for user in ("natan", "mallory"):
        admin.does("iam", "create-user", "--user-name", user)
    admin.does("iam", "add-user-to-group", *group, "--user-name", "natan")


def configuring_the_aws_cli(admin: Terminal, mine: Terminal) -> None:
    """natan's keys in the default profile; mallory's in another one."""
    mine.configures(admin.does("iam", "create-access-key", "--user-name", "natan")["AccessKey"])
    mallorys = admin.does("iam", "create-access-key", "--user-name", "mallory")["AccessKey"]
    mine.configures(mallorys, "--profile", "mallory")


def assuming_the_role(mine: Terminal) -> None:
    """By hand, once: it needs the external ID from the other party."""
    asked = ("sts", "assume-role", "--role-arn", ROLE_ARN, "--role-session-name", "FirstSession")
    refused = mine.aws(*asked).stderr
    assert "AccessDenied" in refused
    assert f"on resource: {ROLE_ARN}" in refused
    assert mine.does(*asked, "--external-id", EXTERNAL_ID)["Credentials"]["SessionToken"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_after_the_walk_through_the_role_stays_assumed(tmp_path: Path) -> None:
    """Every step of the article with the AWS CLI."""
    with Moto() as moto, Front(moto.url, clip_seconds=SESSION_SECONDS) as front:
        admin = Terminal(Home(tmp_path / "admin"), front.url)
        mine = Terminal(Home(tmp_path / "natan"), front.url)
        creating_an_admin_iam_user(front, moto, admin)
        the_other_partys_part(admin)
        creating_a_group_to_assume_the_role(admin)
        configuring_the_aws_cli(admin, mine)
        assuming_the_role(mine)
        keeping_the_role(front, mine, EXTERNAL_ID, "path/to/")


def test_the_aws_cli_can_use_a_managed_profile(tmp_path: Path) -> None:
    """The result of the article, in an AWS that is already set up."""
    with embedded_aws(clip_seconds=SESSION_SECONDS) as (front, facts):
        mine = Terminal(Home(tmp_path), front.url)
        for profile, key in (("default", facts.natan), ("mallory", facts.mallory)):
            mine.home.add_source(key.access_key_id, key.secret_access_key, profile)
        assert (facts.my_role, facts.bucket) == (ROLE_ARN, BUCKET)
        keeping_the_role(front, mine, facts.external_id, facts.key.removesuffix("hello.txt"))


def keeping_the_role(front: Front, mine: Terminal, external_id: str, folder: str) -> None:
    """Where the article ends: a user in the right group gets a profile that stays fresh; for a user outside it, status
    says why not."""
    mine.home.configure(
        role("my-role", ROLE_ARN, external_id=external_id),
        role("not-mine", ROLE_ARN, external_id=external_id, source_profile="mallory"),
    )
    with Daemon(mine.home, AWS_ENDPOINT_URL=front.url) as daemon:
        daemon.wait_until_fresh("my-role")
        first = mine.home.profile("my-role")
        assert first is not None
        listing = ("s3", "ls", f"s3://{BUCKET}/{folder}")
        assert "hello.txt" in mine.does(*listing, "--profile", "my-role")
        listed_with = key_of_the_last_listing(front)

        # the user outside the group is refused, and status says why in words
        daemon.wait_until(lambda status: status["roles"][1]["last_error"])
        shown = mine.home.assumed("status", "--json", AWS_ENDPOINT_URL=front.url)
        assert shown.returncode == 1, shown.stderr
        kept, denied = json.loads(shown.stdout)["roles"]
        assert (kept["state"], denied["state"]) == ("fresh", "failing")
        assert denied["last_error"]["code"] == "AccessDenied"
        assert "user/mallory is not authorized to perform: sts:AssumeRole" in denied["last_error"]["message"]
        assert denied["last_error"]["advice"]
        assert mine.home.profile("not-mine") is None

        # the first session expires: its keys are refused, and the profile still works
        ends = front.ledger.issued[listed_with].expiration
        time.sleep(max(0.0, ends - time.time()))
        assert "hello.txt" in mine.does(*listing, "--profile", "my-role")
        by_hand = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
        assert "ExpiredToken" in mine.aws(*listing, **{name.upper(): first[name] for name in by_hand}).stderr

        assert daemon.stop() == 0

    assert key_of_the_last_listing(front) != listed_with, "the second listing bore a renewed session"


def key_of_the_last_listing(front: Front) -> str:
    """The key that the AWS CLI read from the profile; on a slow machine the daemon may have renewed it since."""
    good = [record.access_key_id for record in front.records if record.service == "s3" and record.status == 200]
    assert good[-1] is not None
    return good[-1]
