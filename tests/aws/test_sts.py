"""AssumeRole over real HTTP: what is asked, how long the answer lives, and what comes of answers that are none."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from assumed import __version__
from assumed.aws.sts import Pacer, assume
from assumed.clock import SystemClock
from assumed.errors import RenewalFailed
from assumed.model import FailureKind, Instant
from aws.kit import Home, arn, order, role
from world.fake_sts import FakeSts
from world.sts_words import iso

from .test_sources import STATIC


@pytest.fixture(autouse=True)
def _source(aws: Home) -> None:
    aws.credentials.write_text(STATIC)


def refused(aws: Home, **facts: object) -> RenewalFailed:
    with pytest.raises(RenewalFailed) as raised:
        aws.assume(role(**facts))
    return raised.value


def test_every_parameter_of_the_role_arrives(sts: FakeSts, aws: Home) -> None:
    aws.assume(
        role(
            external_id="MyApp-42",
            role_session_name="natan@laptop",
            duration_seconds=1800,
            policy='{"Version":"2012-10-17","Statement":[]}',
            policy_arns=("arn:aws:iam::aws:policy/ReadOnlyAccess", "arn:aws:iam::aws:policy/Second"),
            tags=(("team", "data & co"), ("cost center", "4/2")),
            transitive_tag_keys=("team",),
            source_identity="natan",
        )
    )

    sent = sts.calls_for(arn("my-role"))[0].params
    assert {name: value for name, value in sent.items() if name not in ("Action", "Version")} == {
        "RoleArn": arn("my-role"),
        "RoleSessionName": "natan@laptop",
        "DurationSeconds": "1800",
        "ExternalId": "MyApp-42",
        "Policy": '{"Version":"2012-10-17","Statement":[]}',
        "PolicyArns.member.1.arn": "arn:aws:iam::aws:policy/ReadOnlyAccess",
        "PolicyArns.member.2.arn": "arn:aws:iam::aws:policy/Second",
        "Tags.member.1.Key": "team",
        "Tags.member.1.Value": "data & co",
        "Tags.member.2.Key": "cost center",
        "Tags.member.2.Value": "4/2",
        "TransitiveTagKeys.member.1": "team",
        "SourceIdentity": "natan",
    }


def test_what_a_role_does_not_set_is_not_sent(sts: FakeSts, aws: Home) -> None:
    aws.assume(role())

    sent = sts.calls_for(arn("my-role"))[0].params
    assert set(sent) - {"Action", "Version"} == {"RoleArn", "RoleSessionName", "DurationSeconds"}


@pytest.mark.parametrize("offset", [-800.0, 0.0, 800.0])
def test_a_session_lives_as_long_as_it_was_asked_for_whatever_our_clock_says(
    sts: FakeSts, aws: Home, offset: float
) -> None:
    """A clock that is slow would add its error to the life, one that is fast would take it away."""
    sts.rule("*", clock_offset=offset)
    began = time.time()

    answer = aws.assume(role(duration_seconds=900))

    assert answer.session.life == pytest.approx(900, abs=2)
    took = time.time() - began
    assert answer.offset == pytest.approx(offset, abs=2 + took)
    assert answer.session.issued_at == pytest.approx(began + offset, abs=2 + took)


@pytest.mark.parametrize(("granted", "life"), [(60, 60), (7200, 3600)])
def test_the_shorter_of_what_was_asked_and_what_was_granted_counts(
    sts: FakeSts, aws: Home, granted: float, life: float
) -> None:
    sts.rule("*", session_seconds=granted)

    assert aws.assume(role()).session.life == pytest.approx(life, abs=2)


def test_a_length_that_the_role_does_not_allow_is_asked_for_once_more_at_an_hour(sts: FakeSts, aws: Home) -> None:
    sts.rule("*", max_session_duration=3600)

    answer = aws.assume(role(duration_seconds=43200))

    assert answer.capped
    assert answer.session.life == pytest.approx(3600, abs=2)
    assert [call.duration for call in sts.calls] == [43200, 3600]


def test_a_length_that_a_chain_does_not_allow_is_asked_for_once_more_at_an_hour(sts: FakeSts, aws: Home) -> None:
    hub = aws.assume(role("hub")).session
    child = role("child", source_profile="hub", parent="hub", duration_seconds=7200)

    answer = assume(aws.client(child, hub, root=role("hub")), order(child), SystemClock().now)

    assert answer.capped
    assert [call.duration for call in sts.calls_for(arn("child"))] == [7200, 3600]


def test_a_refusal_after_the_second_question_is_the_answer(sts: FakeSts, aws: Home) -> None:
    sts.rule("*", max_session_duration=900)

    failure = refused(aws, duration_seconds=7200)

    assert failure.kind is FailureKind.MISCONFIGURED
    assert [call.duration for call in sts.calls] == [7200, 3600]


def test_other_refusals_are_not_asked_twice(sts: FakeSts, aws: Home) -> None:
    sts.rule("*", error="ValidationError")

    refused(aws, duration_seconds=7200)

    assert len(sts.calls) == 1


def test_a_wrong_clock_is_told_with_its_size(sts: FakeSts, aws: Home) -> None:
    sts.rule("*", clock_offset=1800)

    failure = refused(aws)

    assert failure.kind is FailureKind.CLOCK
    assert failure.offset == pytest.approx(1800, abs=3)
    assert "s behind AWS's" in failure.advice


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("reset", FailureKind.TRANSIENT), ("half", FailureKind.TRANSIENT), ("garbage", FailureKind.TRANSIENT)],
)
def test_an_answer_that_is_none_is_asked_for_again(sts: FakeSts, aws: Home, fault: str, kind: FailureKind) -> None:
    sts.rule("*", fault=fault, times=1)

    failure = refused(aws)

    assert failure.kind is kind
    assert len(sts.calls) == 1, "our own plan is the one that tries again"


def test_no_server_at_all_is_the_networks_fault(sts: FakeSts, aws: Home) -> None:
    sts.outage(True)

    failure = refused(aws)

    assert failure.kind is FailureKind.UNREACHABLE
    assert "network" in failure.advice
    assert failure.offset is None


def test_a_session_that_has_already_ended_is_not_handed_on(sts: FakeSts, aws: Home) -> None:
    sts.rule("*", session_seconds=-5)

    assert "already expired" in refused(aws).message


class Canned(ThreadingHTTPServer):
    """An HTTP server that says the one thing it was told to."""

    body = b""
    headers: tuple[tuple[str, str], ...] = ()


class _Handler(BaseHTTPRequestHandler):
    server: Canned

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response_only(200)
        for name, value in (*self.server.headers, ("Content-Length", str(len(self.server.body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def canned(monkeypatch: pytest.MonkeyPatch) -> Iterator[Canned]:
    with Canned(("127.0.0.1", 0), _Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{server.server_port}")
        yield server
        server.shutdown()
        thread.join()


WHOLE = {
    "AccessKeyId": "ASIATEST00000000",
    "SecretAccessKey": "secret",
    "SessionToken": "token",
    "Expiration": iso(time.time() + 3600),
}


def answer(credentials: dict[str, str], user: str = f"<Arn>{arn('my-role')}</Arn>") -> bytes:
    keys = "".join(f"<{name}>{value}</{name}>" for name, value in credentials.items())
    content = f"<Credentials>{keys}</Credentials><AssumedRoleUser>{user}</AssumedRoleUser>"
    return f"<AssumeRoleResponse><AssumeRoleResult>{content}</AssumeRoleResult></AssumeRoleResponse>".encode()


@pytest.mark.parametrize(
    "date", [None, "", "yesterday", "Mon, 99 Foo 2026 99:99:99 GMT", "Mon, 01 Jan 99999 00:00:00 GMT"]
)
def test_without_a_date_that_can_be_read_our_own_clock_serves(canned: Canned, aws: Home, date: str | None) -> None:
    canned.body = answer(WHOLE)
    canned.headers = () if date is None else (("Date", date),)
    began = time.time()

    found = aws.assume(role(duration_seconds=900))

    assert found.session.life == 900
    assert began - 1 <= found.session.issued_at <= time.time()
    assert found.offset is None


@pytest.mark.parametrize("missing", WHOLE)
def test_half_a_set_of_credentials_is_none(canned: Canned, aws: Home, missing: str) -> None:
    canned.body = answer({name: value for name, value in WHOLE.items() if name != missing})

    failure = refused(aws)

    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "BadAnswer")


BROKEN = {
    "nothing": b"",
    "nonsense": b"\x00\xff\xfe",
    "a page": b"<html><body>Sign in</body></html>",
    "JSON": b'{"AccessKeyId": "x"}',
    "another answer": b"<ErrorResponse><Error><Code>X</Code></Error></ErrorResponse>",
    "no result": b"<AssumeRoleResponse></AssumeRoleResponse>",
    "a key twice": answer({**WHOLE, "SecretAccessKey": "a</SecretAccessKey><SecretAccessKey>b"}),
    "elements in a token": answer({**WHOLE, "SessionToken": "<x>token</x>"}),
    "a bad date": answer({**WHOLE, "Expiration": "tomorrow at noon"}),
    "an empty date": answer({**WHOLE, "Expiration": ""}),
    "a huge date": answer({**WHOLE, "Expiration": "99999-01-01T00:00:00Z"}),
    "a number out of this world": answer({**WHOLE, "Expiration": "1" + "0" * 30}),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_no_answer_of_sts_is_told_apart_from_a_fault_of_ours(canned: Canned, aws: Home, what: str) -> None:
    canned.body = BROKEN[what]

    failure = refused(aws)

    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "BadAnswer")
    assert "ASIATEST" not in failure.message


@pytest.mark.parametrize("user", ["", "<Arn></Arn>"])
def test_a_server_that_names_no_principal_gives_a_session_of_none(canned: Canned, aws: Home, user: str) -> None:
    """MinIO's STS leaves the ARN empty."""
    canned.body = answer(WHOLE, user)

    assert aws.assume(role()).session.principal_arn == ""


