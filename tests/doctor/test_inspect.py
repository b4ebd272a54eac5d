"""What `assumed check` says about the machine around a good configuration. Real files, real modes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from assumed.config import Config, load
from assumed.doctor.inspect import collisions, inspect
from assumed.errors import ConfigError
from assumed.model import Finding
from assumed.state import make_state_dir
from config.cases import HOST

SECRET = "canary/SECRET/canary"
KEYS = f"aws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = {SECRET}\n"
SESSION = f"aws_access_key_id = ASIAEXAMPLE\naws_secret_access_key = {SECRET}\naws_session_token = {SECRET}\n"
CHAINED = "[profile src]\nrole_arn = x\nsource_profile = "
ROLE = '[[roles]]\nprofile = "kept"\nrole_arn = "arn:aws:iam::123456789012:role/R"\n'


class Machine:
    """A home with AWS files, a configuration, and an environment."""

    def __init__(self, home: Path) -> None:
        self.environ = {"HOME": str(home)}
        self.aws = home / ".aws"
        self.aws.mkdir(0o700)
        self.credentials = self.aws / "credentials"
        self.write(self.credentials, f"[default]\n{KEYS}")
        self.path = home / "config.toml"
        self.toml = f'{ROLE}source_profile = "default"\n'

    @staticmethod
    def write(path: Path, text: str, mode: int = 0o600) -> None:
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)

    def config(self) -> Config:
        if not self.path.exists():
            self.write(self.path, self.toml)
        return load(self.toml, self.path, self.environ, host=HOST)

    def findings(self, severity: str = "error warning") -> list[Finding]:
        """What was found, but for what is well; none of it shows a secret."""
        found = inspect(self.config(), self.environ)
        assert "canary" not in repr(found)
        assert all(finding.advice for finding in found if finding.severity != "ok")
        return [finding for finding in found if finding.severity in severity]

    def only(self) -> Finding:
        (finding,) = self.findings()
        return finding


@pytest.fixture
def machine(home: Path) -> Machine:
    return Machine(home)


def test_a_machine_in_order_has_nothing_but_ok(machine: Machine) -> None:
    """And says what it looked at."""
    assert machine.findings() == []
    assert [(finding.subject, finding.message) for finding in machine.findings("ok")] == [
        (str(machine.credentials), "writable, and readable by its owner alone"),
        (str(machine.aws / "assumed"), "sessions are stored here"),
        ("source_profile default", "signs for kept"),
    ]


@pytest.mark.parametrize(
    ("section", "keys"),
    [
        ("role_arn = x\nsource_profile = default", "role_arn and source_profile"),
        ("web_identity_token_file = /t", "web_identity_token_file"),
        ("sso_session = s", "sso_session"),
        ("sso_start_url = https://x", "sso_start_url"),
        ("credential_source = Environment", "credential_source"),
        ("credential_process = /x", ""),
        ("region = us-west-2\noutput = json", ""),
        (KEYS, ""),
        ("login_session = x", ""),
    ],
)
def test_a_name_that_the_aws_configuration_claims_is_found(machine: Machine, section: str, keys: str) -> None:
    """SDKs prefer these keys to what is kept (botocore, tried: role, web identity and SSO before keys)."""
    machine.write(
        machine.aws / "config",
        f"[default]\nrole_arn = mine\nsource_profile = default\n[profile kept]\n{section}\n[kept]\nrole_arn=x\n",
    )
    found = [finding for finding in machine.findings() if finding.subject == "kept"]
    assert [finding.severity for finding in found] == ["error"] * bool(keys)
    assert all(f"~/.aws/config has {keys} for it" in finding.message for finding in found)
    assert all(f"remove {keys}" in finding.advice for finding in found)
    assert found == collisions(machine.config(), machine.environ)


def test_keys_in_the_config_file_are_an_error_for_a_profile_delivered_by_process(machine: Machine) -> None:
    """JavaScript and Go would use those keys; `exec` serves the clients that read that file alone."""
    machine.toml += 'deliver = "process"\n'
    machine.write(machine.aws / "config", f"[profile kept]\n{KEYS}")
    claimed, refused = machine.findings()
    assert (claimed.severity, claimed.subject, refused.severity) == ("error", "kept", "warning")
    assert "aws_access_key_id" in claimed.message
    assert "assumed exec kept" in refused.advice


def test_the_line_of_another_credentials_file_is_not_to_be_removed(machine: Machine) -> None:
    """Both daemons would put their own line back: `exec` is the only way."""
    machine.toml += 'deliver = "process"\n'
    line = "/usr/bin/python3 -I -S /x/credential_process.py --state /elsewhere/assumed kept"
    machine.write(machine.aws / "config", f"[profile kept]\ncredential_process = {line}\nx_assumed = kept 0123\n")
    found = machine.only()
    assert (found.severity, found.subject) == ("warning", "kept")
    assert "assumed exec kept" in found.advice
    assert "emove" not in found.advice


def test_the_claims_of_the_default_profile_of_quoted_names_and_of_another_file(machine: Machine) -> None:
    """`$AWS_CONFIG_FILE` names the file; a disabled role claims nothing."""
    config = machine.aws / "other config"
    machine.environ["AWS_CONFIG_FILE"] = "~/.aws/other config"
    machine.toml = machine.toml.replace('"kept"', '"default"').replace('"default"\n', '"default"\n', 1)
    machine.toml = machine.toml.replace('source_profile = "default"', 'credential_source = "Ec2InstanceMetadata"')
    machine.toml += (
        machine.toml.replace('"default"', '"a"') + machine.toml.replace('"default"', '"b"') + "enabled=false"
    )
    machine.write(config, '[default]\nrole_arn = x\n[profile "a"]\nrole_arn = x\n[profile b]\nrole_arn = x\n')
    found = collisions(machine.config(), machine.environ)
    assert [finding.subject for finding in found] == ["default", "a"]
    assert "~/.aws/other config has role_arn" in found[0].message


@pytest.mark.parametrize(
    ("credentials", "config", "told"),
    [
        ("", "", ("error", "is in neither AWS file", "create it: aws configure --profile src")),
        ("[srd]\n" + KEYS, "", ("error", "is in neither AWS file", 'did you mean "srd"?')),
        (
            "[profile src]\n" + KEYS,
            "",
            ("error", "is in neither AWS file", "[profile src]"),
        ),
        ("", "[profile src]\nregion = us-west-2\n", ("error", "has no credentials of any kind", "aws configure")),
        ("[src]\naws_access_key_id = AKIAX\n", "", ("error", "has one half of a key pair", "set both")),
        (
            "[src]\naws_access_key_id =\naws_secret_access_key =\n",
            "",
            ("error", "has no credentials of any kind", "aws configure"),
        ),
        ("[src]\n" + SESSION, "", ("warning", "with a session, which ends", "with MFA")),
        ("[src]\n" + KEYS, "", None),
        ("", "[profile src]\nsso_session = s\n", ("error", "has no [sso-session s]", "add that section")),
        ("", "[profile src]\ncredential_process = /x\n", ("error", "/x does not exist", "correct the path")),
        ("", "[profile src]\ncredential_process = /bin/true\n", None),
        ("", "[profile src]\ncredential_process = /bin/true | jq .\n", ("error", '"|"', "sh -c")),
        ("", "[profile src]\ncredential_process = /bin/true 2>/dev/null\n", ("error", '"2>/dev/null"', "sh -c")),
        ("", "[profile src]\ncredential_process = /bin/sh -c 'a | b 2>/dev/null'\n", None),
        ("", f"{CHAINED}src\n", ("error", "src -> src", "keys")),
        ("[src]\n" + KEYS, f"{CHAINED}src\n", None),
        ("", f"{CHAINED}b\n[profile b]\nrole_arn = x\nsource_profile = src\n", ("error", "src -> b -> src", "keys")),
        (
            "",
            "[profile src]\nrole_arn = x\ncredential_source = ec2instancemetadata\n",
            ("error", '"ec2instancemetadata"', "did you mean Ec2InstanceMetadata?"),
        ),
        ("", "[profile src]\nrole_arn = x\ncredential_source = Ec2InstanceMetadata\n", None),
        ("[src]\n" + KEYS, "[profile src]\nregion = us-west-2\n", None),
    ],
)
def test_a_source_that_cannot_sign_is_found(
    machine: Machine, credentials: str, config: str, told: tuple[str, str, str] | None
) -> None:
    """In both AWS files together, as SDKs read them."""
    machine.toml = machine.toml.replace('"default"', '"src"')
    machine.write(machine.credentials, credentials)
    machine.write(machine.aws / "config", config)
    found = machine.findings()
    assert [finding.subject for finding in found] == ["source_profile src"] * bool(told)
    for finding in found:
        severity, said, advice = told or ("", "", "")
        assert finding.severity == severity
        assert said in finding.message
        assert advice in finding.advice


@pytest.mark.parametrize(
    ("source", "environ", "said"),
    [
        ("Environment", {}, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set here"),
        ("Environment", {"AWS_ACCESS_KEY_ID": "AKIAX", "AWS_SECRET_ACCESS_KEY": SECRET}, ""),
        ("EcsContainer", {}, "no AWS_CONTAINER_CREDENTIALS_… variable is set here"),
        ("EcsContainer", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1"}, ""),
        ("Ec2InstanceMetadata", {"AWS_EC2_METADATA_DISABLED": "true"}, "AWS_EC2_METADATA_DISABLED is true here"),
        ("Ec2InstanceMetadata", {}, ""),
    ],
)
def test_a_source_of_the_place_is_looked_for_there(
    machine: Machine, source: str, environ: dict[str, str], said: str
) -> None:
    """A service has another environment than the shell: the advice says so."""
    machine.toml = f'{ROLE}credential_source = "{source}"\n'
    machine.environ |= environ
    found = machine.findings()
    assert [finding.subject for finding in found] == [f"credential_source {source}"] * bool(said)
    assert all(said in finding.message for finding in found)


def test_a_web_identity_token_is_there_or_missed(machine: Machine) -> None:
    """A missing and an empty one come to the same: nothing to exchange."""
    token = machine.aws / "token"
    machine.toml = f'{ROLE}web_identity_token_file = "{token}"\n'
    assert machine.only().message == "does not exist"
    machine.write(token, "\n")
    assert machine.only().subject == f"web_identity_token_file {token}"
    machine.write(token, SECRET)
    assert machine.findings() == []


def test_a_metrics_textfile_whose_directory_is_missing_is_found(machine: Machine) -> None:
    """The daemon would say so in its log alone."""
    directory = machine.aws.parent / "collector"
    machine.toml = f'metrics_textfile = "{directory}/assumed.prom"\n{machine.toml}'
    assert (machine.only().severity, machine.only().subject) == (
        "warning",
        f"metrics_textfile {directory}/assumed.prom",
    )
    directory.mkdir()
    assert machine.findings() == []


def test_a_hook_whose_program_is_not_there_is_a_warning(machine: Machine) -> None:
    """It may be mounted or installed later; whoever reads the findings knows better."""
    program = machine.aws.parent / "told"
    machine.environ["PATH"] = str(machine.aws)
    machine.toml = f'{machine.toml}[hooks]\nafter_renewal = "{program} x"\nwhen_needed = "no-such-program"\n'
    assert [(finding.severity, finding.subject, finding.message) for finding in machine.findings()] == [
        ("warning", "hook after_renewal", f"{program} does not exist or is not executable"),
        ("warning", "hook when_needed", "no-such-program is not in $PATH here"),
    ]
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    machine.environ["PATH"] = str(program.parent)
    machine.toml = machine.toml.replace("no-such-program", "told")
    assert machine.findings() == []


@pytest.mark.parametrize(
    ("environ", "subject", "said"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKIAX"}, "$AWS_ACCESS_KEY_ID", "is exported"),
        ({"AWS_PROFILE": "gone"}, "$AWS_PROFILE", 'is "gone"'),
        ({"AWS_PROFILE": "kept"}, "", ""),
        ({"AWS_PROFILE": "default"}, "", ""),
    ],
)
def test_a_variable_that_outranks_the_profiles_is_found(
    machine: Machine, environ: dict[str, str], subject: str, said: str
) -> None:
    """Stale exports are the first thing to look for when a fresh profile is not used."""
    machine.toml = f'credentials_file = "{machine.credentials}"\n{machine.toml}'
    machine.environ |= environ
    found = machine.findings()
    assert [finding.subject for finding in found] == [subject] * bool(said)
    assert all(said in finding.message for finding in found)


def test_a_home_with_a_literal_dollar_is_found(machine: Machine, home: Path) -> None:
    """A crontab and a Dockerfile do not expand `HOME=/home/$USER`."""
    unexpanded = home / "$USER"
    machine.aws.rename(unexpanded.with_name("aws"))
    unexpanded.mkdir(0o700)
    (home / "aws").rename(unexpanded / ".aws")
    machine.environ["HOME"] = str(unexpanded)
    assert (machine.only().severity, machine.only().subject) == ("warning", "$HOME")


def test_profiles_kept_where_no_sdk_of_this_shell_looks_are_found(machine: Machine) -> None:
    """The link that leads to the same file is the same file."""
    elsewhere = machine.aws / "elsewhere"
    machine.write(elsewhere, f"[default]\n{KEYS}")
    machine.toml = f'credentials_file = "{elsewhere}"\n{machine.toml}'
    assert machine.only().advice == f"export AWS_SHARED_CREDENTIALS_FILE={elsewhere}"
    machine.credentials.unlink()
    machine.credentials.symlink_to(elsewhere)
    assert machine.findings() == []


@pytest.mark.parametrize(
    ("section", "severity", "said"),
    [
        (f"[kept]\n{KEYS}", "error", "holds long-term keys"),
        (f"[kept]\n{SESSION}", "warning", "was written by another program"),
        ("[kept]\ncredential_process = /x\n", "error", "has a credential_process that is not ours"),
        (f"[kept]\nrole_arn = x\n{SESSION}", "error", "has role_arn, which SDKs follow instead of our keys"),
        ("[kept]\nregion = x\n", None, ""),
    ],
)
def test_a_section_that_will_not_be_touched_or_will_be_taken_over_is_found(
    machine: Machine, section: str, severity: str | None, said: str
) -> None:
    """By the rules of the write itself: it is tried, and thrown away."""
    before = f"[default]\n{KEYS}{section}"
    machine.write(machine.credentials, before)
    found = [finding for finding in machine.findings() if finding.subject == "kept"]
    assert [finding.severity for finding in found] == ([severity] if severity else [])
    assert all(said in finding.message for finding in found)
    assert machine.credentials.read_text() == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"[default]\n{KEYS}[default]\n", "line 4 opens [default] a second time"),
        (f"[default]\n{KEYS}{SECRET}\n", "line 4 is neither a [profile] nor key = value"),
        (f"{SECRET} = 1\n[default]\n{KEYS}", "line 1 is before the first [profile]"),
        (f"[default]\n{KEYS}# \udcff\n", "line 4 is not UTF-8"),
    ],
)
def test_a_file_that_botocore_cannot_read_is_found_once_and_not_taken_for_empty(
    machine: Machine, text: str, said: str
) -> None:
    """The line is named and not shown: it may be a secret in the wrong place."""
    machine.credentials.write_bytes(text.encode(errors="surrogateescape"))
    assert machine.only().message.startswith(said)
    machine.credentials.rename(machine.aws / "config")
    assert machine.only().subject == str(machine.aws / "config")


@pytest.mark.parametrize(
    ("name", "mode", "told"),
    [
        ("config.toml", 0o644, None),
        ("config.toml", 0o646, ("error", "chmod go-w")),
        (".aws/credentials", 0o640, ("warning", "chmod 600")),
        (".aws/credentials", 0o602, ("warning", "chmod 600")),
        (".aws/credentials", 0o400, None),
        (".aws", 0o755, None),
        (".aws", 0o757, ("error", "chmod o-w")),
        (".aws", 0o1777, None),
        (".aws/assumed", 0o700, None),
        (".aws/assumed", 0o750, None),
    ],
)
def test_a_mode_that_lets_others_in_is_found(
    machine: Machine, home: Path, name: str, mode: int, told: tuple[str, str] | None
) -> None:
    """0600 for files with secrets, 0700 for the state; the configuration may be read, not written."""
    machine.write(machine.path, machine.toml)
    make_state_dir(machine.aws / "assumed")
    path = home / name
    path.chmod(mode)
    found = machine.findings()
    assert [(finding.severity, finding.advice) for finding in found] == (
        [(told[0], f"{told[1]} {path}")] if told else []
    )


def test_a_symbolic_link_is_followed_and_named(machine: Machine, home: Path) -> None:
    """Dotfiles repositories link the file; the link stays, what it points to is judged."""
    real = home / "dotfiles"
    real.mkdir(0o700)
    machine.credentials.rename(real / "creds")
    machine.credentials.symlink_to(real / "creds")
    (real / "creds").chmod(0o644)
    assert machine.only().subject == str(real / "creds")
    (real / "creds").unlink()
    (real / "creds").symlink_to(real / "creds")
    assert "symbolic links lead in a circle" in machine.findings("error")[0].message


def test_files_that_are_not_there_yet_are_no_error(machine: Machine) -> None:
    """A container with web identity has no ~/.aws until we make it."""
    token = machine.path.with_name("token")
    machine.write(token, "t")
    machine.toml = f'{ROLE}web_identity_token_file = "{token}"\n'
    shutil.rmtree(machine.aws)
    assert machine.findings() == []
    assert any("does not exist yet" in finding.message for finding in machine.findings("ok"))
    machine.aws.mkdir()
    assert any("does not exist yet" in finding.message for finding in machine.findings("ok"))


def test_what_is_no_plain_file_is_found(machine: Machine) -> None:
    """A FIFO does not hang it; a directory is named."""
    machine.credentials.unlink()
    os.mkfifo(machine.credentials, 0o600)
    assert {finding.severity for finding in machine.findings()} == {"error"}
    machine.credentials.unlink()
    machine.credentials.mkdir(0o700)
    assert {finding.severity for finding in machine.findings()} == {"error"}


def test_a_file_where_a_directory_should_be_is_found(machine: Machine) -> None:
    """Neither the state nor the credentials can lie in it."""
    state = machine.aws / "assumed"
    machine.write(state, "")
    assert machine.only().message == "is not a directory, but sessions are to be stored there"
    machine.toml = f'credentials_file = "{state}/credentials"\n{machine.toml}'
    machine.path.unlink()
    assert any(str(state) in found.message for found in machine.findings("error"))


def test_a_relative_aws_config_file_is_an_error_everywhere(machine: Machine) -> None:
    """It is another file in every directory: `check` and the daemon refuse it with the same sentence."""
    machine.environ["AWS_CONFIG_FILE"] = "config"
    with pytest.raises(ConfigError, match=r"^\$AWS_CONFIG_FILE: is a relative path"):
        machine.findings()


@pytest.mark.parametrize("name", ["/dev/null", "{}/link"])
def test_the_null_device_is_an_aws_config_file_without_anything_in_it(machine: Machine, home: Path, name: str) -> None:
    (home / "link").symlink_to("/dev/null")
    machine.environ["AWS_CONFIG_FILE"] = name.format(home)
    assert machine.findings() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_may_not_be_written_is_found(machine: Machine) -> None:
    """A rename is a write in the directory."""
    machine.aws.chmod(0o500)
    found = machine.only()
    machine.toml = f'credentials_file = "{machine.aws}/new/credentials"\n{machine.toml}'
    machine.path.unlink()
    missing = machine.findings("error")[0]
    machine.aws.chmod(0o700)
    assert "permission is denied" in found.message
    assert "permission is denied" in missing.message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_belongs_to_another_user_is_found(machine: Machine) -> None:
    """The daemon rewrites only its own files, and takes orders from its own user or root."""
    machine.config()
    for path in (machine.path, machine.credentials, machine.aws):
        os.chown(path, 12345, -1)
        found = machine.only()
        os.chown(path, 0, -1)
        assert str(path) in f"{found.subject} {found.message}"
        assert "belongs to " in found.message


BIND = """
import os, sys
from pathlib import Path
from config.cases import HOST
from assumed.config import load
from assumed.doctor.inspect import inspect
path = Path(sys.argv[1])
found = inspect(load(path.read_text(), path, os.environ, host=HOST), os.environ)
print(*(text for f in found for text in (f.message, f.advice)), sep="\\n")
"""
needs_mounts = pytest.mark.skipif(sys.platform != "linux", reason="bind mounts are Linux's")


def under_mounts(machine: Machine, script: str, *arguments: str) -> str:
    """What is found in a mount namespace of its own, once this shell script has mounted something there."""
    machine.config()
    mount = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f'{script} && shift && "$@"', "-"]
    environ = {**machine.environ, "PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[1])}
    if subprocess.run([*mount, *arguments, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces here")
    command = [*mount, *arguments, sys.executable, "-c", BIND, str(machine.path)]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout


@needs_mounts
def test_a_file_that_is_mounted_by_itself_is_found(machine: Machine, home: Path) -> None:
    """A real bind mount of a name with a space."""
    credentials = home / "my creds"
    machine.write(credentials, machine.credentials.read_text())
    machine.toml = f'credentials_file = "{credentials}"\n{machine.toml}'
    told = under_mounts(machine, 'mount --bind "$1" "$1"', str(credentials))
    assert "is mounted by itself, so it cannot be replaced" in told
    assert not any("mounted" in finding.message for finding in machine.findings())


READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"'


@needs_mounts
def test_a_read_only_mount_is_not_mended_by_a_mode(machine: Machine) -> None:
    """A container with `-v ~/.aws:/root/.aws:ro`: no chmod helps."""
    machine.toml = f'metrics_textfile = "{machine.aws}/assumed.prom"\n{machine.toml}'
    told = under_mounts(machine, READ_ONLY, str(machine.aws))
    assert "the file system is read-only" in told
    assert "Mount the directory read-write" in told
    assert "chmod" not in told
    assert "setfacl" not in told


@needs_mounts
def test_nor_can_a_directory_be_made_there(machine: Machine) -> None:
    machine.toml = f'credentials_file = "{machine.aws}/new/credentials"\n{machine.toml}'
    told = under_mounts(machine, READ_ONLY, str(machine.aws))
    assert "the file system is read-only" in told
    assert "mkdir" not in told
