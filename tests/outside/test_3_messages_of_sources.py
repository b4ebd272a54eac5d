"""Messages about failing sources say what is responsible and what to do, not the name of an exception."""

from __future__ import annotations

import shlex
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from world.daemon import Daemon, Home, role
from world.fake_login import PAGE, FakeLogin, Reply, refusal
from world.fake_sts import FakeSts

ARN = "arn:aws:iam::123456789012:role/r"
SELF_SIGNED = "openssl req -x509 -newkey rsa:2048 -nodes -days 30"


@pytest.fixture
def login(sts: FakeSts, aws_home: Home) -> Iterator[FakeLogin]:
    """A login to a portal whose sessions the STS knows."""
    key = sts.add_session("ASIAFAKEPORTAL00", "fake-secret-of-the-portal", "fake-token-of-the-portal")
    with FakeLogin(key.access_key_id, key.secret_access_key, str(key.session_token)) as login:
        login.configure(aws_home.aws_config)
        login.sign_in(aws_home.path)
        aws_home.configure(role("a", ARN, source_profile="sso"))
        yield login


def said(home: Home, sts: FakeSts, **environment: str) -> dict[str, Any]:
    """What a daemon says about its first role after it has failed."""
    with Daemon(home, **{"AWS_ENDPOINT_URL_STS": sts.url, **environment}) as daemon:
        document = daemon.wait_until(lambda status: status["roles"][0]["last_error"], 45)
        return dict(document["roles"][0])


def words(of: dict[str, Any]) -> str:
    return " ".join(of["last_error"].values())


DAMAGED = {"empty": "", "half": '{"accessTok', "no object": "5", "null": "null", "no expiry": '{"accessToken": "a"}'}


@pytest.mark.parametrize("how", DAMAGED)
def test_a_damaged_login_names_its_file_and_asks_for_a_login(
    login: FakeLogin, aws_home: Home, sts: FakeSts, how: str
) -> None:
    """Not a hash, and not a Python exception."""
    cache = login.write_cache(aws_home.path, DAMAGED[how])

    seen = said(aws_home, sts, **login.environment)

    assert seen["state"] == "needs_login"
    assert str(cache) in words(seen)
    assert "aws sso login --profile sso" in words(seen)
    assert "KeyError" not in words(seen)


PORTAL: dict[str, tuple[Reply, str, str]] = {
    "no access": (refusal(403, "ForbiddenException", "No access"), "failing", "permission set Developer"),
    "no such account": (refusal(404, "ResourceNotFoundException", "x"), "failing", "permission set Developer"),
    "a captive portal": (PAGE, "failing", "captive portal"),
    "a proxy's page": (Reply(503, "<html>blocked</html>", "text/html"), "failing", "proxy"),
    "a redirect": (Reply(302, "", "text/html"), "failing", "captive portal"),
    "too many": (refusal(429, "TooManyRequestsException", "HTTP 429 Unknown Code"), "failing", "429"),
    "out of order": (refusal(503), "failing", "503"),
    "a fault": (refusal(500, "InternalServerException", "x"), "failing", "500"),
    "revoked": (refusal(401, "UnauthorizedException", "Session token not found"), "needs_login", "aws sso login"),
}


@pytest.mark.parametrize("how", PORTAL)
def test_errors_of_the_portal_are_explained(login: FakeLogin, aws_home: Home, sts: FakeSts, how: str) -> None:
    """The administrator, the network, AWS, or a person who must log in."""
    login.portal, state, means = PORTAL[how]

    seen = said(aws_home, sts, **login.environment)

    assert means in words(seen)
    assert seen["state"] == state
    assert "mend profile" not in words(seen)
    assert "KeyError" not in words(seen)


REFRESH: dict[str, tuple[Reply, str]] = {
    "a fault": (Reply(500, '{"error": "server_error"}'), "failing"),
    "out of order": (refusal(503), "failing"),
    "too many": (refusal(429, "SlowDownException", error="slow_down"), "failing"),
    "a captive portal": (PAGE, "failing"),
    "revoked": (
        refusal(400, "InvalidGrantException", error="invalid_grant", error_description="Invalid refresh token"),
        "needs_login",
    ),
    "registration over": (refusal(401, "InvalidClientException", error="invalid_client"), "needs_login"),
}


@pytest.mark.parametrize("how", REFRESH)
def test_a_login_is_requested_only_if_logging_in_can_help(
    login: FakeLogin, aws_home: Home, sts: FakeSts, how: str
) -> None:
    """If the refresh token is valid, a server error is transient."""
    login.sign_in(aws_home.path, seconds=-60)
    login.oidc, state = REFRESH[how]

    seen = said(aws_home, sts, **login.environment)

    assert seen["state"] == state
    assert ("aws sso login" in words(seen)) is (state == "needs_login")


@pytest.mark.parametrize("seconds", [3600, 600, -60], ids=["good", "soon over", "over"])
def test_a_valid_login_signs(login: FakeLogin, aws_home: Home, sts: FakeSts, seconds: float) -> None:
    """Refreshed when due. Control."""
    login.sign_in(aws_home.path, seconds=seconds)
    with Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url, **login.environment) as daemon:
        daemon.wait_until_fresh("a", within=45)
    assert ("oidc" in login.calls) is (seconds < 900)