@pytest.mark.parametrize(
    "form",
    [
        "%Y-%m-%dT%H:%M:%SZ",
        "%Y-%m-%dT%H:%M:%S.123Z",
        "%Y-%m-%dT%H:%M:%S.123456789Z",
        "%Y-%m-%dT%H:%M:%S+00:00",
        "%Y-%m-%dT%H:%M:%S",
        "%Y%m%dT%H%M%SZ",
        "%a, %d %b %Y %H:%M:%S GMT",
        "%s",
        "%s.5",
    ],
)
def test_an_expiration_in_any_form_is_read_as_botocore_reads_it(canned: Canned, aws: Home, form: str) -> None:
    ends = int(time.time()) + 1800
    instant = datetime.fromtimestamp(ends, UTC).strftime(form.replace("%s", str(ends)))
    canned.body = answer({**WHOLE, "Expiration": instant})

    session = aws.assume(role()).session

    assert session.expiration == pytest.approx(ends, abs=0.6)


@pytest.mark.parametrize("instant", ["2526-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "33000000000"])
def test_an_expiration_beyond_what_was_asked_for_is_not_believed(canned: Canned, aws: Home, instant: str) -> None:
    canned.body = answer({**WHOLE, "Expiration": instant})

    session = aws.assume(role(duration_seconds=900)).session

    assert session.expiration == session.issued_at + 900


def test_sts_is_told_who_asks(sts: FakeSts, aws: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what CloudTrail shows of a call: our version, botocore's, and the application that somebody has named."""
    monkeypatch.setenv("AWS_SDK_UA_APP_ID", "data\njobs")
    assert aws.resolve(role()) is None
    client, sent = aws.client(role()), []
    client.meta.events.register("before-send.sts.AssumeRole", lambda request, **_: sent.append(request))

    assume(client, order(role()), SystemClock().now)

    agent = sent[0].headers["User-Agent"].decode()
    assert agent.startswith(f"assumed/{__version__} Botocore/")
    assert agent.endswith(" app/data-jobs")


def test_a_token_file_that_cannot_be_read_is_the_issuers_fault(sts: FakeSts, aws: Home) -> None:
    failure = refused(aws, web_identity_token_file="/nonexistent/token")

    assert (failure.kind, failure.code) == (FailureKind.SOURCE_DEAD, "TokenFile")
    assert "/nonexistent/token" in failure.message
    assert sts.calls == []


def test_a_token_file_that_is_no_text_is_the_issuers_fault(sts: FakeSts, aws: Home) -> None:
    (aws.path / "token").write_bytes(b"\xff\xfe\x00")

    assert refused(aws, web_identity_token_file=str(aws.path / "token")).code == "TokenFile"


def test_no_source_is_called_more_often_than_the_pacer_allows() -> None:
    pacer = Pacer(calls=3, seconds=0.2)
    began = time.monotonic()

    for _ in range(7):
        pacer.wait("a")

    assert time.monotonic() - began >= 0.4


def test_a_source_does_not_wait_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    pacer = Pacer(calls=1, seconds=600)

    for source in ("a", "a", "b"):
        pacer.wait(source)

    assert len(waits) == 1, "the second call of a"


def test_the_repr_of_what_came_shows_no_secret(sts: FakeSts, aws: Home) -> None:
    answer_ = aws.assume(role())

    text = repr(answer_) + repr(aws.sources._sources["profile:source"].keys)

    assert [secret for secret in sts.secrets() if secret in text] == []
    assert isinstance(answer_.session.received, Instant)
