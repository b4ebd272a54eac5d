"""What `assumed check` says of an installed service, read from real files, whoever wrote them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from assumed.doctor.service import version
from assumed.service.found import installed
from service.kit import PROXY
from service.mine import ARN, Service
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts


@pytest.fixture
def mine(home: Path) -> Service:
    return Service(home)


def test_a_service_as_it_was_installed_is_no_matter(mine: Service) -> None:
    mine.install(AWS_REGION="eu-central-1")
    assert mine.findings(AWS_REGION="eu-central-1") == []


def test_what_is_not_installed_is_not_found(mine: Service) -> None:
    assert installed(mine.site, dict) is None


@pytest.mark.parametrize(
    ("name", "here", "there", "message"),
    [
        ("AWS_CONFIG_FILE", "/srv/aws/config", None, "is /srv/aws/config here, not for the service"),
        ("AWS_ENDPOINT_URL_STS", "http://a", "http://b", "is http://a here, but http://b for it"),
        ("https_proxy", PROXY, None, "is http://[hidden]@proxy.example:3128 here, not for the service"),
    ],
)
def test_what_the_service_sees_otherwise_is_said(
    mine: Service, name: str, here: str, there: str | None, message: str
) -> None:
    mine.install(**({name: there} if there else {}))
    (finding,) = mine.findings(**{name: here})
    assert (finding.severity, finding.subject, finding.message) == ("warning", f"${name}", message)
    assert finding.advice == "assumed service install takes it along"


def test_what_its_manager_gives_to_all_counts(mine: Service) -> None:
    mine.install()
    found = installed(mine.site, lambda: {"AWS_REGION": "x"})
    assert found is not None
    assert found.variables == {"AWS_REGION": "x"}


def test_a_drop_in_counts_as_well(mine: Service) -> None:
    mine.install()
    mine.drop_in('Environment=AWS_REGION=x "AWS_CONFIG_FILE=/a b"')
    assert mine.findings(AWS_REGION="x", AWS_CONFIG_FILE="/a b") == []


def test_a_program_that_is_gone_is_an_error(mine: Service) -> None:
    mine.install()
    mine.program.unlink()
    (finding,) = mine.findings()
    assert finding.severity == "error"
    assert finding.message == f"starts {mine.program}, which is not there"
    assert finding.advice == "assumed service install"


def test_a_credentials_file_that_has_moved_out_of_the_sandbox_is_an_error(mine: Service, tmp_path: Path) -> None:
    """A symbolic link: a dotfiles repository, an encrypted volume."""
    mine.install()
    elsewhere = mine.home.path / "vault"
    elsewhere.mkdir()
    mine.home.credentials.symlink_to(elsewhere / "credentials")
    (finding,) = mine.findings()
    assert finding.severity == "error"
    assert finding.message == f"may not write in {elsewhere}, where the credentials file lies"
    assert "ReadWritePaths=" in finding.advice
    mine.drop_in(f"ReadWritePaths={elsewhere}")
    assert mine.findings() == []


def test_without_the_sandbox_it_may_write_wherever_its_user_may(mine: Service) -> None:
    mine.install(sandboxed=False)
    mine.home.configure(role("my-role", ARN), defaults=f'credentials_file = "{mine.home.path}/x/credentials"\n')
    with mine.home.config.open("a") as file:
        file.write('[defaults]\nsource_profile = "default"\n')
    assert mine.findings() == []


def test_a_configuration_that_it_cannot_see_is_an_error(mine: Service) -> None:
    mine.install()
    mine.drop_in(f"InaccessiblePaths={mine.home.config.parent}")
    (finding,) = mine.findings()
    assert finding.message == f"cannot see {mine.home.config}: its unit hides that directory"


def test_what_lies_in_a_temporary_directory_is_hidden_from_it(mine: Service) -> None:
    mine.install()
    mine.drop_in("PrivateTmp=yes\nInaccessiblePaths=" + str(mine.home.path.parents[-2]))
    messages = [finding.message for finding in mine.findings()]
    assert f"cannot see {mine.program}: its unit hides that directory" in messages
    assert any("which nobody else sees" in message for message in messages)


def test_a_metrics_textfile_out_of_the_sandbox_is_an_error(mine: Service) -> None:
    mine.install()
    mine.home.configure(role("my-role", ARN), defaults='metrics_textfile = "/var/lib/x/assumed.prom"\n')
    with mine.home.config.open("a") as file:
        file.write('[defaults]\nsource_profile = "default"\n')
    (finding,) = mine.findings()
    assert finding.message == "may not write in /var/lib/x, where metrics_textfile lies"


HELPER = "[helper]\ncredential_process = /usr/bin/helper\n"
THROUGH = "[profile via]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = helper\n"


@pytest.mark.parametrize(
    ("source", "configuration", "what"),
    [
        ("helper", "", "the credential_process of helper"),
        ("via", "", "the credential_process of helper"),
        ("default", '[hooks]\nafter_renewal = ["/usr/bin/true"]\n', "the hook after_renewal"),
    ],
)
def test_what_it_starts_may_need_to_compile(mine: Service, source: str, configuration: str, what: str) -> None:
    mine.install()
    mine.home.credentials.write_text(HELPER)
    mine.home.aws_config.write_text(THROUGH)
    defaults = f'{configuration}[defaults]\nsource_profile = "{source}"\n'
    mine.home.configure(role("my-role", ARN), defaults=defaults)
    (finding,) = mine.findings()
    assert finding.severity == "warning"
    assert finding.message.startswith(f"starts {what}, but ")
    assert "MemoryDenyWriteExecute=yes" in finding.message
    assert "/bus" in finding.message
    mine.install(compiles=True)
    assert mine.findings() == []


def test_keys_of_an_environment_that_it_does_not_have_are_an_error(mine: Service) -> None:
    mine.install()
    mine.home.configure(role("my-role", ARN), defaults='[defaults]\ncredential_source = "Environment"\n')
    (finding,) = mine.findings(AWS_ACCESS_KEY_ID="AKIAEXAMPLE", AWS_SECRET_ACCESS_KEY="x")
    assert finding.severity == "error"
    assert "LoadCredential=aws-credentials:FILE" in finding.advice


def test_a_service_of_another_configuration_is_said(mine: Service) -> None:
    mine.install(ASSUMED_CONFIG="/srv/other.toml")
    (finding,) = mine.findings()
    assert finding.message == f"keeps the roles of /srv/other.toml, not those of {mine.home.config}"


def test_a_unit_by_hand_is_read_like_one_of_ours(mine: Service) -> None:
    """The shipped file, copied as its first lines say."""
    shipped = Path(__file__).parents[2] / "systemd" / "assumed.service"
    mine.site.units.mkdir(parents=True)
    mine.site.file.write_text(shipped.read_text())
    (finding,) = mine.findings()
    assert finding.message == f"starts {mine.home.path}/.local/bin/assumed, which is not there"


def test_an_agent_of_launchd_is_read_as_well(home: Path) -> None:
    mine = Service(home, "darwin")
    mine.install(AWS_ENDPOINT_URL_STS="x")
    assert mine.findings(AWS_ENDPOINT_URL_STS="x") == []
    mine.program.unlink()
    first, second = mine.findings(AWS_ENDPOINT_URL_STS="y")
    assert first.message == f"starts {mine.program}, which is not there"
    assert second.message == "is y here, but x for it"


def test_an_old_daemon_is_said_with_both_ways_out(mine: Service) -> None:
    mine.install()
    found = installed(mine.site, dict)
    assert found is not None
    (finding,) = version(found, "0.0.9", "0.1.0")
    assert finding.message == "runs assumed 0.0.9, while 0.1.0 is installed"
    assert finding.advice == "systemctl --user restart assumed.service, or: assumed service install"
    assert list(version(found, "0.1.0", "0.1.0")) == []


OLDER = """
import sys, assumed
assumed.__version__ = "0.0.9"
from assumed.cli import main
sys.argv = ["assumed", *sys.argv[4:]]
sys.exit(main())
"""
"""Runs `python -m assumed …` in its own place, as another version."""


def test_check_tells_a_daemon_of_before_the_upgrade(home: Path) -> None:
    """The running one says its version by the control socket."""
    user = Home(home)
    with FakeSts() as sts:
        user.add_source(sts.source.access_key_id, sts.source.secret_access_key)
        user.configure(role("my-role", ARN))
        with Daemon(user, under=[sys.executable, "-c", OLDER], AWS_ENDPOINT_URL_STS=sts.url) as daemon:
            result = user.assumed("check", AWS_ENDPOINT_URL_STS=sts.url)
            assert result.returncode == 0
            assert f"the running daemon (pid {daemon.pid}): is assumed 0.0.9, while" in result.stdout
            assert "stop it, and start it again" in result.stdout
