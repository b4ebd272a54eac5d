"""`check` examines sources without a request: it finds those that can never work, and accepts those that do."""

from __future__ import annotations

import json
import sys

import pytest

from world.daemon import DEFAULTS, Home, role
from world.fake_login import FakeLogin

ARN = "arn:aws:iam::123456789012:role/r"
SSO = "[profile src]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Dev\n"
SESSION = "[sso-session corp]\nsso_start_url = https://corp.example/start\nsso_region = us-west-2\n"
SECRET = "wJalrXUtnFEMIcK7MDENGobPxRfiCYzzzzzzzKEY"
GOOD = f"[src]\naws_access_key_id = AKIAQ3EGRJ4ZBHDKX7UO\naws_secret_access_key = {SECRET}\n"


def errors(home: Home, **environment: str) -> list[str]:
    """The errors of `check` as one text each, and whether its exit status agrees."""
    ran = home.assumed("check", "--json", **environment)
    document = json.loads(ran.stdout)
    assert document["problems"] == []
    found = [
        f"{finding['subject']} {finding['message']} {finding['advice']}"
        for finding in document["findings"]
        if finding["severity"] == "error"
    ]
    assert ran.returncode == (1 if found else 0)
    assert SECRET not in ran.stdout
    return found


PROFILES: dict[str, tuple[str, str, str]] = {
    "its sso-session is missing": (SSO, "", "[sso-session corp]"),
    "its sso-session has another name": (SSO, SESSION.replace("corp]", "corpo]"), "[sso-session corp]"),
    "no sso_region": (SSO + SESSION.replace("sso_region = us-west-2\n", ""), "", "sso_region"),
    "no sso_start_url": (
        SSO + SESSION.replace("sso_start_url = https://corp.example/start\n", ""),
        "",
        "sso_start_url",
    ),
    "no sso_role_name": (SSO.replace("sso_role_name = Dev\n", "") + SESSION, "", "sso_role_name"),
    "an sso_region that does not exist": (SSO + SESSION.replace("us-west-2", "us-west-9"), "", "us-west-9"),
    "nobody has logged in": (SSO + SESSION, "", "aws sso login --profile src"),
    "nobody has logged in, the old way": (
        "[profile src]\nsso_start_url = https://x\nsso_region = us-west-2\nsso_account_id = 1\nsso_role_name = d\n",
        "",
        "aws sso login --profile src",
    ),
    "its own source is missing": (f"[profile src]\nrole_arn = {ARN}\nsource_profile = gone\n", "", "profile gone"),
    "the source of its source is missing": (
        f"[profile src]\nrole_arn = {ARN}\nsource_profile = b\n[profile b]\nrole_arn = {ARN}\nsource_profile = gone\n",
        "",
        "profile gone",
    ),
    "nothing signs for its role": (f"[profile src]\nrole_arn = {ARN}\n", "", "role_arn"),
    "its helper is not in PATH": ("[profile src]\ncredential_process = no-such-helper --x\n", "", "no-such-helper"),
    "its helper is not there": ("[profile src]\ncredential_process = /nowhere/helper\n", "", "/nowhere/helper"),
    "its helper starts with a tilde": ("[profile src]\ncredential_process = ~/bin/helper\n", "", "~/bin/helper"),
    "its helper is in $HOME": ("[profile src]\ncredential_process = $HOME/bin/helper\n", "", "$HOME/bin/helper"),
    "its helper is not executable": ("[profile src]\ncredential_process = /etc/passwd\n", "", "executable"),
    "its helper has an open quote": ('[profile src]\ncredential_process = helper "x\n', "", "quote"),
    "its helper ends in a pipe": (f"[profile src]\ncredential_process = {sys.executable} -V | cat\n", "", "sh -c"),
    "its helper is redirected": (f"[profile src]\ncredential_process = {sys.executable} -V 2>/dev/null\n", "", "sh -c"),
    "its credential_source is misspelled": (
        f"[profile src]\nrole_arn = {ARN}\ncredential_source = Ec2InstanceMetaData\n",
        "",
        "Ec2InstanceMetadata?",
    ),
    "it signs for itself without keys": (f"[profile src]\nrole_arn = {ARN}\nsource_profile = src\n", "", "src -> src"),
    "its source is a loop": (
        f"[profile src]\nrole_arn = {ARN}\nsource_profile = b\n[profile b]\nrole_arn = {ARN}\nsource_profile = src\n",
        "",
        "src -> b -> src",
    ),
    "its token is missing": (
        f"[profile src]\nrole_arn = {ARN}\nweb_identity_token_file = /nowhere/token\n",
        "",
        "/token",
    ),
}


@pytest.mark.parametrize("what", PROFILES)
def test_a_source_that_cannot_work_is_found(aws_home: Home, what: str) -> None:
    """One finding that names what to change."""
    config, more, named = PROFILES[what]
    aws_home.aws_config.write_text(config + more)
    aws_home.configure(role("a", ARN, source_profile="src"))

    found = errors(aws_home)

    assert len(found) == 1
    assert named in found[0]
    assert "src" in found[0]


