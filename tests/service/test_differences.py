"""What differs between a shell and an installed service: said where the roles feel it, and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from assumed.doctor.service import standing
from assumed.service.facts import Choice
from assumed.service.findings import asleep
from assumed.service.found import installed
from assumed.service.manager import Seen, printed
from service.kit import PROXY
from service.mine import ARN, Service
from world.daemon import DEFAULTS, role

NO_REGION = '[defaults]\nsource_profile = "default"\n'


@pytest.fixture
def mine(home: Path) -> Service:
    return Service(home)


def test_the_shell_of_a_developer_is_no_matter(mine: Service) -> None:
    """LocalStack, direnv, a bundle that was named from the project's directory: the service is right as it is."""
    mine.install(AWS_CA_BUNDLE="/srv/project/certs/ca.pem")
    shell = {
        "AWS_ENDPOINT_URL": "http://localhost:4566",
        "AWS_ENDPOINT_URL_S3": "http://s3.localhost.localstack.cloud:4566",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_PROFILE": "my-role",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "~/.aws/config",
        "AWS_SHARED_CREDENTIALS_FILE": str(mine.home.credentials),
        "AWS_CA_BUNDLE": "./certs/ca.pem",
        "SSL_CERT_FILE": "/nix/var/certs.pem",
    }
    assert mine.findings(**shell) == []


@pytest.mark.parametrize(
    ("there", "here", "said"),
    [
        ({}, "http://127.0.0.1:4566", ""),
        ({}, "https://aws.example", "is https://aws.example here, not for the service"),
        ({"AWS_ENDPOINT_URL": "http://aws.example"}, "http://127.0.0.1:1", "but http://aws.example for it"),
        ({"AWS_ENDPOINT_URL_STS": "http://sts.example"}, "http://localhost:4566", ""),
    ],
)
def test_a_stand_in_for_all_of_aws_is_no_matter_to_a_service_of_the_real_one(
    mine: Service, there: dict[str, str], here: str, said: str
) -> None:
    mine.install(**there)
    messages = [finding.message for finding in mine.findings(**{**there, "AWS_ENDPOINT_URL": here})]
    assert len(messages) == bool(said)
    assert all(said in message for message in messages)


def test_a_region_matters_to_roles_that_have_none(mine: Service) -> None:
    """The one that botocore reads."""
    mine.install()
    mine.home.configure(role("my-role", ARN), role("child", f"{ARN}2", source_profile="my-role"), defaults=NO_REGION)
    (finding,) = mine.findings(AWS_DEFAULT_REGION="eu-west-1", AWS_REGION="eu-west-1")
    assert (finding.severity, finding.subject) == ("warning", "$AWS_DEFAULT_REGION")
    mine.home.aws_config.write_text("[default]\nregion = eu-central-1\n")
    assert mine.findings(AWS_DEFAULT_REGION="eu-west-1") == [], "of the source profile"


@pytest.mark.parametrize(
    ("defaults", "aws_config", "matters"),
    [
        ('source_profile = "default"', "", False),
        ('credential_source = "Ec2InstanceMetadata"', "", True),
        ('source_profile = "default"', "role_arn = x\ncredential_source = Ec2InstanceMetadata", True),
    ],
)
def test_ec2s_metadata_matter_to_those_who_ask_for_them(
    mine: Service, defaults: str, aws_config: str, matters: bool
) -> None:
    mine.install()
    mine.home.configure(role("my-role", ARN), defaults=f'[defaults]\nregion = "us-west-2"\n{defaults}\n')
    mine.home.aws_config.write_text(f"[default]\n{aws_config}\n")
    found = mine.findings(AWS_EC2_METADATA_SERVICE_ENDPOINT="http://169.254.169.254")
    assert [finding.subject for finding in found] == ["$AWS_EC2_METADATA_SERVICE_ENDPOINT"] * matters


