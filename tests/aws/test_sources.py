"""Sources of every kind, by botocore's own chain: what they give, and in which words they fail."""

from __future__ import annotations

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from assumed.aws.client import new_session
from assumed.aws.sts import assume
from assumed.clock import SystemClock
from assumed.errors import RenewalFailed
from assumed.model import FailureKind
from aws.kit import Home, arn, keys_of, order, role
from world.fake_sts import SOURCE_KEY, SOURCE_SECRET, FakeSts
from world.waiting import eventually

STATIC = f"[source]\naws_access_key_id = {SOURCE_KEY}\naws_secret_access_key = {SOURCE_SECRET}\n"
KEYS = {"Version": 1, "AccessKeyId": SOURCE_KEY, "SecretAccessKey": SOURCE_SECRET}
CANARY = "canary-of-a-helper-4711"


def signer(sts: FakeSts, name: str = "my-role") -> str | None:
    """The key that signed the last request for a role."""
    return sts.calls_for(arn(name))[-1].access_key_id


def test_static_keys_sign(sts: FakeSts, aws: Home) -> None:
    aws.credentials.write_text(STATIC)

    answer = aws.assume(role())

    assert answer.session.principal_arn.startswith("arn:aws:sts::123456789012:assumed-role/my-role/")
    assert signer(sts) == SOURCE_KEY


def test_a_session_in_a_profile_signs_with_its_token(sts: FakeSts, aws: Home) -> None:
    aws.credentials.write_text(STATIC)
    session = aws.assume(role("first")).session
    aws.credentials.write_text(
        f"[source]\naws_access_key_id = {session.access_key_id}\n"
        f"aws_secret_access_key = {session.secret_access_key}\naws_session_token = {session.session_token}\n"
    )
    aws.sources.forget("profile:source")

    aws.assume(role())

    assert signer(sts) == session.access_key_id


@pytest.mark.parametrize("where", ["credentials", "config"])
def test_a_helper_program_signs(sts: FakeSts, aws: Home, where: str) -> None:
    line = f"credential_process = {aws.prints(KEYS)}\n"
    (aws.credentials if where == "credentials" else aws.config).write_text(
        f"[source]\n{line}" if where == "credentials" else f"[profile source]\n{line}"
    )

    aws.assume(role())

    assert signer(sts) == SOURCE_KEY


def test_a_role_above_the_source_is_assumed_by_botocore_itself(sts: FakeSts, aws: Home) -> None:
    aws.credentials.write_text(STATIC.replace("[source]", "[base]"))
    aws.config.write_text(f"[profile source]\nrole_arn = {arn('hub')}\nsource_profile = base\nregion = us-west-2\n")

    aws.assume(role())

    assert signer(sts, "hub") == SOURCE_KEY
    assert ":assumed-role/hub/" in sts.key(signer(sts) or "").arn


def test_a_role_above_the_source_may_be_signed_for_by_a_helper_program(sts: FakeSts, aws: Home) -> None:
    aws.config.write_text(
        f"[profile source]\nrole_arn = {arn('hub')}\nsource_profile = base\nregion = us-west-2\n"
        f"[profile base]\ncredential_process = {aws.prints(KEYS)}\n"
    )

    aws.assume(role())

    assert signer(sts, "hub") == SOURCE_KEY


def test_a_refused_role_above_the_source_is_said_with_its_code(sts: FakeSts, aws: Home) -> None:
    sts.rule(arn("hub"), error="AccessDenied")
    aws.credentials.write_text(STATIC.replace("[source]", "[base]"))
    aws.config.write_text(f"[profile source]\nrole_arn = {arn('hub')}\nsource_profile = base\nregion = us-west-2\n")

    failure = aws.refusal(role())

    assert (failure.kind, failure.code) == (FailureKind.SOURCE_DEAD, "AccessDenied")
    assert "role/hub" in failure.message


def test_a_web_identity_profile_brings_its_own_token(sts: FakeSts, aws: Home) -> None:
    token = aws.path / "token"
    token.write_text("a-token")
    aws.config.write_text(
        f"[profile source]\nrole_arn = {arn('web')}\nweb_identity_token_file = {token}\nregion = us-west-2\n"
    )

    aws.assume(role())

    assert sts.calls_for(arn("web"))[0].params["WebIdentityToken"] == "a-token"


