"""Other users' homes and misleading environments: a clear error, and no file in the wrong place."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from world.daemon import Home, python, role
from world.fake_sts import FakeSts

ROLE = "arn:aws:iam::123456789012:role/Job"
ALICE = 4321
AS_ALICE = ["setpriv", f"--reuid={ALICE}", f"--regid={ALICE}", "--clear-groups"]
TEMPORARY = Path(tempfile.gettempdir())


def can_be_alice() -> bool:
    """Whether another account can run the program under test."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        return False
    tried = subprocess.run([*AS_ALICE, python(), "-m", "assumed", "--help"], capture_output=True, check=False)
    return tried.returncode == 0


needs_alice = pytest.mark.skipif(not can_be_alice(), reason="only root, with setpriv, can be somebody else")


@pytest.fixture
def alices(sts: FakeSts) -> Iterator[Home]:
    """A home that belongs to another account."""
    with tempfile.TemporaryDirectory(prefix="alice-", dir=TEMPORARY) as path:
        home = Home(Path(path))
        home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
        home.configure(role("job", ROLE))
        give(home.path)
        yield home


def give(path: Path) -> None:
    """Give it to Alice, with everything in it."""
    for one in [path, *path.rglob("*")]:
        os.chown(one, ALICE, ALICE, follow_symlinks=False)


def roots_files(home: Home) -> list[str]:
    """The files of root in a home."""
    return [str(path) for path in home.path.rglob("*") if path.lstat().st_uid == 0]


