"""`assumed exec`, `serve` and `env`: running commands get renewed sessions."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from process.kit import arn
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

# Prints the key of each signature that boto3 would make, until its standard input ends.
SIGNER = """
import boto3, select, sys
session = boto3.Session()
while not select.select([sys.stdin], [], [], 0.1)[0]:
    print(session.get_credentials().get_frozen_credentials().access_key, flush=True)
"""


def slow(*values: Any) -> Any:
    """Parameters that only `make proof` tries."""
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.fixture
def one_role(aws_home: Home, sts: FakeSts) -> Home:
    """A home with one role, `a`, with 6-second sessions."""
    sts.rule("*", session_seconds=6)
    aws_home.configure(role("a", arn("a")))
    return aws_home


class Running:
    """A command under `assumed exec` whose output can be read while it runs."""

    def __init__(self, home: Home, sts: FakeSts, *command: str, directory: Path | None = None, **more: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "assumed", "exec", "a", "--", *command],
            env=home.environment(AWS_ENDPOINT_URL_STS=sts.url, **more),
            cwd=directory or home.path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []

    def line(self) -> str:
        """The next line of the command."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line, self.process.communicate()
        self.lines.append(line)
        return line

    def until(self, keys: int) -> None:
        """Read until this many different lines have been seen."""
        while len(set(self.lines)) < keys:
            self.line()


@contextmanager
def running(home: Home, sts: FakeSts, *command: str, directory: Path | None = None, **more: str) -> Iterator[Running]:
    """Run a command; its input ends with the block, and then it ends."""
    run = Running(home, sts, *command, directory=directory, **more)
    try:
        yield run
        run.process.communicate(timeout=60)
    finally:
        run.process.kill()
        run.process.communicate()


def test_a_running_command_signs_with_renewed_sessions_without_a_daemon(one_role: Home, sts: FakeSts) -> None:
    """One boto3 process over three lifetimes."""
    with running(one_role, sts, sys.executable, "-c", SIGNER) as run:
        run.until(4)
    assert run.process.returncode == 0
    assert one_role.profile("a") is None, "the credentials file is the daemon's"


@pytest.mark.slow
def test_with_a_daemon_exec_makes_no_calls_and_survives_its_death(one_role: Home, sts: FakeSts, daemon: Daemon) -> None:
    """After kill -9 the last session stays in use, then this process renews, then the daemon again."""
    with daemon:
        daemon.wait_until_fresh("a")
        with running(one_role, sts, sys.executable, "-c", SIGNER) as run:
            run.until(1)
            assert {call.issued for call in sts.calls} >= set(run.lines)
            daemon.kill9()
            run.until(2)
            daemon.start()
            run.until(3)
    assert run.process.returncode == 0


@pytest.mark.slow
def test_renewals_continue_after_the_working_directory_is_removed(one_role: Home, sts: FakeSts, tmp_path: Path) -> None:
    """Only relative names need the directory."""
    gone = tmp_path / "gone"
    gone.mkdir()
    with running(one_role, sts, sys.executable, "-c", SIGNER, directory=gone) as run:
        run.until(1)
        gone.rmdir()
        run.until(3)
    assert run.process.returncode == 0


@pytest.mark.slow
def test_renewals_continue_when_stderr_cannot_be_written(one_role: Home, sts: FakeSts) -> None:
    """`assumed exec … 2>&1 | head`, or a log on a full disk."""
    with running(one_role, sts, "cat") as run:
        assert run.process.stderr is not None
        run.process.stderr.close()
        run.process.stderr = None
        sts.wait_for_calls(1, outcome="ok")
        sts.rule("*", error="AccessDenied")
        sts.wait_for_calls(2, outcome="AccessDenied", within=20)  # the second one after the session's end
        sts.rule("*", session_seconds=6)
        sts.wait_for_calls(2, outcome="ok", within=30)


