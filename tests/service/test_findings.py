"""What keeps an installed service from working as this shell does: the findings of `assumed check`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assumed.aws.variables import is_carried
from assumed.config import Config, HostFacts, load
from assumed.model import Finding
from assumed.service.choice import Choice
from assumed.service.findings import about, not_running, services, stopped
from assumed.service.manager import Installed, Manager, State, printed
from assumed.service.site import Account, site_of
from service.kit import PROXY
from world.daemon import DEFAULTS, Daemon, Home, role
from world.fake_sts import FakeSts

ARN = "arn:aws:iam::123456789012:role/MyApp"
NO_REGION = '[defaults]\nsource_profile = "default"\n'
HELPER = "[default]\ncredential_process = /usr/bin/helper\n"


class Mine:
    """A service of one's own, and what is found about it in a shell."""

    def __init__(self, home: Path, platform: str = "linux") -> None:
        self.home = Home(home)
        self.home.configure(role("my-role", ARN))
        site = site_of(Account("alice", os.getuid(), os.getgid(), home), platform=platform)
        (home / ".aws").mkdir(mode=0o700)
        aws = (home / ".aws",)
        self.installed = Installed(site, site.file, sys.executable, (sys.executable, "run"), {}, self.home.config, aws)

    def install(self, *, variables: dict[str, str] | None = None, **changes: Any) -> None:
        self.installed = replace(self.installed, variables=variables or {}, **changes)

    @property
    def config(self) -> Config:
        path = self.home.config
        return load(path.read_text(), path, {"HOME": str(self.home.path)}, host=HostFacts("alice", "host"))

    def findings(self, **environ: str) -> list[Finding]:
        """What is found in a shell with these variables."""
        with pytest.MonkeyPatch.context() as shell:
            for name, value in environ.items():
                shell.setenv(name, value)
            return about([(Choice(None, platform="linux"), self.installed)], self.config, None)


@pytest.fixture
def mine(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mine]:
    for name in filter(is_carried, list(os.environ)):  # of whoever runs the tests
        monkeypatch.delenv(name)
    return Mine(home)


def test_a_shell_that_differs_where_no_role_depends_on_it_is_no_finding(mine: Mine) -> None:
    """LocalStack, direnv, a bundle that was named from the project's directory: the service is right as it is."""
    mine.install(variables={"AWS_CA_BUNDLE": "/srv/project/certs/ca.pem"})
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
    ("name", "here", "there", "facts"),
    [
        ("AWS_CONFIG_FILE", "/srv/aws/config", None, ["/srv/aws/config here", "not set"]),
        ("AWS_ENDPOINT_URL_STS", "http://a", "http://b", ["http://a here", "http://b for"]),
        ("AWS_ENDPOINT_URL", "https://aws.example", None, ["https://aws.example here", "not set"]),
        ("https_proxy", PROXY, None, ["[hidden]@proxy.example:3128"]),
    ],
)
def test_a_variable_that_differs_is_a_warning(
    mine: Mine, name: str, here: str, there: str | None, facts: list[str]
) -> None:
    mine.install(variables={name: there} if there else {})
    (finding,) = mine.findings(**{name: here})
    assert (finding.severity, finding.subject) == ("warning", f"${name}")
    assert all(fact in finding.message for fact in facts)
    assert "hunter2" not in finding.message
    assert "assumed service install" in finding.advice


def test_variables_of_the_service_alone_are_one_warning_without_a_password(mine: Mine) -> None:
    mine.install(
        variables={"AWS_ENDPOINT_URL_STS": "http://sts", "AWS_ENDPOINT_URL_S3": "http://s3", "HTTPS_PROXY": PROXY}
    )
    (finding,) = mine.findings()
    assert (finding.severity, finding.subject) == ("warning", "assumed.service")
    assert "AWS_ENDPOINT_URL_STS=http://sts and HTTPS_PROXY=http://[hidden]@proxy.example:3128" in finding.message
    assert "NAME= assumed service install" in finding.advice


def test_a_region_matters_to_roles_that_have_none(mine: Mine) -> None:
    """The variable that botocore reads."""
    mine.home.configure(role("my-role", ARN), role("child", f"{ARN}2", source_profile="my-role"), defaults=NO_REGION)
    (finding,) = mine.findings(AWS_DEFAULT_REGION="eu-west-1", AWS_REGION="eu-west-1")
    assert finding.subject == "$AWS_DEFAULT_REGION"
    mine.home.aws_config.write_text("[default]\nregion = eu-central-1\n")
    assert mine.findings(AWS_DEFAULT_REGION="eu-west-1") == [], "of the source profile"


@pytest.mark.parametrize(
    ("defaults", "aws_config"),
    [
        ('credential_source = "Ec2InstanceMetadata"', ""),
        ('source_profile = "default"', "role_arn = x\ncredential_source = Ec2InstanceMetadata"),
    ],
)
def test_ec2s_metadata_matter_to_sources_that_ask_for_them(mine: Mine, defaults: str, aws_config: str) -> None:
    mine.home.configure(role("my-role", ARN), defaults=f'[defaults]\nregion = "us-west-2"\n{defaults}\n')
    mine.home.aws_config.write_text(f"[default]\n{aws_config}\n")
    found = mine.findings(AWS_EC2_METADATA_SERVICE_ENDPOINT="http://169.254.169.254")
    assert [finding.subject for finding in found] == ["$AWS_EC2_METADATA_SERVICE_ENDPOINT"]