def test_a_new_login_is_noticed_and_nothing_is_requested_before(
    login: FakeLogin, aws_home: Home, sts: FakeSts, daemon: Daemon
) -> None:
    """One call for a revoked login, then none until someone logs in."""
    login.portal = refusal(401, "UnauthorizedException", "Session token not found or invalid")
    daemon._environment.update(login.environment)
    daemon.start().wait_until(lambda status: status["roles"][0]["state"] == "needs_login", 45)
    asked = len(login.calls)
    assert daemon.role("a")["next_renewal"] is None
    login.portal = None
    login.sign_in(aws_home.path)
    daemon.wait_until_fresh("a", within=45)
    assert asked == 1


# -- TLS, tokens, partitions ----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key beside it."""
    directory = tmp_path_factory.mktemp("tls")
    made = subprocess.run(
        shlex.split(
            f"{SELF_SIGNED} -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem"
        ),
        cwd=directory,
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("no openssl")
    return directory / "cert.pem"


@pytest.fixture
def https(certificate: Path) -> Iterator[str]:
    """An STS over TLS that refuses everything."""

    class Refuses(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            body = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
            self.send_response(403)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refuses)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("bundle", ["missing", "empty", "no certificates", "of another CA"])
@pytest.mark.parametrize("setting", ["AWS_CA_BUNDLE", "ca_bundle"])
def test_a_wrong_ca_bundle_is_named(aws_home: Home, sts: FakeSts, https: str, bundle: str, setting: str) -> None:
    """Not the network."""
    file = aws_home.path / "bundle.pem"
    if bundle == "of another CA":
        made = shlex.split(f"{SELF_SIGNED} -subj /CN=other -keyout /dev/null")
        other = subprocess.run(made, capture_output=True, check=True)
        file.write_bytes(other.stdout)
    elif bundle != "missing":
        file.write_text("no certificate\n" * (bundle != "empty"))
    environment = {"AWS_ENDPOINT_URL_STS": https}
    if setting == "ca_bundle":
        aws_home.aws_config.write_text(f"[default]\nca_bundle = {file}\n")
    else:
        environment["AWS_CA_BUNDLE"] = str(file)
    aws_home.configure(role("a", ARN))

    seen = said(aws_home, sts, **environment)

    assert str(file) in words(seen)
    assert "check the network" not in words(seen)


def test_a_correct_ca_bundle_works(aws_home: Home, sts: FakeSts, https: str, certificate: Path) -> None:
    """STS is reached, and denies. Control."""
    aws_home.configure(role("a", ARN))

    seen = said(aws_home, sts, AWS_ENDPOINT_URL_STS=https, AWS_CA_BUNDLE=str(certificate))

    assert seen["last_error"]["code"] == "AccessDenied"


@pytest.mark.parametrize("content", ["", "\n", "  \n\n"], ids=["empty", "a newline", "blanks"])
@pytest.mark.parametrize("where", ["role", "source profile"])
def test_an_empty_web_identity_token_file_is_named_with_its_issuer(
    aws_home: Home, sts: FakeSts, content: str, where: str
) -> None:
    """The configuration is not at fault."""
    token = aws_home.path / "token"
    token.write_text(content)
    sts.web_tokens.add("a-good-token")
    if where == "role":
        defaults = '[defaults]\nregion = "us-west-2"\n'
        aws_home.configure(role("a", ARN, web_identity_token_file=str(token)), defaults=defaults)
    else:
        aws_home.aws_config.write_text(f"[profile web]\nrole_arn = {ARN}\nweb_identity_token_file = {token}\n")
        aws_home.configure(role("a", ARN, source_profile="web"))

    seen = said(aws_home, sts)

    assert f"{token} is empty" in words(seen)
    assert "issuer" in words(seen)
    assert "correct the role" not in words(seen)


PARTITIONS = [
    ("aws-us-gov", "us-east-1", "InvalidClientTokenId"),
    ("aws-us-gov", "us-east-1", "AccessDenied"),
    ("aws-us-gov", "us-east-1", "ValidationError"),
    ("aws-cn", "us-west-2", "InvalidClientTokenId"),
    ("aws", "us-gov-west-1", "InvalidClientTokenId"),
    ("aws", "cn-north-1", "InvalidClientTokenId"),
]


@pytest.mark.parametrize(("partition", "region", "refused"), PARTITIONS)
def test_a_region_of_another_partition_is_reported_as_the_cause(
    aws_home: Home, sts: FakeSts, partition: str, region: str, refused: str
) -> None:
    """The keys are not mistyped; they belong to another partition."""
    arn = ARN.replace("arn:aws:", f"arn:{partition}:")
    sts.rule(arn, error=refused)
    aws_home.configure(role("a", arn, region=region))

    seen = said(aws_home, sts)

    assert f"partition {partition}" in words(seen)
    assert region in words(seen)
    assert "mistyped" not in words(seen)


@pytest.mark.parametrize("where", ["variable", "profile"])
def test_a_missing_fips_endpoint_is_reported_with_its_setting(
    login: FakeLogin, aws_home: Home, sts: FakeSts, where: str
) -> None:
    """Its name does not resolve, but the network is not at fault."""
    environment = {"AWS_ENDPOINT_URL_SSO_OIDC": login.environment["AWS_ENDPOINT_URL_SSO_OIDC"], "AWS_MAX_ATTEMPTS": "1"}
    if where == "variable":
        environment["AWS_USE_FIPS_ENDPOINT"] = "true"
    else:
        text = aws_home.aws_config.read_text()
        aws_home.aws_config.write_text(text.replace("[profile sso]\n", "[profile sso]\nuse_fips_endpoint = true\n"))
    environment["HTTPS_PROXY"] = ""

    seen = said(aws_home, sts, **environment)

    assert "FIPS" in words(seen)
    assert "check the network" not in words(seen)