def test_inside_exec_the_role_is_the_only_identity(one_role: Home, sts: FakeSts) -> None:
    """A `[default]` with keys and variables of another login would win over an endpoint in every SDK."""
    show = (
        "import boto3, json, os; s = boto3.Session(); c = s.get_credentials();"
        "print(json.dumps([c.method, s.available_profiles, s.region_name, os.environ.get('AWS_PROFILE'),"
        " oct(os.stat(os.environ['AWS_SHARED_CREDENTIALS_FILE']).st_mode & 0o777)]))"
    )
    one_role.aws_config.write_text("[profile a]\nregion = eu-north-1\n[profile other]\nregion = us-east-2\n")
    mine = {"AWS_PROFILE": "default", "AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "other"}
    with running(one_role, sts, sys.executable, "-c", show, **mine) as run:
        assert json.loads(run.line()) == ["container-role", ["default"], "eu-north-1", None, "0o600"]


def test_assumed_commands_work_inside_exec(one_role: Home, sts: FakeSts) -> None:
    """A shell in one role can use another role, although it does not see the user's AWS files."""
    one_role.configure(role("a", arn("a")), role("b", arn("b")))
    inner = [sys.executable, "-m", "assumed", "exec", "b", "--", "sh", "-c", "echo $AWS_CONTAINER_CREDENTIALS_FULL_URI"]
    done = one_role.assumed("exec", "a", "--", *inner, AWS_ENDPOINT_URL_STS=sts.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("/role/b\n")
    assert {call.role_arn for call in sts.calls} == {arn("a"), arn("b")}


def test_the_token_is_in_a_private_file_and_in_a_variable(one_role: Home, sts: FakeSts) -> None:
    """object_store ignores the variable; other SDKs prefer one or the other, so both are equal."""
    show = 'f="$AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"; stat -c %a "$f"; cat "$f"; echo; '
    show += 'echo "$AWS_CONTAINER_AUTHORIZATION_TOKEN"; echo "$f"'
    with running(one_role, sts, "sh", "-c", show) as run:
        mode, held, told, path = (run.line() for _ in range(4))
    assert (mode, held) == ("600", told)
    assert not Path(path).exists(), "it goes with the command"


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("kill -TERM $$", 143)])
def test_the_exit_status_is_that_of_the_command(one_role: Home, sts: FakeSts, script: str, status: int) -> None:
    assert one_role.assumed("exec", "a", "--", "sh", "-c", script, AWS_ENDPOINT_URL_STS=sts.url).returncode == status


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["a", "--", "no-such-command"], 127, "no-such-command: no such command"),
        (["a", "--", "/"], 126, "/: Permission denied"),
        (["a", "--"], 2, "a command is missing"),
        (["aa", "--", "true"], 2, "no role keeps the profile 'aa'. Did you mean 'a'?"),
    ],
)
def test_a_command_that_cannot_be_run_is_reported(
    one_role: Home, sts: FakeSts, arguments: list[str], status: int, said: str
) -> None:
    done = one_role.assumed("exec", *arguments, AWS_ENDPOINT_URL_STS=sts.url)
    assert done.returncode == status
    assert said in done.stderr


def test_if_the_role_cannot_be_assumed_exec_says_why_and_runs_nothing(one_role: Home, sts: FakeSts) -> None:
    sts.rule("*", error="AccessDenied")
    done = one_role.assumed("exec", "a", "--", "touch", "ran", AWS_ENDPOINT_URL_STS=sts.url, within=90)
    assert done.returncode == 1
    assert "is not authorized to perform: sts:AssumeRole" in done.stderr
    assert not (one_role.path / "ran").exists()
    assert len(sts.calls) == 1


def test_a_failure_that_passes_is_waited_out_before_the_command_runs(one_role: Home, sts: FakeSts) -> None:
    """The first backoff is longer than three seconds; a command that is refused for it would be started by hand."""
    sts.rule("*", error="InternalFailure", times=1)
    done = one_role.assumed("exec", "a", "--", "true", AWS_ENDPOINT_URL_STS=sts.url, within=90)
    assert (done.returncode, len(sts.calls)) == (0, 2), done.stderr


def test_a_failure_that_stays_ends_the_wait_after_one_retry(one_role: Home, sts: FakeSts) -> None:
    sts.rule("*", error="InternalFailure")
    done = one_role.assumed("exec", "a", "--", "touch", "ran", AWS_ENDPOINT_URL_STS=sts.url, within=90)
    assert (done.returncode, len(sts.calls)) == (1, 2), done.stderr
    assert "InternalFailure" in done.stderr


