"""1.4: inside `exec` the role is the only identity, whatever the user's home and environment contain."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from world.daemon import Home, role
from world.fake_sts import FakeSts

ROLE = "arn:aws:iam::123456789012:role/job"
OTHER = ("AKIAOTHERIDENTITY123", "OtherSecretAccessKey/of/somebody/else123")
LEGACY = f"[Credentials]\naws_access_key_id = {OTHER[0]}\naws_secret_access_key = {OTHER[1]}\n"

BOTO3 = """
import boto3, json
session = boto3.Session()
found = session.get_credentials()
print(json.dumps([found.access_key, found.method, session.region_name]))
"""
SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


@pytest.fixture
def job(aws_home: Home, sts: FakeSts) -> Home:
    """A home with one role, `job`."""
    aws_home.configure(role("job", ROLE))
    return aws_home


def inside(home: Home, sts: FakeSts, *command: str, **more: str) -> str:
    """The output of a command under `exec`."""
    done = home.assumed("exec", "job", "--", *command, AWS_ENDPOINT_URL_STS=sts.url, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def write(path: Path, text: str = LEGACY) -> str:
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def in_the_home(home: Home) -> dict[str, str]:
    write(home.path / ".boto")
    return {}


def by_a_variable(home: Home) -> dict[str, str]:
    return {"BOTO_CONFIG": write(home.path / "legacy.cfg")}


def by_a_relative_variable(home: Home) -> dict[str, str]:
    write(home.path / "here.cfg")
    return {"BOTO_CONFIG": "here.cfg"}


def by_both(home: Home) -> dict[str, str]:
    write(home.path / ".boto")
    return {"BOTO_CONFIG": write(home.path / "legacy.cfg"), "AWS_PROFILE": "elsewhere"}


BOTO_CONFIGS = [in_the_home, by_a_variable, by_a_relative_variable, by_both]


@pytest.mark.parametrize("configured", BOTO_CONFIGS)
def test_keys_in_a_boto_configuration_are_not_used(job: Home, sts: FakeSts, configured: object) -> None:
    """botocore reads boto 2's configuration before it asks an endpoint."""
    assert callable(configured)
    more = configured(job)
    key, method, _ = json.loads(inside(job, sts, sys.executable, "-c", BOTO3, **more))
    assert (key, method) == (sts.calls[-1].issued, "container-role")


@pytest.mark.slow
@pytest.mark.parametrize("configured", BOTO_CONFIGS[:3])
def test_the_aws_cli_uses_the_role_despite_a_boto_configuration(job: Home, sts: FakeSts, configured: object) -> None:
    assert callable(configured)
    more = configured(job)
    aws = Path(sys.executable).parent / "aws"
    if not aws.exists():
        pytest.skip("the AWS CLI is not installed beside this Python")
    listed = inside(job, sts, str(aws), "configure", "list", **more)
    key = next(line for line in listed.splitlines() if "access_key" in line)
    issued = sts.calls[-1].issued
    assert issued is not None
    assert (issued[-4:] in key, "container-role" in key) == (True, True), key


def test_without_exec_those_files_take_precedence(job: Home, sts: FakeSts) -> None:
    """Otherwise the tests above would prove nothing."""
    (job.path / ".aws" / "credentials").write_text("")
    write(job.path / ".boto")
    done = subprocess.run(
        [sys.executable, "-c", BOTO3], env=job.environment(), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)[0] == OTHER[0]