def test_what_botocore_does_not_read_matters_to_helpers(mine: Mine) -> None:
    """A helper in Go takes its certificates from there."""
    mine.home.credentials.write_text(HELPER)
    (finding,) = mine.findings(SSL_CERT_FILE="/srv/ca.pem")
    assert finding.subject == "$SSL_CERT_FILE"


def test_where_the_configuration_names_the_file_the_shells_variable_does_not_matter(mine: Mine) -> None:
    elsewhere = mine.home.path / "keys" / "credentials"
    (finding,) = mine.findings(AWS_SHARED_CREDENTIALS_FILE=str(elsewhere))
    assert finding.subject == "$AWS_SHARED_CREDENTIALS_FILE"
    mine.install(writable=(elsewhere.parent,))
    mine.home.configure(role("my-role", ARN), defaults=f'credentials_file = "{elsewhere}"\n{DEFAULTS}')
    assert mine.findings(AWS_SHARED_CREDENTIALS_FILE=str(elsewhere)) == []


def test_an_environment_that_cannot_be_read_is_not_judged(mine: Mine) -> None:
    mine.installed = replace(mine.installed, variables=None)
    assert mine.findings(AWS_CONFIG_FILE="/srv/aws/config") == []


@pytest.mark.parametrize(
    ("changes", "severity", "fact"),
    [
        ({"program": "/gone/assumed"}, "error", "/gone/assumed, which does not exist"),
        ({"writable": (Path("/elsewhere"),)}, "error", "may not write in {home}/.aws"),
        ({"hidden": (Path("/"),)}, "error", "cannot see {home}/.config/assumed/config.toml"),
        ({"config": Path("/srv/other.toml"), "writable": ()}, "warning", "uses /srv/other.toml, not {home}"),
    ],
)
def test_what_the_service_cannot_reach_is_found(mine: Mine, changes: dict[str, Any], severity: str, fact: str) -> None:
    mine.install(**changes)
    finding = mine.findings()[0]
    assert (finding.severity, finding.subject) == (severity, "assumed.service")
    assert fact.format(home=mine.home.path) in finding.message


def test_a_file_that_moves_out_of_the_sandbox_is_an_error(mine: Mine) -> None:
    """A symbolic link: a dotfiles repository, an encrypted volume."""
    vault = mine.home.path / "vault"
    vault.mkdir()
    mine.home.credentials.symlink_to(vault / "credentials")
    textfile = 'metrics_textfile = "/var/lib/x/assumed.prom"\n'
    mine.home.configure(role("my-role", ARN), defaults=textfile + NO_REGION)
    messages = [finding.message for finding in mine.findings()]
    assert any(f"may not write in {vault}, " in message for message in messages)
    assert any("may not write in /var/lib/x, " in message for message in messages)
    mine.install(writable=None)
    assert mine.findings() == []


def test_a_socket_that_no_command_reaches_is_an_error(mine: Mine) -> None:
    deep = mine.home.path / "/".join(["a-long-name"] * 9)
    mine.home.configure(role("my-role", ARN), defaults=f'credentials_file = "{deep}/credentials"\n{DEFAULTS}')
    mine.install(writable=(deep,))
    (finding,) = mine.findings()
    assert finding.severity == "error"
    assert "PrivateTmp=no and ReadWritePaths=/tmp" in finding.advice
    mine.install(writable=(deep, Path("/tmp")))
    assert mine.findings() == []


def test_a_credentials_file_in_the_home_itself_opens_all_of_it_to_the_service(mine: Mine) -> None:
    mine.home.configure(role("my-role", ARN), defaults=f'credentials_file = "~/credentials"\n{DEFAULTS}')
    mine.install(writable=(mine.home.path,))
    (finding,) = mine.findings()
    assert finding.severity == "warning"
    assert f"all of {mine.home.path}" in finding.message


@pytest.mark.parametrize(
    ("source", "configuration", "what"),
    [
        ("default", "", "the credential_process of default"),
        ("via", "", "the credential_process of default"),
        ("other", '[hooks]\nafter_renewal = ["/usr/bin/true"]\n', "the hook after_renewal"),
    ],
)
def test_what_it_starts_may_need_to_compile_and_to_see(mine: Mine, source: str, configuration: str, what: str) -> None:
    mine.home.credentials.write_text(HELPER)
    mine.home.aws_config.write_text("[profile via]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = default\n")
    mine.home.configure(role("my-role", ARN), defaults=f'{configuration}[defaults]\nsource_profile = "{source}"\n')
    mine.install(may_compile=False, hidden=(Path("/run/user/1/bus"),))
    (finding,) = mine.findings()
    assert finding.severity == "warning"
    assert all(fact in finding.message for fact in (what, "MemoryDenyWriteExecute=yes", "/run/user/1/bus"))
    mine.install(may_compile=True, hidden=())
    assert mine.findings() == []