def test_a_web_identity_role_needs_no_profile_and_signs_nothing(sts: FakeSts, aws: Home) -> None:
    token = aws.path / "token"
    token.write_text("a-token\n")
    pod = role("pod", web_identity_token_file=str(token))

    aws.assume(pod)
    token.write_text("the-next-token\n")
    aws.assume(pod)

    calls = sts.calls_for(arn("pod"))
    assert [call.params["WebIdentityToken"] for call in calls] == ["a-token", "the-next-token"]
    assert {call.access_key_id for call in calls} == {None}


def test_a_web_identity_role_does_not_start_the_helper_of_the_default_profile(sts: FakeSts, aws: Home) -> None:
    """It signs nothing, so nobody's password manager is to be woken for it."""
    started = aws.path / "started"
    aws.config.write_text(f"[default]\ncredential_process = {aws.helper('h', f'open({str(started)!r}, chr(119))')}\n")
    token = aws.path / "token"
    token.write_text("a-token")

    aws.assume(role("pod", web_identity_token_file=str(token)))

    assert not started.exists()


FAILING: dict[str, tuple[str, FailureKind, str, str]] = {
    "ends with an error": ("import sys; print('{0}', file=sys.stderr); sys.exit(3)", FailureKind.SOURCE_DEAD,
                           "HelperFailed", "ended with status 3"),
    "says bytes and ends": ("import os; os.write(2, b'\\xff{0}'); os._exit(1)", FailureKind.SOURCE_DEAD,
                            "HelperFailed", "ended with status 1"),
    "is killed": ("import os; os.kill(os.getpid(), 9)", FailureKind.SOURCE_DEAD, "HelperFailed", "status -9"),
    "prints no JSON": ("print('password {0}')", FailureKind.SOURCE_DEAD, "HelperOutput", "did not print the JSON"),
    "prints a list": ("print('[\"{0}\"]')", FailureKind.SOURCE_DEAD, "HelperOutput", "did not print the JSON"),
    "prints nothing": ("", FailureKind.SOURCE_DEAD, "HelperOutput", "did not print the JSON"),
    "asks for a password": ("input('Password: ')", FailureKind.SOURCE_DEAD, "HelperFailed", "ended with status 1"),
    "leaves the secret out": ("print('{{\"Version\":1,\"AccessKeyId\":\"{0}\"}}')", FailureKind.SOURCE_DEAD,
                              "CredentialRetrievalError", "SecretAccessKey"),
}  # fmt: skip


@pytest.mark.parametrize("how", FAILING)
def test_a_helper_that_fails_is_told_in_our_words_and_never_in_its_own(aws: Home, how: str) -> None:
    program, kind, code, words = FAILING[how]
    aws.config.write_text(f"[profile source]\ncredential_process = {aws.helper('h', program.format(CANARY))}\n")

    failure = aws.refusal(role())

    assert (failure.kind, failure.code) == (kind, code)
    assert words in failure.message
    assert "profile:source" in failure.message
    assert "source" in failure.advice
    assert CANARY not in f"{failure.message} {failure.advice} {failure!r}"


def test_a_helper_with_a_relative_path_is_looked_for_where_the_daemon_is(aws: Home) -> None:
    aws.config.write_text("[profile source]\ncredential_process = ./no-such-helper\n")

    failure = aws.refusal(role())

    assert failure.kind is FailureKind.SOURCE_DEAD
    assert "./no-such-helper" in failure.message


def test_an_open_quote_in_a_command_is_a_failure_like_any_other(aws: Home) -> None:
    aws.config.write_text('[profile source]\ncredential_process = helper "oh\n')

    assert "quotation" in aws.refusal(role()).message


