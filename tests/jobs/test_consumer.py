"""What a consumer of the endpoint finds around it: no other credentials, and everything else as it was."""

from __future__ import annotations

import pytest
from botocore.configloader import raw_config_parse

from assumed.aws.variables import OTHER_CREDENTIALS
from assumed.jobs.consumer import CREDENTIALS, configuration, environment

AROUND = {
    "url": "http://127.0.0.1:1/role/a",
    "token": "t",
    "token_file": "/t",
    "config_file": "/c",
    "credentials_file": "/k",
}


@pytest.mark.parametrize("name", sorted(OTHER_CREDENTIALS))
def test_variables_with_other_credentials_are_taken_away(name: str) -> None:
    assert environment({name: "other", "PATH": "/bin"}, region=None, **AROUND).get(name, "") != "other"


def test_what_the_files_were_outside_is_told_to_our_own_commands() -> None:
    inner = environment({"AWS_CONFIG_FILE": "/mine"}, region=None, **AROUND)
    assert (inner["AWS_CONFIG_FILE"], inner["ASSUMED_OUTER_AWS_CONFIG_FILE"]) == ("/c", "/mine")
    assert inner["ASSUMED_OUTER_AWS_SHARED_CREDENTIALS_FILE"] == ""


def test_everything_else_stays() -> None:
    outer = {"PATH": "/bin", "AWS_MAX_ATTEMPTS": "9", "AWS_CA_BUNDLE": "/ca"}
    assert outer.items() <= environment(outer, region=None, **AROUND).items()


@pytest.mark.parametrize(
    ("outer", "region"),
    [
        ({}, ("us-west-2", "us-west-2")),
        ({"AWS_REGION": "eu-west-1"}, ("eu-west-1", None)),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, (None, "eu-west-1")),
    ],
)
def test_the_roles_region_is_set_unless_a_person_has_said_another(
    outer: dict[str, str], region: tuple[str | None, str | None]
) -> None:
    inner = environment(outer, region="us-west-2", **AROUND)
    assert (inner.get("AWS_REGION"), inner.get("AWS_DEFAULT_REGION")) == region


@pytest.mark.parametrize(
    ("outer", "no_proxy"),
    [
        ({}, None),
        ({"http_proxy": "http://proxy"}, "127.0.0.1"),
        ({"HTTPS_PROXY": "http://proxy"}, None),
        ({"no_proxy": "intern"}, "intern,127.0.0.1"),
    ],
)
def test_a_proxy_is_not_asked_for_the_endpoint(outer: dict[str, str], no_proxy: str | None) -> None:
    assert environment(outer, region=None, **AROUND).get("no_proxy") == no_proxy


SECTIONS = {
    "default": {"region": "us-east-1", "aws_access_key_id": "AKIATEST", "output": "json"},
    "profile a": {"role_arn": "arn", "source_profile": "default", "region": "eu-west-1", "s3": "\nmax_queue_size = 9"},
    "profile b": {"services": "here", "sso_session": "corp"},
    "services here": {"s3": "\nendpoint_url = http://127.0.0.1:9"},
}


@pytest.mark.parametrize(
    ("profile", "wanted"),
    [
        ("a", {"default": {"region": "eu-west-1", "s3": {"max_queue_size": "9"}}}),
        ("b", {"default": {"services": "here"}, "services here": {"s3": {"endpoint_url": "http://127.0.0.1:9"}}}),
        ("default", {"default": {"region": "us-east-1", "output": "json"}}),
        ("unknown", {"default": {"region": "us-east-1", "output": "json"}}),
    ],
)
def test_the_profiles_settings_become_the_default_without_its_credentials(
    profile: str, wanted: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As botocore reads it."""
    path = tmp_path_factory.mktemp("aws") / "config"
    path.write_text(configuration(SECTIONS.get, profile))
    assert raw_config_parse(str(path)) == wanted


def test_no_key_that_names_credentials_comes_along() -> None:
    everything = dict.fromkeys(sorted(CREDENTIALS), "x")
    assert configuration({"profile a": everything}.get, "a") == "[default]\n"
