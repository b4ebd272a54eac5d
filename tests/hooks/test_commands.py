"""A command of `[hooks]`: it ends as it ends, and never runs for longer than it may take."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from assumed import redact
from assumed.hooks.commands import LONGEST_OUTPUT, Outcome, run
from assumed.hooks.dispatcher import inherited


def sh(script: str, within: float = 60.0) -> Outcome:
    return run(("sh", "-c", script), {"PATH": "/usr/bin:/bin"}, within)


def test_a_command_under_way_has_a_moment_when_the_daemon_stops() -> None:
    ends = time.monotonic() + 0.1
    outcome = run(("sleep", "100"), {"PATH": "/usr/bin:/bin"}, 60.0, lambda: ends)
    assert outcome.message == "killed: the daemon stopped"


@pytest.mark.parametrize(
    ("script", "code", "message", "output"),
    [
        ("exit 0", 0, "", ""),
        ("echo no >&2; exit 3", 3, "exit status 3", "no\n"),
        ("kill -9 $$", -9, "killed by signal 9", ""),
        ("(sleep 20; echo late) & echo gone", 0, "", "gone\n"),
    ],
)
def test_a_command_ends_as_it_ends(script: str, code: int, message: str, output: str) -> None:
    """A child that it leaves behind is its own business, and is not waited for."""
    outcome = sh(script)
    assert (outcome.code, outcome.message, outcome.output) == (code, message, output)
    assert outcome.is_well == (code == 0)


def test_a_command_that_talks_without_end_is_heard_for_as_long_as_it_may_take() -> None:
    """Its beginning is kept, and no more of it."""
    outcome = sh("yes a", within=2)
    assert (outcome.code, outcome.message) == (None, "killed: it took more than 2 s")
    assert len(outcome.output) == LONGEST_OUTPUT


@pytest.mark.parametrize("program", ["/no/such/program", "no-such-program", "/etc/passwd"])
def test_a_command_that_cannot_be_started_says_so(program: str) -> None:
    outcome = run((program,), {}, 1.0)
    assert outcome.code is None
    assert outcome.message.startswith(f"{program} could not be started: ")


def test_a_command_inherits_nothing_that_leads_to_credentials_or_to_the_service_manager() -> None:
    theirs = {
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_PROFILE": "p",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/t",
        "NOTIFY_SOCKET": "/run/n",
        "WATCHDOG_USEC": "1",
        "LISTEN_FDS": "1",
        "CREDENTIALS_DIRECTORY": "/c",
        "ASSUMED_CONFIG": "/x",
    }
    kept = {"PATH": "/bin", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/1/bus", "AWS_REGION": "eu-north-1"}
    assert inherited({**theirs, **kept}) == kept


def test_a_text_for_a_command_is_one_line_without_a_secret() -> None:
    assert redact.clean("a\n b\x1b[2J AKIA1234567890123456") == "a  b\\x1b[2J [key …3456]"
    assert redact.clean("a\u202eb\u200b") == "a\\u202eb\\u200b", "nor what turns the direction of writing"
    assert len(redact.clean("x " * 4000)) == 1000


def test_the_notification_of_the_example_is_one(tmp_path: Path) -> None:
    """With a notify-send that writes down what it is given: quotes, dollars and dashes arrive as they are."""
    import tomllib

    example = (Path(__file__).parents[2] / "config.example.toml").read_text()
    (toml,) = [text[2:] for text in example.splitlines() if text.startswith("# when_needed = ")]
    fake = tmp_path / "notify-send"
    fake.write_text(f"#!{sys.executable} -IS\nimport sys\nprint(sys.argv[1:])\n")
    fake.chmod(0o700)
    told = {"ASSUMED_MESSAGE": 'a needs `a` $(login) "now" --x', "ASSUMED_ADVICE": "run: aws sso login"}
    argv = tuple(tomllib.loads(toml)["when_needed"])
    outcome = run(argv, {"PATH": f"{tmp_path}:/usr/bin:/bin", **told}, 20.0)
    assert outcome.output.strip() == repr(
        ["-u", "critical", "assumed", 'a needs `a` $(login) "now" --x. run: aws sso login']
    )