SECTIONS: dict[str, tuple[str, FailureKind, str, str]] = {
    "is missing": ("[profile other]\nregion = r\n", FailureKind.SOURCE_DEAD, "ProfileNotFound", "--profile source"),
    "has only a region": ("[profile source]\nregion = r\n", FailureKind.SOURCE_DEAD, "NoCredentials",
                          "aws configure --profile source"),
    "has half a pair": ("[profile source]\naws_access_key_id = AKIA1\n", FailureKind.SOURCE_DEAD,
                        "PartialCredentialsError", "profile source"),
    "has to log in": (("[profile source]\nsso_start_url = https://s.example\nsso_region = r\nsso_account_id = 1\n"
                      "sso_role_name = n\n"), FailureKind.NEEDS_LOGIN, "SSOTokenLoadError",
                      "aws sso login --profile source"),
    "asks for a code": ((f"[profile source]\nrole_arn = {arn('hub')}\nsource_profile = base\n"
                        "mfa_serial = arn:aws:iam::123456789012:mfa/natan\nregion = r\n"
                        f"[profile base]\naws_access_key_id = {SOURCE_KEY}\naws_secret_access_key = x\n"),
                        FailureKind.NEEDS_LOGIN, "MFARequired", "as another profile, base-mfa"),
    "leads in a circle": ((f"[profile source]\nrole_arn = {arn('a')}\nsource_profile = b\n"
                          f"[profile b]\nrole_arn = {arn('b')}\nsource_profile = source\n"),
                          FailureKind.SOURCE_DEAD, "InfiniteLoopConfigError", "profile source"),
}  # fmt: skip


@pytest.mark.parametrize("how", SECTIONS)
def test_a_profile_that_cannot_sign_says_why_and_what_to_do(
    aws: Home, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never with the identity of the shell or of the machine instead: that would sign as somebody else."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIASOMEBODYELSE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-somebody-else")
    config, kind, code, advice = SECTIONS[how]
    aws.config.write_text(config)

    failure = aws.refusal(role())

    assert (failure.kind, failure.code) == (kind, code)
    assert advice in failure.advice


def test_a_profile_whose_code_we_did_not_see_is_not_asked_for_it_either(aws: Home) -> None:
    """The files may have changed since they were looked at; botocore itself would ask on the terminal."""
    aws.config.write_text(SECTIONS["asks for a code"][0])

    assert aws.sources.resolve(role(), None)
    failure = aws.answers.get(timeout=60).failure

    assert failure is not None
    assert (failure.kind, failure.code) == (FailureKind.NEEDS_LOGIN, "MFARequired")
    assert "mfa/natan" in failure.message


def test_without_a_region_the_missing_key_is_named(sts: FakeSts, aws: Home) -> None:
    """An endpoint of one's own has to be signed for by region; AWS's global one has its own."""
    aws.credentials.write_text(STATIC)

    with pytest.raises(RenewalFailed, match="no region for profile:source") as raised:
        aws.assume(role(region=None))

    assert raised.value.kind is FailureKind.MISCONFIGURED
    assert 'region = "us-east-1"' in raised.value.advice


def test_the_environment_is_the_one_that_the_daemon_was_started_in(sts: FakeSts, home: Path) -> None:
    aws = Home(home, inherited={"AWS_ACCESS_KEY_ID": SOURCE_KEY, "AWS_SECRET_ACCESS_KEY": SOURCE_SECRET})

    aws.assume(role(credential_source="Environment"))

    assert signer(sts) == SOURCE_KEY


def test_an_environment_without_keys_is_not_made_up_for_by_todays(aws: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIALATER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "later")

    assert aws.refusal(role(credential_source="Environment")).code == "NoCredentials"


@pytest.mark.parametrize(
    ("status", "failure"), [(200, None), (500, FailureKind.SOURCE_DEAD)], ids=["answers", "is broken"]
)
def test_a_container_offers_its_credentials_over_http(
    sts: FakeSts, aws: Home, monkeypatch: pytest.MonkeyPatch, status: int, failure: FailureKind | None
) -> None:
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)  # between botocore's own tries

    class Container(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = (
                f'{{"AccessKeyId": "{SOURCE_KEY}", "SecretAccessKey": "{SOURCE_SECRET}", "Token": null, '
                '"Expiration": "2096-01-01T00:00:00Z"}'
            ).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Container) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{server.server_port}/creds")
        found = aws.resolve(role(credential_source="EcsContainer"))
        server.shutdown()
        thread.join()

    assert (found.kind if found else None) == failure
    if failure is None:
        assert aws.client(role(credential_source="EcsContainer"))