def test_what_botocore_does_not_read_matters_to_helpers_alone(mine: Service) -> None:
    """A helper of Go takes its certificates from there."""
    mine.install(compiles=True)
    assert mine.findings(SSL_CERT_FILE="/srv/ca.pem") == []
    mine.home.credentials.write_text("[default]\ncredential_process = /usr/bin/helper\n")
    (finding,) = mine.findings(SSL_CERT_FILE="/srv/ca.pem")
    assert finding.subject == "$SSL_CERT_FILE"


def test_where_the_configuration_names_the_file_the_shells_may_be_exported(mine: Service) -> None:
    """As `check` itself advises, for the SDKs."""
    elsewhere = mine.home.path / "keys" / "credentials"
    mine.install()
    (finding,) = mine.findings(AWS_SHARED_CREDENTIALS_FILE=str(elsewhere))
    assert finding.subject == "$AWS_SHARED_CREDENTIALS_FILE"
    mine.install(credentials=elsewhere.parent)
    mine.home.configure(role("my-role", ARN), defaults=f'credentials_file = "{elsewhere}"\n{DEFAULTS}')
    assert mine.findings(AWS_SHARED_CREDENTIALS_FILE=str(elsewhere)) == []


def test_what_the_service_alone_has_is_one_warning_without_a_password(mine: Service) -> None:
    """Installed from a shell with a proxy and another endpoint, looked at by SSH."""
    mine.install(AWS_ENDPOINT_URL_STS="http://sts", AWS_ENDPOINT_URL_S3="http://s3", AWS_REGION="x", HTTPS_PROXY=PROXY)
    (finding,) = mine.findings()
    assert (finding.severity, finding.subject) == ("warning", "assumed.service")
    assert finding.message == (
        "has AWS_ENDPOINT_URL_STS=http://sts and HTTPS_PROXY=http://[hidden]@proxy.example:3128, "
        "which this shell has not"
    )
    assert finding.advice == "to drop one: NAME= assumed service install"


def test_of_a_service_for_another_configuration_that_is_all_there_is_to_say(mine: Service) -> None:
    """It may well not write here, and see other variables: it does not have to."""
    mine.install(ASSUMED_CONFIG="/srv/other.toml")
    mine.home.credentials.symlink_to(mine.home.path / "elsewhere")
    (finding,) = mine.findings(AWS_ENDPOINT_URL_STS="http://sts.example")
    assert finding.message == f"keeps the roles of /srv/other.toml, not those of {mine.home.config}"


@pytest.mark.parametrize("how", ["--config {path}", "--config={path}"])
def test_a_configuration_that_a_unit_names_itself_is_known(mine: Service, how: str) -> None:
    mine.install()
    mine.drop_in(f"ExecStart=\nExecStart={mine.program} {how.format(path='/srv/other.toml')} run")
    (finding,) = mine.findings()
    assert finding.message.startswith("keeps the roles of /srv/other.toml, ")


def test_the_service_of_the_usual_configuration_is_no_measure_for_another(mine: Service) -> None:
    mine.install()
    other = mine.home.path / "other.toml"
    other.write_text(mine.home.config.read_text())
    usual, mine.config_path = mine.home.config, other
    (finding,) = mine.findings()
    assert finding.message == f"keeps the roles of {usual}, not those of {other}"


def test_a_hook_that_the_service_does_not_find_is_said(mine: Service) -> None:
    """In a directory of this shell's PATH alone."""
    tools = mine.home.path / "tools"
    tools.mkdir()
    (tools / "tell-me").write_text("#!/bin/sh\n")
    (tools / "tell-me").chmod(0o755)
    mine.home.configure(role("my-role", ARN), defaults=f'[hooks]\nafter_renewal = "tell-me now"\n{DEFAULTS}')
    here = f"{tools}:{os.environ['PATH']}"
    mine.install(compiles=True)
    (finding,) = mine.findings(PATH=here)
    assert (finding.severity, finding.subject) == ("warning", "hook after_renewal")
    assert finding.message == "tell-me is in $PATH here, not in that of assumed.service"
    mine.install(compiles=True, PATH=here)
    assert mine.findings(PATH=here) == []


