"""Tests of the daemon rely on our own STS, so it is first checked against a real client: botocore."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions as failures
import pytest
from botocore.config import Config
from botocore.parsers import ResponseParserError

from world.fake_sts import SOURCE_KEY, SOURCE_SECRET, FakeSts

ROLE = "arn:aws:iam::123456789012:role/MyApp/MyS3Access"
OTHER = "arn:aws:iam::123456789012:role/Other"


@pytest.fixture
def sts() -> Iterator[FakeSts]:
    with FakeSts() as server:
        yield server


@functools.cache
def shared_session() -> boto3.Session:
    """One session for all, because reading the service models takes time."""
    return boto3.Session(region_name="us-west-2")


def client(
    sts: FakeSts, key: str = SOURCE_KEY, secret: str = SOURCE_SECRET, token: str | None = None, patience: float = 60
) -> Any:
    config = Config(retries={"total_max_attempts": 1}, read_timeout=patience, parameter_validation=False)
    keys = {"aws_access_key_id": key, "aws_secret_access_key": secret, "aws_session_token": token}
    return shared_session().client("sts", endpoint_url=sts.url, config=config, **keys)


def assume(sts: FakeSts, role: str = ROLE, **more: Any) -> dict[str, Any]:
    caller = more.pop("by", None) or client(sts)
    answer: dict[str, Any] = caller.assume_role(RoleArn=role, RoleSessionName="natan", **more)
    return answer


def by(sts: FakeSts, answer: dict[str, Any]) -> Any:
    keys = answer["Credentials"]
    return client(sts, keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])


def refused(sts: FakeSts, role: str = ROLE, **more: Any) -> tuple[str, int, str]:
    with pytest.raises(failures.ClientError) as caught:
        assume(sts, role, **more)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Message"]


def test_a_session_is_issued_as_requested_and_can_sign(sts: FakeSts) -> None:
    answer = assume(sts, DurationSeconds=900)
    left = (answer["Credentials"]["Expiration"] - datetime.now(UTC)).total_seconds()
    assert 898 < left <= 900
    assert answer["AssumedRoleUser"]["Arn"] == "arn:aws:sts::123456789012:assumed-role/MyS3Access/natan"
    assert by(sts, answer).get_caller_identity()["Arn"] == answer["AssumedRoleUser"]["Arn"]


def test_every_call_is_recorded_with_its_outcome(sts: FakeSts) -> None:
    sts.rule(OTHER, error="AccessDenied")
    answer = assume(sts, DurationSeconds=900, ExternalId="MyApp-42")
    refused(sts, OTHER)
    first, second = sts.wait_for_calls(2)
    assert (first.action, first.role_arn, first.access_key_id) == ("AssumeRole", ROLE, SOURCE_KEY)
    assert (first.session_name, first.duration, first.external_id) == ("natan", 900, "MyApp-42")
    assert (first.outcome, first.issued) == ("ok", answer["Credentials"]["AccessKeyId"])
    assert (second.role_arn, second.outcome, second.issued) == (OTHER, "AccessDenied", None)
    assert [call.outcome for call in sts.calls_for(OTHER)] == ["AccessDenied"]


def test_waiting_for_missing_calls_reports_those_that_came(sts: FakeSts) -> None:
    assume(sts)
    with pytest.raises(AssertionError, match=r"1 of 2 calls within 0\.5 s.*MyS3Access"):
        sts.wait_for_calls(2, within=0.05)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("AccessDenied", 403),
        ("ExpiredToken", 403),
        ("Throttling", 400),
        ("MalformedPolicyDocument", 400),
        ("PackedPolicyTooLarge", 400),
        ("RegionDisabledException", 403),
        ("InternalFailure", 500),
        ("ServiceUnavailable", 503),
    ],
)
def test_a_rule_makes_sts_refuse_with_the_status_that_aws_sends(sts: FakeSts, code: str, status: int) -> None:
    sts.rule(ROLE, error=code)
    assert refused(sts)[:2] == (code, status)
    assert assume(sts, OTHER)["Credentials"]


def test_access_denied_names_principal_and_role(sts: FakeSts) -> None:
    sts.rule(ROLE, error="AccessDenied")
    assert refused(sts)[2] == (
        f"User: arn:aws:iam::123456789012:user/natan is not authorized to perform: sts:AssumeRole on resource: {ROLE}"
    )


def test_a_rule_may_hold_for_a_few_calls_only(sts: FakeSts) -> None:
    sts.rule(ROLE, session_seconds=5)
    sts.rule(ROLE, error="Throttling", times=2)
    refused(sts)
    refused(sts)
    assume(sts)
    assert [call.outcome for call in sts.calls] == ["Throttling", "Throttling", "ok"]


def test_an_unknown_behaviour_is_refused_rather_than_ignored(sts: FakeSts) -> None:
    with pytest.raises(TypeError, match="latancy"):
        sts.rule(ROLE, latancy=1)


def test_a_session_expires_when_stated(sts: FakeSts) -> None:
    sts.rule("*", session_seconds=4)
    answer = assume(sts)
    assert by(sts, answer).get_caller_identity()
    time.sleep(max(0.0, answer["Credentials"]["Expiration"].timestamp() - time.time()))
    assert refused(sts, OTHER, by=by(sts, answer))[0] == "ExpiredToken"


@pytest.mark.parametrize("seconds", [60, 100_000])
def test_a_session_may_be_shorter_or_longer_than_requested(sts: FakeSts, seconds: int) -> None:
    sts.rule(ROLE, session_seconds=seconds)
    began = datetime.now(UTC)
    end = assume(sts, DurationSeconds=900)["Credentials"]["Expiration"]
    assert began + timedelta(seconds=seconds - 1) < end <= datetime.now(UTC) + timedelta(seconds=seconds)


def test_keys_secrets_and_tokens_are_checked(sts: FakeSts) -> None:
    keys = assume(sts)["Credentials"]
    assert refused(sts, by=client(sts, "AKIANOBODYKNOWS0"))[0] == "InvalidClientTokenId"
    assert refused(sts, by=client(sts, secret="wrong"))[0] == "SignatureDoesNotMatch"
    stolen = client(sts, keys["AccessKeyId"], keys["SecretAccessKey"], "another-token")
    assert refused(sts, by=stolen)[0] == "InvalidClientTokenId"


def test_a_key_can_be_revoked_and_another_added(sts: FakeSts) -> None:
    sts.add_key("AKIAANOTHERKEY00", "another", user="alice")
    sts.revoke(SOURCE_KEY)
    assert refused(sts)[0] == "InvalidClientTokenId"
    assert client(sts, "AKIAANOTHERKEY00", "another").get_caller_identity()["Arn"].endswith(":user/alice")


@pytest.mark.parametrize(("offset", "words"), [(1200, "Signature expired: "), (-1200, "Signature not yet current: ")])
def test_a_clock_that_is_a_quarter_of_an_hour_wrong_cannot_sign(sts: FakeSts, offset: int, words: str) -> None:
    sts.rule("*", clock_offset=offset)
    code, status, message = refused(sts)
    assert (code, status) == ("SignatureDoesNotMatch", 403)
    assert message.startswith(words)


def test_date_and_expiration_follow_the_servers_clock(sts: FakeSts) -> None:
    sts.rule("*", clock_offset=-600)
    began = datetime.now(UTC) - timedelta(seconds=600)
    answer = assume(sts, DurationSeconds=900)
    date = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    assert began - timedelta(seconds=1) < date <= datetime.now(UTC) - timedelta(seconds=600)
    assert 899 <= (answer["Credentials"]["Expiration"] - date).total_seconds() <= 900


def test_a_missing_or_wrong_external_id_is_denied(sts: FakeSts) -> None:
    sts.rule(ROLE, external_id="MyApp-42")
    assert refused(sts)[0] == "AccessDenied"
    assert refused(sts, ExternalId="guess")[0] == "AccessDenied"
    assert assume(sts, ExternalId="MyApp-42")["Credentials"]


def test_durations_are_limited_with_the_messages_of_aws(sts: FakeSts) -> None:
    sts.rule(ROLE, max_session_duration=3600)
    chained = by(sts, assume(sts))
    assert refused(sts, DurationSeconds=60)[0] == "ValidationError"
    assert refused(sts, OTHER, DurationSeconds=43201)[0] == "ValidationError"
    assert refused(sts, DurationSeconds=3601)[2] == (
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    )
    assert refused(sts, OTHER, DurationSeconds=3601, by=chained)[2] == (
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
    )
    assert assume(sts, OTHER, DurationSeconds=3600, by=chained)["Credentials"]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"RoleSessionName": "a b"}, "ValidationError"),
        ({"RoleSessionName": "x" * 65}, "ValidationError"),
        ({"Policy": "{"}, "MalformedPolicyDocument"),
        ({"Policy": " " * 2049}, "ValidationError"),
    ],
)
def test_invalid_requests_are_refused(sts: FakeSts, wrong: dict[str, str], code: str) -> None:
    with pytest.raises(failures.ClientError) as caught:
        client(sts).assume_role(**{"RoleArn": ROLE, "RoleSessionName": "natan"} | wrong)
    assert caught.value.response["Error"]["Code"] == code


def test_a_web_identity_needs_a_valid_token_and_no_signature(sts: FakeSts) -> None:
    sts.web_tokens.add("good")
    ask = client(sts).assume_role_with_web_identity
    assert ask(RoleArn=ROLE, RoleSessionName="natan", WebIdentityToken="good")["Credentials"]
    with pytest.raises(failures.ClientError, match="InvalidIdentityToken"):
        ask(RoleArn=ROLE, RoleSessionName="natan", WebIdentityToken="bad")
    assert [call.access_key_id for call in sts.calls] == [None, None]


def test_an_mfa_code_works_once_and_its_session_may_assume_the_role(sts: FakeSts) -> None:
    sts.rule(ROLE, mfa=True)
    sts.mfa_codes.add("123456")
    assert refused(sts)[0] == "AccessDenied"
    device = {"SerialNumber": "arn:aws:iam::123456789012:mfa/natan", "TokenCode": "123456"}
    login = client(sts).get_session_token(**device)
    assert assume(sts, by=by(sts, login))["Credentials"]
    assert "invalid MFA one time pass code" in refused(sts, **device)[2]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("hang", failures.ReadTimeoutError),
        ("reset", failures.ConnectionClosedError),
        ("half", ResponseParserError),  # whose text repeats the body, including secrets
        ("garbage", KeyError),  # botocore finds no AssumeRoleResult in HTML, and raises no error of its own
    ],
)
def test_connection_faults_look_real_to_a_client(sts: FakeSts, fault: str, error: type[Exception]) -> None:
    sts.rule(ROLE, fault=fault, times=1)
    with pytest.raises(error):
        assume(sts, by=client(sts, patience=1 if fault == "hang" else 60))
    assert [call.outcome for call in sts.calls] == [fault]
    assert assume(sts)["Credentials"]


def test_an_outage_refuses_connections_and_ends_on_the_same_port(sts: FakeSts) -> None:
    same = client(sts)
    assume(sts, by=same)
    sts.outage(on=True)
    with pytest.raises(failures.EndpointConnectionError):
        assume(sts, by=same)
    sts.outage(on=False)
    assert assume(sts, by=same)["Credentials"]


def test_ten_clients_at_once_are_answered_at_once(sts: FakeSts) -> None:
    sts.rule("*", latency=1.0)
    shared = client(sts)
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda _: assume(sts, by=shared), range(10)))
    assert max(call.in_flight for call in sts.calls) == sts.peak_in_flight == 10


def test_a_simulated_clock_decides_expiry() -> None:
    now = [time.time()]
    with FakeSts(clock=lambda: now[0]) as sts:
        sts.rule("*", session_seconds=600)
        session = by(sts, assume(sts))
        now[0] += 590
        assert session.get_caller_identity()
        now[0] += 10
        with pytest.raises(failures.ClientError, match="ExpiredToken"):
            session.get_caller_identity()


def test_it_runs_as_a_program_for_benchmarks() -> None:
    script = Path(__file__).resolve().parents[1] / "world" / "fake_sts.py"
    with subprocess.Popen(
        [sys.executable, script, "--session-seconds", "60"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        facts = json.loads(process.stdout.readline())
        mine = shared_session().client(
            "sts",
            endpoint_url=facts["url"],
            aws_access_key_id=facts["access_key_id"],
            aws_secret_access_key=facts["secret_access_key"],
        )
        mine.assume_role(RoleArn=ROLE, RoleSessionName="natan")
        with urllib.request.urlopen(f"{facts['url']}/_calls") as answer:  # noqa: S310
            assert json.load(answer)["ok"] == 1
        process.terminate()
        assert process.wait(60) == 0
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(facts["url"])  # noqa: S310
