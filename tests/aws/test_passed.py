"""Source keys that systemd passes to the service alone, in an AWS credentials file of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from assumed.aws.files import AwsFiles
from assumed.aws.sources import Sources
from assumed.clock import SystemClock
from assumed.model import FailureKind
from assumed.paths import passed_credentials
from aws.kit import KEY_OF_NOBODY, Home, arn, keys_of, role
from world.fake_sts import SOURCE_KEY, SOURCE_SECRET, FakeSts

OURS = keys_of("source", SOURCE_KEY, SOURCE_SECRET)
NOBODYS = keys_of("source", KEY_OF_NOBODY, "secret-of-nobody")
Pass = Callable[[str], Path]


@pytest.fixture
def passes(aws: Home, tmp_path: Path) -> Pass:
    """Passes a text as systemd would, to sources that are made anew: to a service, it is there from the start."""

    def passes(text: str) -> Path:
        path = tmp_path / "aws-credentials"
        path.write_text(text)
        environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
        aws.files = AwsFiles(aws.credentials, aws.config, environ, {})
        aws.sources = Sources(
            aws.credentials, {}, SystemClock().now, aws.answers.put, passed=passed_credentials(environ)
        )
        return path

    return passes


def signer(sts: FakeSts) -> str | None:
    return sts.calls_for(arn("my-role"))[-1].access_key_id


@pytest.mark.parametrize(
    ("credentials", "config"),
    [
        pytest.param("", "", id="known nowhere else"),
        pytest.param(NOBODYS + "aws_session_token = stale\n", "", id="other keys, and a token, in the file"),
        pytest.param("", "[profile source]\ncredential_process = /bin/false\n", id="a helper in the configuration"),
        pytest.param("", f"[profile source]\nrole_arn = {arn('above')}\nsource_profile = other\n", id="a role there"),
        pytest.param("", "[profile source]\nsso_start_url = https://sso.example\n", id="a login there"),
    ],
)
def test_keys_that_are_passed_sign_before_all_else(
    credentials: str, config: str, sts: FakeSts, aws: Home, passes: Pass
) -> None:
    aws.credentials.write_text(credentials)
    aws.config.write_text(config)
    passes(OURS)

    aws.assume(role())

    assert signer(sts) == SOURCE_KEY


def test_a_profile_that_is_not_passed_is_found_where_it_always_was(sts: FakeSts, aws: Home, passes: Pass) -> None:
    aws.credentials.write_text(OURS)
    passes(NOBODYS.replace("[source]", "[other]"))

    aws.assume(role())

    assert signer(sts) == SOURCE_KEY


@pytest.mark.parametrize("where", ["credentials", "config"])
def test_a_profile_of_the_files_may_be_signed_for_by_one_that_is_passed(
    where: str, sts: FakeSts, aws: Home, passes: Pass
) -> None:
    link = f"role_arn = {arn('above')}\nsource_profile = key\nregion = us-west-2\n"
    (aws.config if where == "config" else aws.credentials).write_text(
        f"[profile source]\n{link}" if where == "config" else f"[source]\n{link}"
    )
    passes(OURS.replace("[source]", "[key]"))

    aws.assume(role())

    assert sts.calls_for(arn("above"))[0].access_key_id == SOURCE_KEY


def test_a_helper_that_is_passed_runs(sts: FakeSts, aws: Home, passes: Pass) -> None:
    document = {"Version": 1, "AccessKeyId": SOURCE_KEY, "SecretAccessKey": SOURCE_SECRET}
    passes(f"[source]\ncredential_process = {aws.prints(document)}\n")

    aws.assume(role())

    assert signer(sts) == SOURCE_KEY


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"aws_access_key_id = {SOURCE_KEY}\n", "cannot be read as an AWS credentials file"),
        (f'{{"AccessKeyId": "{SOURCE_KEY}", "SecretAccessKey": "{SOURCE_SECRET}"}}', "cannot be read"),
        ("", "names no profile"),
        (f"[source]\naws_access_key_id = {SOURCE_KEY}\n", "passed-by-systemd, missing: aws_secret_access_key"),
    ],
)
def test_what_cannot_be_used_is_said_and_nobody_else_signs_in_its_place(
    text: str, words: str, sts: FakeSts, aws: Home, passes: Pass
) -> None:
    aws.credentials.write_text(OURS)
    passes(text)

    refusal = aws.refusal(role())

    assert refusal.kind is FailureKind.SOURCE_DEAD
    assert words in refusal.message
    assert refusal.advice
    assert SOURCE_KEY not in str(refusal)
    assert SOURCE_SECRET not in str(refusal)
    assert not sts.calls


def test_rotated_keys_are_seen_and_sign(sts: FakeSts, aws: Home, passes: Pass) -> None:
    """Newer versions of systemd renew credentials with a reload, without a restart."""
    aws.credentials.write_text("")
    path = passes(NOBODYS)
    assert path in aws.files.beside()
    aws.files.look([role()])
    aws.files.look([role()])

    path.write_text(OURS)

    assert aws.files.look([role()]) == {"profile:source"}
    aws.sources.forget("profile:source")
    aws.assume(role())
    assert signer(sts) == SOURCE_KEY


def test_our_own_rewriting_of_the_credentials_file_changes_no_source_that_is_passed(aws: Home, passes: Pass) -> None:
    passes(OURS)
    aws.files.look([role()])
    aws.credentials.write_text("[kept]\naws_access_key_id = ASIA1\n")
    assert aws.files.look([role()]) == set()


@pytest.mark.parametrize("directory", ["", "relative", "/nowhere"])
def test_without_a_credential_of_that_name_nothing_is_passed(directory: str) -> None:
    assert passed_credentials({"CREDENTIALS_DIRECTORY": directory} if directory else {}) is None