def test_a_bad_edit_is_reported_and_the_last_good_configuration_is_used(
    one_role: Home, sts: FakeSts, daemon: Daemon
) -> None:
    daemon.start().wait_until_fresh("a")
    daemon.stop()
    one_role.config.write_text("not TOML")
    done = one_role.assumed("exec", "a", "--", "echo", "ran", AWS_ENDPOINT_URL_STS=sts.url)
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert "using the last good configuration" in done.stderr
    assert f"{one_role.config}:1" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, slow(signal.SIGUSR1)])
def test_signals_reach_the_command(one_role: Home, sts: FakeSts, number: signal.Signals) -> None:
    waits = f"trap 'echo got; exit 3' {number.name.removeprefix('SIG')}; echo ready; while :; do sleep 0.05; done"
    with running(one_role, sts, "sh", "-c", waits) as run:
        assert run.line() == "ready"
        run.process.send_signal(number)
        assert run.line() == "got"
    assert run.process.returncode == 3


def test_the_command_keeps_its_own_umask(one_role: Home, sts: FakeSts) -> None:
    """Files of `assumed` are 0600; the files of a job are not ours."""
    before = os.umask(0o022)
    try:
        one_role.assumed("exec", "a", "--", "touch", "output", AWS_ENDPOINT_URL_STS=sts.url)
    finally:
        os.umask(before)
    assert (one_role.path / "output").stat().st_mode & 0o777 == 0o644


def ask(url: str, token: str) -> dict[str, Any]:
    """What an SDK asks of a container endpoint."""
    request = urllib.request.Request(url, headers={"Authorization": token})  # noqa: S310
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return dict(json.load(answer))


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_a_sidecar_serves_several_profiles_with_one_token_in_a_file(
    aws_home: Home, sts: FakeSts, tmp_path: Path
) -> None:
    aws_home.configure(role("a", arn("a")), role("b/c", arn("b")))
    port, token_file = free_port(), tmp_path / "token"
    command = [sys.executable, "-m", "assumed", "serve", "a", "b/c", "--port", str(port), "--json"]
    with subprocess.Popen(
        [*command, "--token-file", str(token_file)],
        env=aws_home.environment(AWS_ENDPOINT_URL_STS=sts.url),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as sidecar:
        try:
            assert sidecar.stdout is not None
            told = [json.loads(sidecar.stdout.readline()) for _ in range(2)]
            token = token_file.read_text()
            assert token == token.strip()
            assert token_file.stat().st_mode & 0o777 == 0o600
            answers = [ask(each["AWS_CONTAINER_CREDENTIALS_FULL_URI"], token) for each in told]
            assert [answer["RoleArn"] for answer in answers] == [arn("a"), arn("b")]
            assert set(answers[0]) >= {"AccessKeyId", "SecretAccessKey", "Token", "Expiration", "AccountId"}
            first = answers[0]["AccessKeyId"]
            url = told[0]["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
            eventually(lambda: ask(url, token)["AccessKeyId"] != first, 15, saying="a renewed session")
            with pytest.raises(urllib.error.HTTPError, match="401") as refused:
                ask(url, "guess")
            refused.value.close()
        finally:
            sidecar.terminate()
        assert sidecar.wait(60) == 0
    assert not token_file.exists()


@pytest.mark.parametrize(("shell", "binary"), [("bash", "bash"), ("json", None), slow("fish", "fish")])
def test_env_prints_what_a_shell_evaluates(one_role: Home, sts: FakeSts, shell: str, binary: str | None) -> None:
    done = one_role.assumed("env", "a", "--shell", shell, AWS_ENDPOINT_URL_STS=sts.url)
    assert (done.returncode, done.stderr) == (0, "")
    key = sts.calls[-1].issued
    assert key is not None
    if binary is None:
        variables = json.loads(done.stdout)
    else:
        try:
            shown = subprocess.run([binary], input=f"{done.stdout}\nenv", capture_output=True, text=True, check=True)
        except FileNotFoundError:
            pytest.skip(f"{binary} is not installed")
        variables = dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)
    assert variables["AWS_ACCESS_KEY_ID"] == key
    assert variables["AWS_SECRET_ACCESS_KEY"] == sts.key(key).secret_access_key
    assert variables["AWS_SESSION_TOKEN"] == sts.key(key).session_token
    assert variables["AWS_CREDENTIAL_EXPIRATION"].endswith("Z")
    assert variables["AWS_REGION"] == "us-west-2"
    assert variables["AWS_ACCOUNT_ID"] == "123456789012", "another account's would contradict the keys"
