"""What a service captures of a shell's environment."""

from __future__ import annotations

import pytest

from assumed.aws import variables as aws_variables
from assumed.aws.variables import SHELL_VARIABLES

CAPTURED = [
    *("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CA_BUNDLE"),
    *("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_USE_FIPS_ENDPOINT"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "AWS_EC2_METADATA_DISABLED"),
]
LEFT = [
    *SHELL_VARIABLES,
    *("AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_PAGER", "HOME", "PATH"),
    *("PYTHONPATH", "LD_PRELOAD", "ASSUMED_LOG_LEVEL", "XDG_RUNTIME_DIR", "AWS_BEARER_TOKEN_BEDROCK"),
]


def test_it_captures_what_leads_to_aws() -> None:
    environ = dict.fromkeys(CAPTURED, "x")
    assert aws_variables.carried({**environ, **dict.fromkeys(LEFT, "y")}) == environ


@pytest.mark.parametrize("name", LEFT)
def test_it_captures_no_credential_and_nothing_of_the_shells_own(name: str) -> None:
    assert aws_variables.carried({name: "x"}) == {}


def test_what_is_set_to_nothing_is_not_set() -> None:
    assert aws_variables.carried({"AWS_REGION": "", "HTTP_PROXY": ""}) == {}


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("https_proxy", "http://bob:s3cret@proxy:3128", "http://[hidden]@proxy:3128"),
        ("HTTPS_PROXY", "http://bob:a/b@c@proxy:3128", "http://[hidden]@proxy:3128"),
        ("ALL_PROXY", "bob:s3cret@proxy:3128", "[hidden]@proxy:3128"),
        ("ALL_PROXY", "socks5h://bob:s3cret@proxy", "socks5h://[hidden]@proxy"),
        ("AWS_ENDPOINT_URL_STS", "https://u:p@sts.example/", "https://[hidden]@sts.example/"),
        ("AWS_ENDPOINT_URL", "https://aws.example/x?token=s3cret&a=b", "https://aws.example/x?[hidden]"),
        ("HTTPS_PROXY", "http://bob:s3c?ret@proxy:3128", "http://[hidden]@proxy:3128"),
        ("HTTP_PROXY", "http://proxy:3128", "http://proxy:3128"),
        ("AWS_CONFIG_FILE", "/home/a@b/config", "/home/a@b/config"),
        ("AWS_REGION", "eu-central-1", "eu-central-1"),
    ],
)
def test_a_password_in_a_url_is_not_shown(name: str, value: str, shown: str) -> None:
    assert aws_variables.shown(name, value) == shown