NAMED = {
    "Java v1's file": {"AWS_CREDENTIAL_PROFILES_FILE": "/elsewhere/credentials"},
    "boto 2's file": {"AWS_CREDENTIAL_FILE": "/elsewhere/credentials"},
    "GDAL's file": {"CPL_AWS_CREDENTIALS_FILE": "/elsewhere/credentials"},
    "Java v1's and Go v1's keys": {"AWS_ACCESS_KEY": OTHER[0], "AWS_SECRET_KEY": OTHER[1]},
    "JavaScript v2's keys": {"AMAZON_ACCESS_KEY_ID": OTHER[0], "AMAZON_SECRET_ACCESS_KEY": OTHER[1]},
    "Ansible's keys": {"EC2_ACCESS_KEY": OTHER[0], "EC2_SECRET_KEY": OTHER[1]},
    "s3fs-fuse's keys": {"AWSACCESSKEYID": OTHER[0], "AWSSECRETACCESSKEY": OTHER[1]},
    "rclone's keys for S3": {"RCLONE_S3_ACCESS_KEY_ID": OTHER[0], "RCLONE_S3_SECRET_ACCESS_KEY": OTHER[1]},
    "fsspec's keys for S3": {"FSSPEC_S3_KEY": OTHER[0], "FSSPEC_S3_SECRET": OTHER[1]},
    "litellm's role": {"AWS_ROLE_NAME": "arn:aws:iam::1:role/other", "AWS_PROFILE_NAME": "other"},
    "a service's bearer token": {"AWS_BEARER_TOKEN_BEDROCK": OTHER[1], "AWS_BEARER_TOKEN_CODEX": OTHER[1]},
    "another account": {"AWS_ACCOUNT_ID": "210987654321"},
    "a container's address": {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/other"},
}


def test_no_variable_that_leads_to_other_credentials_reaches_the_command(job: Home, sts: FakeSts) -> None:
    """All of them at once: each is another identity for some tool."""
    every = {name: value for named in NAMED.values() for name, value in named.items()}
    found = json.loads(inside(job, sts, sys.executable, "-c", SHOW, **every))
    assert [whose for whose, named in NAMED.items() if named.items() & found.items()] == []


@pytest.mark.slow
def test_sdks_with_their_own_variable_for_the_credentials_file_find_an_empty_one(job: Home, sts: FakeSts) -> None:
    """Without that variable, Java v1 and GDAL read ~/.aws/credentials, whose `[default]` has keys."""
    found = json.loads(inside(job, sts, sys.executable, "-c", SHOW))
    names = ("AWS_CREDENTIAL_PROFILES_FILE", "CPL_AWS_CREDENTIALS_FILE", "AWS_SHARED_CREDENTIALS_FILE")
    assert {found.get(name) for name in names} == {found["AWS_SHARED_CREDENTIALS_FILE"]}
    assert Path(found["AWS_SHARED_CREDENTIALS_FILE"]) != job.credentials


JVM = {
    "JAVA_TOOL_OPTIONS": "-Xmx1g -Daws.accessKeyId=A -Daws.secretKey=B -Dfile.encoding=UTF-8",
    "JDK_JAVA_OPTIONS": '-Xmx1g "-Daws.sharedCredentialsFile=/a b/credentials" -Dfile.encoding=UTF-8',
    "MAVEN_OPTS": "-Xmx1g -Daws.profile='other' -Dfile.encoding=UTF-8",
    "_JAVA_OPTIONS": "-Xmx1g -Daws.accessKeyId=A -Daws.secretAccessKey=B -Daws.sessionToken=C -Dfile.encoding=UTF-8",
}


def test_system_properties_that_lead_to_other_credentials_do_not_reach_a_jvm(job: Home, sts: FakeSts) -> None:
    """Java SDKs prefer them to everything else. Other JVM options stay."""
    found = json.loads(inside(job, sts, sys.executable, "-c", SHOW, **JVM))
    assert {name: found[name].split() for name in JVM} == {name: ["-Xmx1g", "-Dfile.encoding=UTF-8"] for name in JVM}


KEPT = {
    "AWS_MAX_ATTEMPTS": "9",
    "JAVA_TOOL_OPTIONS": '-Xmx1g -Daws.region=eu-west-1 -Dname="a  b" -Daws.maxAttempts=3',
    "RCLONE_CONFIG_BACKUP_ACCESS_KEY_ID": "of-a-remote-with-a-name",
    "MINIO_ACCESS_KEY": "of-another-service",
    "GETOPTS": "it's not for a JVM -Daws.profile=x",
}


@pytest.mark.slow
def test_every_other_variable_stays(job: Home, sts: FakeSts) -> None:
    found = json.loads(inside(job, sts, sys.executable, "-c", SHOW, **KEPT))
    assert {name: found.get(name) for name in KEPT} == KEPT


def test_the_users_files_stay_unchanged(job: Home, sts: FakeSts) -> None:
    boto = Path(write(job.path / ".boto"))
    inside(job, sts, "true")
    assert (boto.read_text(), os.access(boto, os.R_OK)) == (LEGACY, True)
