"""Unencrypted endpoints are reported, and no process of ours writes its TLS keys to a file."""

from __future__ import annotations

import http.server
import json
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

pytestmark = pytest.mark.slow
"""Minor faults, tried only in the proof."""

ROLE = "arn:aws:iam::123456789012:role/MyRole"
OFF = ["http://sts.example.invalid", "http://10.11.12.13:4566", "http://192.168.1.5", "http://127.example.invalid"]
ON = ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "http://sts.localhost:1", "https://10.11.12.13"]


def warnings(home: Home, **environment: str) -> str:
    """The warnings of `check` as one text."""
    findings = json.loads(home.assumed("check", "--json", **environment).stdout)["findings"]
    return "\n".join(f"{one['subject']} {one['message']}" for one in findings if one["severity"] == "warning")


@pytest.mark.parametrize("endpoint", OFF)
def test_an_unencrypted_endpoint_is_a_finding(aws_home: Home, endpoint: str) -> None:
    """Off this machine, including private networks."""
    aws_home.configure(role("mine", ROLE))

    assert endpoint in warnings(aws_home, AWS_ENDPOINT_URL_STS=endpoint)

    aws_home.aws_config.write_text(f"[default]\nendpoint_url = {endpoint}\n")
    assert endpoint in warnings(aws_home)


@pytest.mark.parametrize("endpoint", ON)
def test_an_endpoint_on_this_machine_or_with_tls_has_no_finding(aws_home: Home, endpoint: str) -> None:
    aws_home.configure(role("mine", ROLE))

    assert endpoint not in warnings(aws_home, AWS_ENDPOINT_URL_STS=endpoint)


def test_the_daemon_warns_about_an_unencrypted_endpoint_once(aws_home: Home, sts: FakeSts) -> None:
    """Not each time it resolves its sources."""
    aws_home.configure(role("mine", ROLE))
    aws_home.add_source("AKIAOTHER00000000000", "x" * 40, "other")
    aws_home.aws_config.write_text(f"[default]\nendpoint_url = {OFF[0]}\n")
    with Daemon(aws_home) as daemon:
        eventually(lambda: daemon.events("endpoint.unencrypted"), within=30)
        aws_home.aws_config.write_text(f"[default]\nendpoint_url = {OFF[0]}\nregion = eu-west-1\n")
        eventually(lambda: daemon.events("source.changed"), within=60)
        assert len(daemon.events("endpoint.unencrypted")) == 1


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """A TLS server that refuses everything: its URL, its certificate, and the requests it received."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    served: list[str] = []

    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            served.append(self.path)
            self.send_error(503)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}", certificate, served
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("command", [["once"], ["env", "mine"], ["exec", "mine", "--", "true"]], ids=lambda c: c[0])
def test_no_command_writes_its_tls_keys_to_a_file(
    aws_home: Home, tls: tuple[str, Path, list[str]], command: list[str]
) -> None:
    """The variable is for programs being debugged; set in a shell profile, it would apply to ours, too."""
    aws_home.configure(role("mine", ROLE))
    url, certificate, served = tls
    keys = aws_home.path / "keys"

    done = aws_home.assumed(
        *command, within=50, AWS_ENDPOINT_URL_STS=url, AWS_CA_BUNDLE=str(certificate), SSLKEYLOGFILE=str(keys)
    )

    assert done.returncode == 1
    assert served, "the server has been reached over TLS"
    assert not keys.exists()


def test_the_child_of_exec_keeps_the_variable(aws_home: Home, sts: FakeSts) -> None:
    """It may be the program being debugged."""
    aws_home.configure(role("mine", ROLE))
    show = [sys.executable, "-c", "import os; print(os.environ['SSLKEYLOGFILE'])"]

    done = aws_home.assumed("exec", "mine", "--", *show, AWS_ENDPOINT_URL_STS=sts.url, SSLKEYLOGFILE="/tmp/keys")

    assert done.stdout == "/tmp/keys\n"
