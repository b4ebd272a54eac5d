"""The front and the embedded AWS, with real clients: expired sessions and wrong external IDs are refused."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from botocore.auth import BaseSigner, HmacV1QueryAuth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from assumed.demo import aws
from assumed.demo.aws import WalkThrough, embedded_aws
from assumed.demo.front import Front


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Front, WalkThrough]]:
    with embedded_aws() as (front, facts):
        yield front, facts


@pytest.fixture
def front(world: tuple[Front, WalkThrough]) -> Front:
    world[0].clip_seconds = None
    return world[0]


@pytest.fixture
def facts(world: tuple[Front, WalkThrough]) -> WalkThrough:
    return world[1]


def client_of(service: str, facts: WalkThrough, key: aws.AccessKey) -> Any:
    return aws.client(
        facts.endpoint, service, aws_access_key_id=key.access_key_id, aws_secret_access_key=key.secret_access_key
    )


def client_in(service: str, facts: WalkThrough, answer: dict[str, Any]) -> Any:
    keys = answer["Credentials"]
    return aws.client(
        facts.endpoint,
        service,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )


def assume(facts: WalkThrough, **more: Any) -> dict[str, Any]:
    asked = {"RoleArn": facts.my_role, "RoleSessionName": facts.session_name, "ExternalId": facts.external_id} | more
    answer: dict[str, Any] = client_of("sts", facts, facts.natan).assume_role(**asked)
    return answer


def wait_out(answer: dict[str, Any]) -> None:
    time.sleep(max(0.0, answer["Credentials"]["Expiration"].timestamp() - time.time()))


def test_a_clipped_session_expires_at_a_whole_second(front: Front, facts: WalkThrough) -> None:
    front.clip_seconds = 20
    answer = assume(facts)
    date = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    end = answer["Credentials"]["Expiration"]
    assert end.microsecond == 0
    assert 19 <= (end - date).total_seconds() <= 20
    assert front.ledger.issued[answer["Credentials"]["AccessKeyId"]].expiration == end.timestamp()


def test_an_unclipped_session_has_the_requested_duration(front: Front, facts: WalkThrough) -> None:
    began = datetime.now(UTC)
    end = assume(facts, DurationSeconds=900)["Credentials"]["Expiration"]
    assert end.microsecond == 0
    assert began + timedelta(seconds=898) <= end <= datetime.now(UTC) + timedelta(seconds=900)


def test_s3_and_sts_refuse_an_expired_session_each_in_its_own_form(front: Front, facts: WalkThrough) -> None:
    front.clip_seconds = 1
    answer = assume(facts)
    s3, sts = client_in("s3", facts, answer), client_in("sts", facts, answer)
    listing = {"Bucket": facts.bucket}
    presigned = s3.generate_presigned_url("list_objects_v2", listing)
    wait_out(answer)
    with pytest.raises(ClientError) as by_s3:
        s3.list_objects_v2(**listing)
    with pytest.raises(ClientError) as by_sts:
        sts.get_caller_identity()
    with pytest.raises(urllib.error.HTTPError) as by_url:
        urllib.request.urlopen(presigned)  # noqa: S310
    by_url.value.close()
    assert by_s3.value.response["Error"]["Message"] == "The provided token has expired."
    assert by_sts.value.response["Error"]["Message"] == "The security token included in the request is expired"
    seen = [(e.value.response["Error"]["Code"], status(e.value)) for e in (by_s3, by_sts)]
    assert seen == [("ExpiredToken", 400), ("ExpiredToken", 403)]
    assert by_url.value.code == 400


def status(error: ClientError) -> int:
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


def test_the_session_may_read_the_bucket_and_nothing_else(front: Front, facts: WalkThrough) -> None:
    s3 = client_in("s3", facts, assume(facts))
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=facts.bucket)["Contents"]] == [facts.key]
    assert s3.get_object(Bucket=facts.bucket, Key=facts.key)["Body"].read() == b"kept fresh\n"
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket=facts.bucket, Key="mine", Body=b"x" * 100_000)
    assert s3.head_object(Bucket=facts.bucket, Key=facts.key)["ContentLength"] == len(b"kept fresh\n")


@pytest.mark.parametrize("external_id", [None, "guess"])
def test_a_missing_or_wrong_external_id_is_denied(front: Front, facts: WalkThrough, external_id: str | None) -> None:
    asked = {"RoleArn": facts.my_role, "RoleSessionName": "natan"}
    if external_id:
        asked["ExternalId"] = external_id
    with pytest.raises(ClientError) as refused:
        client_of("sts", facts, facts.natan).assume_role(**asked)
    assert status(refused.value) == 403
    assert refused.value.response["Error"] == {
        "Type": "Sender",
        "Code": "AccessDenied",
        "Message": "User: arn:aws:iam::123456789012:user/natan is not authorized to perform: sts:AssumeRole "
        f"on resource: {facts.my_role}",
    }


def test_a_role_without_an_external_id_condition_needs_none(front: Front, facts: WalkThrough) -> None:
    answer = client_of("sts", facts, facts.natan).assume_role(RoleArn=facts.reports_role, RoleSessionName="natan")
    assert answer["AssumedRoleUser"]["Arn"].endswith("assumed-role/Reports/natan")


def test_a_user_in_no_group_is_denied_with_the_name_of_the_role(front: Front, facts: WalkThrough) -> None:
    with pytest.raises(ClientError, match=f"user/mallory is not authorized.* on resource: {facts.my_role}"):
        client_of("sts", facts, facts.mallory).assume_role(
            RoleArn=facts.my_role, RoleSessionName="mallory", ExternalId=facts.external_id
        )


def test_only_the_first_role_can_assume_archive(front: Front, facts: WalkThrough) -> None:
    chained = {"RoleArn": facts.archive_role, "RoleSessionName": "natan"}
    with pytest.raises(ClientError, match="AccessDenied"):
        client_of("sts", facts, facts.natan).assume_role(**chained)
    assert client_in("sts", facts, assume(facts)).assume_role(**chained)["Credentials"]


def test_requests_are_recorded_with_key_and_role_and_without_secrets(front: Front, facts: WalkThrough) -> None:
    before = len(front.records)
    answer = assume(facts)
    keys = answer["Credentials"]
    client_in("s3", facts, answer).list_objects_v2(Bucket=facts.bucket)
    first, second = front.records[before:]
    assert (first.service, first.operation, first.access_key_id) == ("sts", "AssumeRole", facts.natan.access_key_id)
    assert (first.role_arn, first.session_name, first.status) == (facts.my_role, "natan", 200)
    assert first.issued == keys["AccessKeyId"] == second.access_key_id
    assert (second.service, second.operation, second.status, second.error) == ("s3", "ListObjectsV2", 200, None)
    text = repr(front.records) + repr(front.ledger)
    secrets = (keys["SecretAccessKey"], keys["SessionToken"], facts.natan.secret_access_key)
    assert not [secret for secret in secrets if secret in text]


@pytest.mark.parametrize("signer", [lambda keys: S3SigV4QueryAuth(keys, "s3", aws.REGION, 60), HmacV1QueryAuth])
def test_a_presigned_request_is_recorded_with_its_key(
    front: Front, facts: WalkThrough, signer: Callable[[Credentials], BaseSigner]
) -> None:
    keys = assume(facts)["Credentials"]
    request = AWSRequest("GET", f"{front.url}/{facts.bucket}?list-type=2")
    signer(Credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])).add_auth(request)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(str(request.url))  # noqa: S310  (moto answers no presigned URL once IAM is enforced)
    refused.value.close()
    assert (front.records[-1].access_key_id, front.records[-1].service) == (keys["AccessKeyId"], "s3")


def test_a_chunked_body_arrives_whole(front: Front) -> None:
    host, port = front.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port))
    chunks = iter([b"Action=Get", b"CallerIdentity&", b"Version=2011-06-15"])
    form = {"Content-Type": "application/x-www-form-urlencoded", "Transfer-Encoding": "chunked"}
    connection.request("POST", "/", chunks, form, encode_chunked=True)
    connection.getresponse().read()
    connection.close()
    assert front.records[-1].operation == "GetCallerIdentity"


def test_an_unreachable_upstream_is_a_502() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with Front(f"http://127.0.0.1:{unused.getsockname()[1]}") as front:
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(front.url)  # noqa: S310
            with refused.value as answer:
                assert (answer.code, b"the server behind the front" in answer.read()) == (502, True)


def test_stopping_leaves_no_thread_and_no_port() -> None:
    before = set(threading.enumerate())
    front = Front("http://127.0.0.1:9").start()
    host, port = front.url.removeprefix("http://").split(":")
    with contextlib.closing(http.client.HTTPConnection(host, int(port))) as client:
        client.request("GET", "/")
        client.getresponse().read()
        front.stop()
        assert set(threading.enumerate()) <= before  # threads of the module's own front may end meanwhile
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))


def test_a_port_that_is_taken_is_an_error() -> None:
    with Front("http://127.0.0.1:9") as first, pytest.raises(OSError, match="in use"):
        Front("http://127.0.0.1:9", port=int(first.url.rpartition(":")[2])).start()


def test_without_moto_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(aws.MotoMissing, match=r"pip install 'assumed\[demo\]'"):
        aws.Moto().start()