def test_rotated_keys_sign_once_the_source_has_been_forgotten(sts: FakeSts, aws: Home) -> None:
    aws.credentials.write_text(STATIC)
    aws.assume(role())
    new = sts.add_key("AKIAFAKESOURCE01", "another-secret")
    aws.credentials.write_text(STATIC.replace(SOURCE_KEY, new.access_key_id).replace(SOURCE_SECRET, "another-secret"))
    assert aws.files.look([role()]) == {"profile:source"}
    aws.sources.forget("profile:source")

    aws.assume(role())

    assert signer(sts) == new.access_key_id


def test_a_mended_secret_of_the_same_key_signs(sts: FakeSts, aws: Home) -> None:
    aws.credentials.write_text(STATIC.replace(SOURCE_SECRET, "mistyped"))
    assert aws.resolve(role()) is None
    before = aws.client(role())
    aws.credentials.write_text(STATIC)
    aws.sources.forget("profile:source")

    aws.assume(role())

    assert aws.client(role()).boto is not before.boto


def test_one_client_serves_all_sources_with_the_same_settings(sts: FakeSts, aws: Home) -> None:
    """By each its own keys; another region or another setting of the profile is another client."""
    other = sts.add_key("AKIAFAKESOURCE01", "another-secret")
    aws.credentials.write_text(STATIC + keys_of("other", other.access_key_id, other.secret_access_key))
    aws.config.write_text("[profile odd]\nuse_dualstack_endpoint = true\n" + "[profile other]\noutput = json\n")
    aws.credentials.write_text(aws.credentials.read_text() + keys_of("odd", SOURCE_KEY, SOURCE_SECRET))
    one, two, odd = role("a"), role("b", source_profile="other"), role("c", source_profile="odd")
    aws.assume(one)
    aws.assume(two)
    assert aws.resolve(odd) is None

    clients = [aws.client(r).boto for r in (one, two)]

    assert clients[0] is clients[1]
    assert [signer(sts, "a"), signer(sts, "b")] == [SOURCE_KEY, other.access_key_id]
    assert aws.client(odd).boto is not clients[0]
    assert aws.client(role("d", region="eu-west-1")).boto is not clients[0]


def test_the_session_of_a_parent_signs_by_the_same_client(sts: FakeSts, aws: Home) -> None:
    aws.credentials.write_text(STATIC)
    hub = role("hub")
    child = role("child", source_profile="hub", parent="hub")
    session = aws.assume(hub).session

    client = aws.client(child, session, root=hub)
    assume(client, order(child), SystemClock().now)

    assert client.boto is aws.client(hub).boto
    assert signer(sts, "child") == session.access_key_id