def test_a_socket_that_a_private_tmp_hides_is_an_error(mine: Service) -> None:
    """As in a unit by hand, or one from before: no command could reach the service."""
    deep = mine.home.path / "/".join(["a-long-name"] * 9)
    mine.home.configure(role("my-role", ARN), defaults=f'credentials_file = "{deep}/credentials"\n{DEFAULTS}')
    mine.install(credentials=deep)
    (finding,) = mine.findings()
    assert finding.severity == "error"
    assert finding.message == "may not write in /tmp, where the socket by which every command reaches it lies"
    assert "PrivateTmp=no and ReadWritePaths=/tmp" in finding.advice
    mine.drop_in(f"PrivateTmp=yes\nReadWritePaths={mine.program.parent}")
    messages = [finding.message for finding in mine.findings()]
    assert "writes the socket by which every command reaches it into a /tmp of its own, which nobody else sees" in (
        messages
    )
    mine.drop_in("PrivateTmp=no\nReadWritePaths=/tmp")
    assert mine.findings() == []


@pytest.mark.parametrize("sandboxed", [True, False])
def test_a_credentials_file_in_the_home_itself_opens_all_of_it_to_the_service(mine: Service, sandboxed: bool) -> None:
    mine.home.configure(role("my-role", ARN), defaults=f'credentials_file = "~/credentials"\n{DEFAULTS}')
    mine.install(credentials=mine.home.path, sandboxed=sandboxed)
    found = mine.findings()
    assert [finding.severity for finding in found] == ["warning"] * sandboxed
    for finding in found:
        assert finding.message == f"may write in all of {mine.home.path}, for the credentials file lies in it directly"


@pytest.mark.parametrize(
    ("seen", "severity", "message"),
    [
        (Seen(running=True, said="keeps 1 role"), None, ""),
        (Seen(said="inactive"), "warning", "is installed and does not run (inactive)"),
        (Seen(said="failed: exit-code"), "error", "is installed and does not run (failed: exit-code)"),
        (Seen(said="ends again and again (exit status 3)", loops=True), "error", "ends again and again (exit status 3"),
        (printed("x = {\n\tstate = not running\n\tlast exit code = 0\n}\n"), "warning", "is installed and does not"),
        (printed("x = {\n\tstate = spawn scheduled\n\tlast exit code = 2\n}\n"), "error", "is installed and does not"),
    ],
)
def test_a_service_that_does_not_run_is_said(mine: Service, seen: Seen, severity: str | None, message: str) -> None:
    """Stopped by somebody is a warning, ended by itself an error."""
    mine.install()
    service = installed(mine.site, dict)
    assert service is not None
    found = list(standing(service, seen.said, running=seen.running, loops=seen.loops))
    assert [finding.severity for finding in found] == ([severity] if severity else [])
    assert all(finding.message.startswith(message) for finding in found)


def test_an_agent_that_has_been_taken_out_of_launchd_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`launchctl bootout` is how a person stops one: launchd then does not know it."""
    mine = Service(home, "darwin")
    mine.install()
    (home / "launchd").mkdir()
    (home / "bin" / "launchctl").symlink_to(Path(__file__).with_name("launchctl.py"))
    monkeypatch.setenv("LAUNCHD", str(home / "launchd"))
    monkeypatch.setenv("PATH", f"{home}/bin:{os.environ['PATH']}")
    service = installed(mine.site, dict)
    assert service is not None
    (finding,) = asleep([(Choice(None, platform="darwin"), service)])
    assert (finding.severity, finding.subject) == ("warning", "the launchd agent")
    assert (finding.message, finding.advice) == ("is installed and does not run", "assumed service install")