def as_alice(home: Home, sts: FakeSts, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one command as the account that owns the home."""
    return subprocess.run(
        [*AS_ALICE, python(), "-m", "assumed", *arguments],
        env=home.environment(AWS_ENDPOINT_URL_STS=sts.url),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


COMMANDS = [["once"], ["env", "job"], ["exec", "job", "--", "true"], ["run"], ["status"], ["check"]]
WRITERS = COMMANDS[:4]


@needs_alice
@pytest.mark.parametrize("state", ["none yet", pytest.param("hers", marks=pytest.mark.slow), "no ~/.aws"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_root_leaves_no_files_in_a_users_home(command: list[str], state: str, alices: Home, sts: FakeSts) -> None:
    """`sudo assumed …` with the user's HOME: commands that store sessions are refused and say what to run."""
    if state == "hers":
        assert as_alice(alices, sts, "once").returncode == 0
    if state == "no ~/.aws":
        shutil.rmtree(alices.credentials.parent)
    calls = len(sts.calls)
    done = alices.assumed(*command, AWS_ENDPOINT_URL_STS=sts.url)
    assert roots_files(alices) == []
    assert "Traceback" not in done.stderr
    assert len(sts.calls) == calls
    if command in WRITERS:
        assert done.returncode == 2  # root does not use her configuration, either
        assert "run it as" in done.stderr
    if state == "hers":
        assert as_alice(alices, sts, "env", "job").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("command", WRITERS[:3], ids=" ".join)
def test_every_account_can_use_its_own_home(command: list[str], aws_home: Home, sts: FakeSts) -> None:
    """Root as well: a container may have no other account."""
    aws_home.configure(role("job", ROLE))
    done = aws_home.assumed(*command, AWS_ENDPOINT_URL_STS=sts.url)
    assert done.returncode == 0, done.stderr
    assert {path.lstat().st_uid for path in aws_home.state.rglob("*")} == {os.getuid()}


@pytest.mark.slow
@needs_alice
def test_every_account_can_use_roots_configuration(alices: Home, sts: FakeSts) -> None:
    """/etc/assumed/config.toml: root's file and directory, each account's own sessions."""
    with tempfile.TemporaryDirectory(prefix="etc-", dir=TEMPORARY) as directory:
        Path(directory).chmod(0o755)
        config = Path(directory, "config.toml")
        shutil.copy(alices.config, config)
        config.chmod(0o644)
        done = as_alice(alices, sts, "once", "--config", str(config))
        assert done.returncode == 0, done.stderr
        assert as_alice(alices, sts, "check", "--config", str(config)).returncode == 0
    assert alices.state.stat().st_uid == ALICE


ROOTS = {
    "the state": lambda home: home.state,
    "the sessions": lambda home: home.state / "sessions",
    "a session": lambda home: home.state / "sessions" / "job.json",
    "the credentials file": lambda home: home.credentials,
    "~/.aws": lambda home: home.credentials.parent,
    "the configuration": lambda home: home.config,
    "its directory": lambda home: home.config.parent,
    "the last good configuration": lambda home: home.state / "config.last-good.toml",
}


@needs_alice
@pytest.mark.parametrize("what", ROOTS)
@pytest.mark.parametrize(
    "bad_config", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["", "after a bad edit"]
)
def test_files_left_by_root_give_a_clear_error(what: str, bad_config: bool, alices: Home, sts: FakeSts) -> None:
    """No traceback, whichever of the user's files belong to root."""
    assert as_alice(alices, sts, "once").returncode == 0
    if bad_config:
        alices.config.write_text("[[roles]]\nprofile = ")
    path = ROOTS[what](alices)
    os.chown(path, 0, 0)
    path.chmod(0o700 if path.is_dir() else 0o600)
    for command in (["check"], ["status"], ["env", "job"]):
        done = as_alice(alices, sts, *command)
        assert "Traceback" not in done.stderr, (command, done.stderr)
        assert done.returncode in (0, 1, 2, 3), (command, done.stderr)


USUAL = {"AWS_CONFIG_FILE": "", "AWS_SHARED_CREDENTIALS_FILE": ""}
NOWHERE = [
    ("HOME", ""),
    ("HOME", "home"),
    ("AWS_CONFIG_FILE", "conf/aws"),
    ("AWS_CONFIG_FILE", "~nobody-of-that-name/config"),
    ("AWS_CONFIG_FILE", "$NOWHERE/config"),
    ("AWS_SHARED_CREDENTIALS_FILE", "creds"),
    ("AWS_SHARED_CREDENTIALS_FILE", "~nobody-of-that-name/creds"),
    ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
]


@pytest.mark.parametrize(("variable", "value"), NOWHERE)
def test_every_command_names_a_variable_that_points_nowhere(
    variable: str, value: str, aws_home: Home, sts: FakeSts
) -> None:
    """Same message, same exit status; no request, no file."""
    aws_home.configure(role("job", ROLE))
    before = sorted(aws_home.path.rglob("*"))
    said = {}
    for command in (["check"], ["once"], ["env", "job"], ["credential-process", "job"]):
        if command[0] == "credential-process" and variable == "AWS_CONFIG_FILE":
            continue  # it reads no AWS config file: it prints the stored session
        option = ["--config", str(aws_home.config)] if command[0] != "credential-process" else []
        done = aws_home.assumed(command[0], *option, *command[1:], AWS_ENDPOINT_URL_STS=sts.url, **{variable: value})
        assert (done.returncode, f"${variable}" in done.stderr) == (2, True), (command, done.stderr)
        said[command[0]] = done.stderr.strip().removeprefix("assumed: ")
    assert len(set(said.values())) == 1, said
    assert sorted(aws_home.path.rglob("*")) == before
    assert sts.calls == []


@pytest.mark.slow
@pytest.mark.parametrize("value", ["/dev/null", "{}/null-link", "{}/missing", "~/missing", "$HOME/missing"])
def test_an_aws_config_file_may_be_empty_or_missing(value: str, aws_home: Home, sts: FakeSts) -> None:
    """`AWS_CONFIG_FILE=/dev/null` means: none."""
    aws_home.configure(role("job", ROLE))
    (aws_home.path / "null-link").symlink_to("/dev/null")
    more = {"AWS_CONFIG_FILE": value.format(aws_home.path), "AWS_ENDPOINT_URL_STS": sts.url}
    check = aws_home.assumed("check", **more)
    assert check.returncode == 0, check.stdout + check.stderr
    assert aws_home.assumed("once", **more).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("value", ["{}/aws.cfg", "~/aws.cfg", "$HOME/aws.cfg", "${{HOME}}/./aws.cfg"])
def test_check_and_once_use_the_same_aws_config_file(value: str, aws_home: Home, sts: FakeSts) -> None:
    """The source signs as that file says."""
    (aws_home.path / "aws.cfg").write_text("[profile chief]\nsource_profile = default\nrole_arn = nonsense\n")
    (aws_home.path / "aws.cfg").write_text(
        f"[profile chief]\naws_access_key_id = {sts.source.access_key_id}\n"
        f"aws_secret_access_key = {sts.source.secret_access_key}\n"
    )
    aws_home.configure(role("job", ROLE, source_profile="chief"))
    more = {"AWS_CONFIG_FILE": value.format(aws_home.path), "AWS_ENDPOINT_URL_STS": sts.url}
    assert aws_home.assumed("check", **more).returncode == 0
    assert aws_home.assumed("once", **more).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("mode", [0o644, 0o666, 0o600, 0o640])
def test_a_saved_conflict_is_0600(mode: int, aws_home: Home, sts: FakeSts) -> None:
    """After a crash, another program's edit is saved beside the file; it contains keys, whatever its mode was."""
    aws_home.configure(role("job", ROLE))
    left = aws_home.credentials.with_name(".credentials.assumed.1-1-1.2-2-2.parked")
    left.write_text("[theirs]\naws_access_key_id = AKIATHEIRS000000\naws_secret_access_key = theirs\n")
    left.chmod(mode)
    assert aws_home.assumed("once", AWS_ENDPOINT_URL_STS=sts.url).returncode == 0
    (aside,) = aws_home.credentials.parent.glob("credentials.not-merged-*")
    assert "AKIATHEIRS000000" in aside.read_text()
    assert aside.stat().st_mode & 0o777 == 0o600