def test_clients_are_handed_out_and_forgotten_by_ten_threads_at_once(sts: FakeSts, aws: Home) -> None:
    """Each call gives a client that works, or says that the source has just changed."""
    aws.credentials.write_text(STATIC)
    assert aws.resolve(role()) is None
    end, odd = time.monotonic() + 0.6, list[BaseException]()

    def use(number: int) -> None:
        mine = role(region=f"eu-west-{number % 3 + 1}")
        while time.monotonic() < end:
            try:
                if number == 0:
                    aws.sources.forget("profile:source")
                    aws.sources.resolve(mine, None)
                elif aws.sources.ready(mine):
                    aws.client(mine).meta.region_name  # noqa: B018
            except Exception as error:  # noqa: BLE001
                if getattr(error, "code", "") != "SourceChanged":
                    odd.append(error)

    threads = [threading.Thread(target=use, args=[number]) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert odd == []
    eventually(lambda: aws.sources.ready(role()), 5)


@pytest.mark.parametrize("leader", ["stays", "leaves"])
def test_a_hanging_helper_and_its_children_end_at_the_deadline_which_is_told_once(home: Path, leader: str) -> None:
    """A helper that has left a child behind which still holds its output is waited for just the same."""
    aws = Home(home)
    impatient = role(helper_timeout_seconds=2)
    pids = home / "pids"
    program = (
        "import os, time\n"
        "child = os.fork()\n"
        f"open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
        f"child and {leader == 'leaves'} and os._exit(0)\n"
        "time.sleep(600)\n"
    )
    aws.config.write_text(f"[profile source]\ncredential_process = {aws.helper('h', program)}\n")

    failure = aws.refusal(impatient)

    assert (failure.kind, failure.code) == (FailureKind.NEEDS_LOGIN, "HelperTimeout")
    assert len(pids.read_text().split()) == 2
    for pid in pids.read_text().split():
        eventually(lambda pid=pid: not _alive(int(pid)), 5, saying=f"the end of {pid}")
    eventually(lambda: not [t for t in threading.enumerate() if t.name == "source profile:source"], 5)
    assert aws.answers.empty()


@pytest.mark.parametrize("kind", [threading.Thread, threading.Timer], ids=["its own", "the deadline's"])
def test_without_a_thread_to_be_had_the_source_fails_and_is_asked_again(
    aws: Home, sts: FakeSts, monkeypatch: pytest.MonkeyPatch, kind: type[threading.Thread]
) -> None:
    """The limit is the user's, not ours alone: a big build of his must not end the daemon."""
    aws.config.write_text(f"[profile source]\ncredential_process = {aws.prints(KEYS)}\n")
    real = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if type(thread) is kind:
            raise RuntimeError("can't start new thread")
        real(thread)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert "can't start new thread" in aws.refusal(role()).message

    assert aws.assume(role()).session.access_key_id


def test_after_a_deadline_the_source_is_asked_again(home: Path, sts: FakeSts) -> None:
    aws = Home(home)
    flag = home / "unlocked"
    program = f"import os, time\nos.path.exists({str(flag)!r}) or time.sleep(600)\nprint({json.dumps(KEYS)!r})"
    aws.config.write_text(f"[profile source]\ncredential_process = {aws.helper('h', program)}\n")
    assert aws.refusal(role(helper_timeout_seconds=0.5)).code == "HelperTimeout"
    flag.touch()
    eventually(lambda: not aws.sources._sources["profile:source"].attempt.running, 5)  # type: ignore[union-attr]

    aws.assume(role())

    assert signer(sts) == SOURCE_KEY


def test_a_source_that_changes_while_its_helper_hangs_is_not_kept_waiting(aws: Home, sts: FakeSts) -> None:
    """The helper of the old settings is killed, and what becomes of it is nobody's failure."""
    aws.config.write_text(f"[profile source]\ncredential_process = {aws.helper('h', 'import time; time.sleep(600)')}\n")
    aws.files.look([role()])
    assert aws.sources.resolve(role(), None)
    assert not aws.sources.resolve(role(), None), "one at a time each"
    eventually(lambda: aws.sources._sources["profile:source"].attempt.chain, 5)  # type: ignore[union-attr]
    eventually(lambda: aws.sources._sources["profile:source"].attempt.chain._helpers, 5)  # type: ignore[union-attr]
    aws.config.write_text("")
    aws.credentials.write_text(STATIC)
    aws.sources.forget("profile:source")

    assert not aws.sources.is_current(aws.answers.get(timeout=60))
    aws.assume(role())

    assert signer(sts) == SOURCE_KEY


def test_the_end_of_the_daemon_takes_a_hanging_helper_along(aws: Home) -> None:
    pid = aws.path / "pid"
    program = f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    aws.config.write_text(f"[profile source]\ncredential_process = {aws.helper('h', program)}\n")
    aws.sources.resolve(role(), None)
    number = int(eventually(lambda: pid.exists() and pid.read_text(), 5))

    aws.sources.close()

    eventually(lambda: not _alive(number), 5)


def test_keys_that_come_are_told_so_that_no_log_prints_them(aws: Home) -> None:
    aws.credentials.write_text(STATIC)

    aws.resolve(role())

    assert aws.learned == [("profile:source", SOURCE_SECRET)]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:  # a zombie whose parent has not looked yet has ended, too
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return not Path("/proc/self").exists()


def test_the_aws_files_are_read_once_for_all_sessions_until_they_change(aws: Home) -> None:
    aws.credentials.write_text(STATIC)
    one, other = (new_session(role(), aws.credentials, None) for _ in range(2))
    before = one.full_config

    assert other.full_config is before
    aws.credentials.write_text(STATIC + "region = eu-west-1\n")
    assert one.full_config["profiles"]["source"]["region"] == "eu-west-1"
