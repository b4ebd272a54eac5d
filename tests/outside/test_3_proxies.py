"""Passwords of proxies and endpoints are never printed; errors in their URLs are reported."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.inputs import params

ROLE = "arn:aws:iam::123456789012:role/MyRole"
PASSWORD = ("Tr0ub4dor", "hunter22x")
"""The two halves; the characters between them are not percent-encoded."""
REGIONAL = {"AWS_ENDPOINT_URL_STS": "https://sts.proxied.invalid"}
PLAIN = {"AWS_ENDPOINT_URL_STS": "http://sts.proxied.invalid"}


def url(between: str = "", scheme: str = "http://", host: str = "127.0.0.1:9") -> str:
    return f"{scheme}alice:{between.join(PASSWORD)}@{host}"


UNUSABLE = {
    "SOCKS": {"HTTPS_PROXY": url(scheme="socks5://"), **REGIONAL},
    "SOCKS in lower case": {"https_proxy": url(scheme="socks5h://"), **REGIONAL},
    "SOCKS 4 for plain http": {"http_proxy": url(scheme="socks4://"), **PLAIN},
    "an unknown scheme": {"HTTPS_PROXY": url(scheme="ftp://"), **REGIONAL},
    "a #": {"HTTPS_PROXY": url("#"), **REGIONAL},
    "a slash": {"HTTPS_PROXY": url("/"), **REGIONAL},
    "a question mark": {"https_proxy": url("?"), **REGIONAL},
    "a # in a proxy with TLS": {"HTTPS_PROXY": url("#", "https://"), **REGIONAL},
    "a # without a scheme": {"HTTPS_PROXY": url("#", ""), **REGIONAL},
    "a space": {"HTTPS_PROXY": url(" "), **REGIONAL},
    "no host": {"HTTPS_PROXY": f"http://alice:{PASSWORD[0]}", **REGIONAL},
    "a bad port": {"HTTPS_PROXY": url(host="127.0.0.1:port"), **REGIONAL},
    "a letter that is not ASCII": {"HTTPS_PROXY": url("é"), **REGIONAL},
    "an endpoint with a #": {"AWS_ENDPOINT_URL_STS": url("#")},
    "an endpoint with a slash": {"AWS_ENDPOINT_URL": url("/", "https://")},
    "an endpoint with a question mark": {"AWS_ENDPOINT_URL_STS": url("?")},
    "an endpoint with a space": {"AWS_ENDPOINT_URL_STS": url(" ")},
}
UNREACHABLE = {
    "a proxy": {"HTTPS_PROXY": url(), **REGIONAL},
    "an @": {"HTTPS_PROXY": url("@"), **REGIONAL},
    "an escape": {"https_proxy": url("%23"), **REGIONAL},
    "a proxy for plain http": {"http_proxy": url(), **PLAIN},
    "no scheme": {"HTTPS_PROXY": url(scheme=""), **REGIONAL},
    "two slashes alone": {"HTTPS_PROXY": url(scheme="//"), **REGIONAL},
    "a user called like the scheme": {"HTTPS_PROXY": f"http://http:{''.join(PASSWORD)}@127.0.0.1:9", **REGIONAL},
    "an endpoint": {"AWS_ENDPOINT_URL_STS": url()},
    "an endpoint's query": {"AWS_ENDPOINT_URL_STS": f"http://127.0.0.1:9/?token={PASSWORD[0]}"},
    "an endpoint's key": {"AWS_ENDPOINT_URL": f"http://127.0.0.1:9/sts?key={PASSWORD[1]}&x=y"},
}


def leaked(*texts: str) -> list[str]:
    """The lines that hold any part of the password."""
    return [line for text in texts for line in text.splitlines() if any(half in line for half in PASSWORD)]


@pytest.mark.parametrize("environment", params(UNUSABLE, ["SOCKS", "a #", "a bad port", "an endpoint with a slash"]))
def test_the_error_names_the_variable_but_not_the_password(aws_home: Home, environment: dict[str, str]) -> None:
    """`check` reports it, too."""
    aws_home.configure(role("mine", ROLE))

    once, check = (aws_home.assumed(command, **environment) for command in ("once", "check"))

    assert leaked(once.stdout, once.stderr, check.stdout, check.stderr) == []
    assert (once.returncode, check.returncode) == (1, 1)
    (where,) = [name for name in environment if name.lower().endswith("_proxy")] or ["endpoint URL"]
    value = environment.get(where) or next(iter(environment.values()))
    what = "SOCKS" if "socks" in value else "percent-encode" if re.search("[#/? é]h", value) else "expected"
    for said in (once.stderr, check.stdout):
        assert where in said
        assert what in said


@pytest.mark.parametrize("environment", params(UNREACHABLE, ["an @", "an escape", "an endpoint's query"]))
def test_an_unreachable_proxy_is_named_without_its_password(aws_home: Home, environment: dict[str, str]) -> None:
    """botocore's own messages quote the URL."""
    aws_home.configure(role("mine", ROLE))

    once = aws_home.assumed("once", **environment)

    assert once.returncode == 1
    assert leaked(once.stdout, once.stderr) == []


@pytest.mark.parametrize("proxy", ["socks5://alice:x@127.0.0.1:9", "http://alice:x#y@127.0.0.1:9"])
def test_an_unused_proxy_has_no_effect(aws_home: Home, sts: FakeSts, proxy: str) -> None:
    """NO_PROXY excludes this endpoint, and botocore ignores ALL_PROXY."""
    aws_home.configure(role("mine", ROLE))
    environment = {"HTTP_PROXY": proxy, "NO_PROXY": "127.0.0.1", "ALL_PROXY": proxy, "AWS_ENDPOINT_URL_STS": sts.url}

    assert aws_home.assumed("once", **environment).returncode == 0


@pytest.mark.parametrize("environment", params(UNUSABLE | UNREACHABLE, ["SOCKS", "a proxy"]))
def test_a_daemon_prints_no_password(aws_home: Home, tmp_path: Path, environment: dict[str, str]) -> None:
    """Not in its log, in status or to a hook."""
    told = tmp_path / "told"
    hook = json.dumps(["sh", "-c", f"env | grep ^ASSUMED_ >> {told}"])
    aws_home.configure(role("mine", ROLE), f"[hooks]\nafter_failure = {hook}\n")
    with Daemon(aws_home, **environment) as daemon:
        status = daemon.wait_until(lambda status: status["roles"][0]["last_error"], within=60)
        daemon.wait_until(lambda _: told.exists() and "ASSUMED_MESSAGE" in told.read_text(), within=60)
        assert leaked(json.dumps(status), json.dumps(daemon.ask("status")), daemon.stderr, told.read_text()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "endpoint",
    [url(), url("/"), url("#"), f"http://127.0.0.1:9/?token={PASSWORD[0]}"],
    ids=["plain", "/", "#", "query"],
)
def test_a_password_in_an_endpoint_of_the_aws_config_is_not_printed(aws_home: Home, endpoint: str) -> None:
    """Neither by `exec` nor by `once`."""
    aws_home.configure(role("mine", ROLE))
    aws_home.aws_config.write_text(f"[default]\nendpoint_url = {endpoint}\n")

    done = aws_home.assumed("exec", "mine", "--", "true")

    assert done.returncode == 1
    assert leaked(done.stdout, done.stderr) == []