def test_a_hook_that_the_service_does_not_find_is_a_warning(mine: Mine) -> None:
    """In a directory of this shell's PATH alone."""
    tools = mine.home.path / "tools"
    tools.mkdir()
    (tools / "tell-me").write_text("#!/bin/sh\n")
    (tools / "tell-me").chmod(0o755)
    mine.home.configure(role("my-role", ARN), defaults=f'[hooks]\nafter_renewal = "tell-me now"\n{DEFAULTS}')
    here = f"{tools}:{os.environ['PATH']}"
    (finding,) = mine.findings(PATH=here)
    assert (finding.severity, finding.subject) == ("warning", "hook after_renewal")
    mine.install(variables={"PATH": here})
    assert mine.findings(PATH=here) == []


def test_keys_of_an_environment_that_the_service_does_not_have_are_an_error(mine: Mine) -> None:
    mine.home.configure(role("my-role", ARN), defaults='[defaults]\ncredential_source = "Environment"\n')
    (finding,) = mine.findings(AWS_ACCESS_KEY_ID="AKIAEXAMPLE", AWS_SECRET_ACCESS_KEY="x")
    assert finding.severity == "error"
    assert "LoadCredential=aws-credentials:FILE" in finding.advice


@pytest.mark.parametrize(
    ("state", "severity", "fact"),
    [
        (State(running=True, detail="keeps 1 role"), None, ""),
        (State(detail="inactive"), "warning", "(inactive)"),
        (State(detail="failed: exit-code"), "error", "(failed: exit-code)"),
        (State(detail="not loaded: masked"), "error", "(not loaded: masked)"),
        (State(detail="ends again and again (exit status 3)"), "error", "(exit status 3)"),
        (printed("x = {\n\tstate = not running\n\tlast exit code = 0\n}\n"), "warning", "not running"),
        (printed("x = {\n\tstate = spawn scheduled\n\tlast exit code = 2\n}\n"), "error", "last exit code 2"),
    ],
)
def test_a_service_that_does_not_run_is_found(mine: Mine, state: State, severity: str | None, fact: str) -> None:
    """Stopped by a person is a warning, ended by itself an error."""
    found = list(not_running(mine.installed, state))
    assert [finding.severity for finding in found] == ([severity] if severity else [])
    assert all(fact in finding.message for finding in found)


def test_an_agent_is_read_and_found_where_launchd_has_forgotten_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`launchctl bootout` is how a person stops one: launchd then does not know it."""
    from assumed.service import execute
    from assumed.service.plan import plan
    from service.kit import spec

    mine = Mine(home, "darwin")
    site = mine.installed.site
    execute.write(plan(site, spec("/usr/bin/a b", variables={"AWS_REGION": "x"})), execute.Record())
    (home / "launchd").mkdir()
    (home / "bin").mkdir()
    (home / "bin" / "launchctl").symlink_to(Path(__file__).with_name("launchctl.py"))
    monkeypatch.setenv("LAUNCHD", str(home / "launchd"))
    monkeypatch.setenv("PATH", f"{home}/bin:{os.environ['PATH']}")
    choice = Choice(None, platform="darwin")
    agent = choice.manager.installed()
    assert agent is not None
    assert agent.command == ("/usr/bin/a b", "run")
    assert (agent.variables or {})["AWS_REGION"] == "x"
    (finding,) = stopped([(choice, agent)])
    assert (finding.severity, finding.advice) == ("warning", "assumed service install")


def test_where_no_manager_answers_the_service_is_reported_as_unknown(
    mine: Mine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container that shares the home, su, cron: only the file is known."""
    monkeypatch.setattr(Manager, "_show", lambda *_: {})
    assert services(None) == []
    site = mine.installed.site
    site.file.parent.mkdir(parents=True)
    site.file.write_text("[Service]\nExecStart=/bin/true\n")
    found = services(None)
    assert stopped(found) == []
    (finding,) = about(found, mine.config, None)
    assert finding.severity == "warning"
    assert str(site.file) in finding.message
    assert "unknown" in finding.message


OLDER = """
import sys, assumed
assumed.__version__ = "0.0.9"
from assumed.cli import main
sys.argv = ["assumed", *sys.argv[4:]]
sys.exit(main())
"""
"""Runs `python -m assumed …` in its own place, as another version."""


def test_check_finds_a_daemon_of_before_the_upgrade(home: Path) -> None:
    """The running one reports its version on the control socket."""
    user = Home(home)
    with FakeSts() as sts:
        user.add_source(sts.source.access_key_id, sts.source.secret_access_key)
        user.configure(role("my-role", ARN))
        with Daemon(user, under=[sys.executable, "-c", OLDER], AWS_ENDPOINT_URL_STS=sts.url) as daemon:
            result = user.assumed("check", AWS_ENDPOINT_URL_STS=sts.url)
            assert result.returncode == 0
            assert f"the running daemon (pid {daemon.pid}): is assumed 0.0.9;" in result.stdout
            assert "stop it, and start it again" in result.stdout