TYPED = {
    "in quotes": ("AKIAQ3EGRJ4ZBHDKX7UO", '"AKIAQ3EGRJ4ZBHDKX7UO"'),
    "in single quotes": ("AKIAQ3EGRJ4ZBHDKX7UO", "'AKIAQ3EGRJ4ZBHDKX7UO'"),
    "with a comment": ("AKIAQ3EGRJ4ZBHDKX7UO", "AKIAQ3EGRJ4ZBHDKX7UO # laptop"),
    "a placeholder": ("AKIAQ3EGRJ4ZBHDKX7UO", "YOUR_ACCESS_KEY_ID"),
    "another placeholder": ("AKIAQ3EGRJ4ZBHDKX7UO", "<access key>"),
    "the one of the documentation": ("AKIAQ3EGRJ4ZBHDKX7UO", "AKIAIOSFODNN7EXAMPLE"),
    "a secret in quotes": (SECRET, f'"{SECRET}"'),
    "a secret cut off": (SECRET, SECRET[:-3]),
    "a secret with a space": (SECRET, f"{SECRET[:20]} {SECRET[20:]}"),
    "a secret with a comment": (SECRET, f"{SECRET} ; of alice"),
    "a placeholder for a secret": (SECRET, "your-secret-here"),
    "the id in place of the secret": (SECRET, "AKIAQ3EGRJ4ZBHDKX7UO"),
    "a session's without its token": ("AKIAQ3EGRJ4ZBHDKX7UO", "ASIAQ3EGRJ4ZBHDKX7UO"),
}


@pytest.mark.parametrize("how", TYPED)
def test_mistyped_keys_are_found_and_never_printed(aws_home: Home, how: str) -> None:
    """SDKs treat quotes and comments as part of the value."""
    right, wrong = TYPED[how]
    with aws_home.credentials.open("a") as file:
        file.write(GOOD.replace(right, wrong))
    aws_home.configure(role("a", ARN, source_profile="src"))

    found = errors(aws_home)

    assert len(found) == 1
    assert "aws_secret_access_key" in found[0] if right == SECRET else "aws_access_key_id" in found[0]


ELSEWHERE: dict[str, tuple[dict[str, str], dict[str, str], str]] = {
    "a CA bundle that is missing": ({}, {"AWS_CA_BUNDLE": "/nowhere/ca.pem"}, "/nowhere/ca.pem"),
    "a CA bundle without certificates": ({}, {"AWS_CA_BUNDLE": "/etc/hostname"}, "/etc/hostname"),
    "a CA bundle that never ends": ({}, {"AWS_CA_BUNDLE": "/dev/zero"}, "/dev/zero"),
    "another variable for it": ({}, {"REQUESTS_CA_BUNDLE": "/nowhere/ca.pem"}, "/nowhere/ca.pem"),
    "a region that does not exist": ({"region": "us-moon-1"}, {}, "us-moon-1"),
    "a region with a wrong number": ({"region": "eu-west-9"}, {}, "eu-west-9"),
    "a role of GovCloud": ({"role_arn": ARN.replace(":aws:", ":aws-us-gov:")}, {}, "aws-us-gov"),
    "a role of China": ({"role_arn": ARN.replace(":aws:", ":aws-cn:")}, {}, "aws-cn"),
    "a region of China": ({"region": "cn-north-1"}, {}, "aws-cn"),
}


@pytest.mark.parametrize("what", ELSEWHERE)
def test_settings_that_break_every_request_are_found(aws_home: Home, what: str) -> None:
    """CA bundles, regions, partitions."""
    keys, environment, named = ELSEWHERE[what]
    aws_home.configure(role("a", **{"role_arn": ARN, **keys}))

    found = errors(aws_home, **environment)

    assert len(found) == 1
    assert named in found[0]


WORKING = {
    "keys": ("", GOOD),
    "a helper": (f"[profile src]\ncredential_process = {sys.executable} -V\n", ""),
    "a helper in PATH": ("[profile src]\ncredential_process = true\n", ""),
    "a role signed by keys": (f"[profile src]\nrole_arn = {ARN}\nsource_profile = default\n", ""),
    "a role signed by itself": (f"[profile src]\nrole_arn = {ARN}\nsource_profile = src\n", GOOD),
    "a helper that names a shell": ("[profile src]\ncredential_process = sh -c 'true | cat 2>/dev/null'\n", ""),
    "a login": (SSO + SESSION, ""),
}


@pytest.mark.parametrize("what", WORKING)
def test_a_working_source_has_no_finding(aws_home: Home, what: str) -> None:
    """Control."""
    config, credentials = WORKING[what]
    aws_home.aws_config.write_text(config)
    with aws_home.credentials.open("a") as file:
        file.write(credentials)
    FakeLogin("k", "s", "t").sign_in(aws_home.path, seconds=-60)  # over, and refreshed without a person
    aws_home.configure(role("a", ARN, source_profile="src"), defaults=DEFAULTS)

    assert errors(aws_home) == []


OVER = {
    "no refresh token": {"refreshToken": None},
    "a registration that is over": {"registrationExpiresAt": "2020-01-01T00:00:00Z"},
    "no client": {"clientId": None},
}


@pytest.mark.parametrize("how", OVER)
def test_a_login_that_cannot_be_refreshed_is_found(aws_home: Home, how: str) -> None:
    """A person must log in."""
    aws_home.aws_config.write_text(SSO + SESSION)
    FakeLogin("k", "s", "t").sign_in(aws_home.path, seconds=-60, **OVER[how])
    aws_home.configure(role("a", ARN, source_profile="src"))

    found = errors(aws_home)

    assert len(found) == 1
    assert "aws sso login --profile src" in found[0]
