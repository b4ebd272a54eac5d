"""The commands as a user meets them: real processes, without a daemon."""

from __future__ import annotations

import json
import os
import platform
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assumed.cli.app import COMMANDS, NO_DAEMON
from world.daemon import Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import patient

ARN = "arn:aws:iam::123456789012:role/MyApp/MyS3Access"


@pytest.fixture
def user(home: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home with a source profile, a role to keep and one that is disabled, and no width of the terminal's."""
    monkeypatch.delenv("COLUMNS", raising=False)
    user = Home(home)
    user.add_source("AKIAEXAMPLE", "not-a-secret")
    user.configure(role("my-role", ARN), role("other", ARN, enabled=False))
    return user


def test_help_names_every_command_and_shows_examples(user: Home) -> None:
    result = user.assumed("--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert "Examples:" in result.stdout
    for name in COMMANDS:
        assert re.search(rf"^  {name}\s", result.stdout, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_has_an_example_and_fits_eighty_columns(user: Home, command: str) -> None:
    result = user.assumed(command, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert "Examples:\n" in result.stdout
    assert f"assumed {command}" in result.stdout.partition("Examples:")[2]
    assert max(map(len, result.stdout.splitlines())) <= 84


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("completion", "demo")])
def test_every_command_takes_a_configuration_before_or_after_its_name(user: Home, command: str) -> None:
    for arguments in (["--config", "x.toml", command, "--help"], [command, "--config", "x.toml", "--help"]):
        assert user.assumed(*arguments).returncode == 0


def test_the_version_names_what_a_bug_report_needs(user: Home) -> None:
    result = user.assumed("--version")
    words = re.fullmatch(rf"assumed \d+\.\d+\.\d+ \((.*), {platform.system()} .*\)\n", result.stdout)
    assert words is not None
    versions = dict(part.split(" ") for part in words[1].split(", "))
    assert {"Python", "boto3", "botocore", "apscheduler", "watchdog", "structlog", "click", "h11"} <= set(versions)
    assert all(re.match(r"\d+\.\d+", version) for version in versions.values())


@pytest.mark.parametrize(
    ("typed", "advice"),
    [
        (["statsu"], "No such command 'statsu'. Did you mean 'status'?"),
        (["credential_process"], "Did you mean 'credential-process'?"),
        (["xyzzy"], "No such command 'xyzzy'."),
        (["status", "--jsno"], "Did you mean '--json'?"),
        (["wait", "--timeout", "soon"], "'soon' is not a valid float"),
        (["wait", "my-rol"], "no role keeps the profile 'my-rol'. Did you mean 'my-role'?"),
        (["exec", "other", "--", "true"], "the role of 'other' is disabled; set enabled = true in the configuration"),
        (["wait", "other"], "the role of 'other' is disabled; set enabled = true in the configuration"),
        (["completion", "tcsh"], "'tcsh' is not one of"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_slip_of_the_finger_is_a_usage_error_with_the_nearest_word(user: Home, typed: list[str], advice: str) -> None:
    result = user.assumed(*typed)
    assert (result.returncode, result.stdout) == (2, "")
    assert advice in result.stderr


CONFIGURED = ["run", "once", "check", "status", "refresh", "wait"]


@pytest.mark.parametrize("command", CONFIGURED)
def test_every_problem_of_the_configuration_is_said_at_once(user: Home, command: str) -> None:
    user.config.write_text('[[roles]]\nprofile = "a"\nrole_arm = "x"\nduration_seconds = 5\n')
    result = user.assumed(command)
    assert (result.returncode, result.stdout) == (2, "")
    lines = [line for line in result.stderr.splitlines() if line.startswith(f"assumed: {user.config}:")]
    assert any("role_arm" in line for line in lines)
    assert any("duration_seconds" in line for line in lines)


@pytest.mark.parametrize("command", CONFIGURED)
def test_no_configuration_at_all_is_said_with_the_smallest_useful_one(user: Home, command: str) -> None:
    user.config.unlink()
    result = user.assumed(command)
    assert (result.returncode, result.stdout) == (2, "")
    assert "[[roles]]" in result.stderr


def test_a_configuration_that_is_named_but_missing_is_not_replaced_by_another(user: Home) -> None:
    named = user.assumed("check", "--config", "nowhere.toml")
    by_environment = user.assumed("check", ASSUMED_CONFIG="nowhere.toml")
    for result in (named, by_environment):
        assert result.returncode == 2
        assert "nowhere.toml: does not exist" in result.stderr


def test_a_mistyped_path_is_not_taken_for_the_configuration_of_another_daemon(user: Home) -> None:
    """The missing file is named, whatever the running daemon answers."""
    with FakeSts() as sts, Daemon(user, AWS_ENDPOINT_URL_STS=sts.url):
        result = user.assumed("status", "--config", "nowhere.toml")
    assert (result.returncode, result.stdout) == (2, "")
    assert "nowhere.toml: does not exist" in result.stderr


def test_the_status_without_a_daemon_shows_the_disk_and_exits_3(user: Home) -> None:
    result = user.assumed("status")
    assert result.returncode == 3
    assert result.stderr == f"assumed: {NO_DAEMON}\n"
    assert re.search(r"^my-role +pending ", result.stdout, re.MULTILINE)
    assert re.search(r"^other +disabled ", result.stdout, re.MULTILINE)


def test_the_status_as_json_is_a_document_and_nothing_else(user: Home) -> None:
    result = user.assumed("status", "--json")
    document = json.loads(result.stdout)
    assert document["daemon"] is None
    assert [(role["profile"], role["state"], role["delivered"]) for role in document["roles"]] == [
        ("my-role", "pending", False),
        ("other", "pending", False),
    ]


def test_refresh_without_a_daemon_exits_3(user: Home) -> None:
    result = user.assumed("refresh", "my-role")
    assert (result.returncode, result.stdout) == (3, "")
    assert "start it with: assumed run" in result.stderr


def test_wait_gives_up_in_time_with_a_sentence_for_each_role(user: Home) -> None:
    result = user.assumed("wait", "--timeout", "0.3")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "assumed: my-role: it has no session in the credentials file",
        f"assumed: {NO_DAEMON}",
    ]


def test_check_finds_nothing_wrong_with_a_right_configuration(user: Home) -> None:
    result = user.assumed("check")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines()[0] == f"✓ {user.config}: 1 role, configuration OK"


def test_check_says_what_hides_the_kept_profile_and_exits_1(user: Home) -> None:
    """SDKs prefer a role_arn in ~/.aws/config to the keys that we write."""
    user.aws_config.write_text(
        "[profile my-role]\nrole_arn = arn:aws:iam::123456789012:role/X\nsource_profile = default\n"
    )
    result = user.assumed("check")
    assert result.returncode == 1
    assert re.search(r"^✗ .*my-role", result.stdout, re.MULTILINE)
    assert re.search(r"^    → ", result.stdout, re.MULTILINE)


def test_check_as_json_is_for_scripts(user: Home) -> None:
    good = json.loads(user.assumed("check", "--json").stdout)
    assert good["config"] == str(user.config)
    assert good["problems"] == []
    assert all(set(finding) == {"severity", "subject", "message", "advice"} for finding in good["findings"])
    user.config.write_text("[[roles]]\n")
    bad = user.assumed("check", "--json")
    assert bad.returncode == 2
    assert len(json.loads(bad.stdout)["problems"]) >= 2


def test_a_reader_that_leaves_early_is_no_error(user: Home) -> None:
    """`assumed status --json | head -1` with a reader that has gone before the first byte."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as broken:
        result = subprocess.run(
            [sys.executable, "-m", "assumed", "status", "--json"],
            env=user.environment(),
            stdout=broken,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (result.returncode, result.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("arguments", [["status", "--json"], ["--help"], ["completion", "bash"]])
def test_what_cannot_be_written_is_said_in_a_sentence(user: Home, arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "assumed", *arguments],
            env=user.environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (result.returncode, result.stderr) == (1, "assumed: cannot write to stdout: No space left on device\n")


def test_a_hook_that_would_run_itself_again_is_refused(user: Home) -> None:
    """after_renewal = "assumed refresh": 26 renewals in ten seconds, for ever."""
    result = user.assumed("refresh", ASSUMED_EVENT="renewed")
    assert result.returncode == 2
    assert "after_renewal" in result.stderr


def test_metrics_are_written_to_no_file_that_node_exporter_would_not_read(user: Home) -> None:
    """`--textfile ~/.aws/credentials` would be the end of somebody's keys."""
    user.add_source("AKIAFAKESOURCE00", "fake-secret-of-natan")
    before = user.credentials.read_bytes()
    result = user.assumed("metrics", "--textfile", str(user.credentials))
    assert result.returncode == 2
    assert "does not end in .prom" in result.stderr
    assert user.credentials.read_bytes() == before


def terminal_run(user: Home, *arguments: str, interrupt: bool = False, **more: str) -> tuple[int, str]:
    """Run a command on a terminal of its own; with `interrupt`, press Ctrl-C after its first output."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "assumed", *arguments],
        env=user.environment(**{"TERM": "xterm", "COLUMNS": "80", "LINES": "24", **more}),
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    output = b""
    deadline = time.monotonic() + patient(20)
    while time.monotonic() < deadline:
        if not select.select([leader], [], [], 0.1)[0]:
            continue
        try:
            piece = os.read(leader, 65536)
        except OSError:  # the other side has been closed
            break
        output += piece
        if interrupt and b"my-role" in output:
            process.send_signal(2)
            interrupt = False
    os.close(leader)
    return process.wait(patient(10)), output.decode()


COLOUR = re.compile(r"\x1b\[\d+m")


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"NO_COLOR": ""}, True)],
    ids=str,
)
def test_colour_is_for_terminals_that_want_it(user: Home, variables: dict[str, str], coloured: bool) -> None:
    status, output = terminal_run(user, "status", **variables)
    assert status == 3
    assert bool(COLOUR.search(output)) is coloured


def test_there_is_no_colour_in_a_pipe(user: Home) -> None:
    assert "\x1b" not in user.assumed("status", TERM="xterm").stdout


def test_an_encoding_without_blocks_gets_ascii(user: Home) -> None:
    result = user.assumed("status", PYTHONIOENCODING="ascii", COLUMNS="80")
    assert result.returncode == 3
    assert " | pid " not in result.stdout  # without a daemon
    assert "my-role" in result.stdout
    assert result.stdout.isascii()


def test_help_imports_no_command(user: Home) -> None:
    code = (
        "import sys; sys.argv = ['assumed', '--help']\n"
        "from assumed.cli import main\n"
        "main()\n"
        "print(*[name for name in sys.modules if name.startswith(('assumed.', 'boto'))], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert set(result.stderr.split()) == {
        "assumed.cli",
        "assumed.cli.app",
        "assumed.cli.terminal",
        "assumed.errors",
        "assumed.redact",
        "assumed.model",
    }


@pytest.mark.parametrize("arguments", [["run"], ["status"], ["status", "--json"], ["check"], ["wait"]])
def test_rich_is_imported_where_something_is_drawn_and_never_by_the_daemon(user: Home, arguments: list[str]) -> None:
    """structlog imports it for its tracebacks where it is installed: 100 ms of a start."""
    broken = arguments == ["run"]  # it ends after its imports
    if broken:
        user.config.write_text("roles = [")
    code = (
        f"import sys; sys.argv = {['assumed', *arguments, *(['--timeout', '0'] if arguments == ['wait'] else [])]}\n"
        "from assumed.cli import main\n"
        "main()\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], env=user.environment(), capture_output=True, text=True, timeout=60, check=True
    )
    modules = result.stderr.split()
    assert not [name for name in modules if name.split(".")[0] == "rich"]
    assert ("structlog" in modules) or not broken
