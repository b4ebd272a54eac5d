"""The thread that runs commands: one at a time, the newest first known, and never for longer than it may take."""

from __future__ import annotations

import queue
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from assumed import redact
from assumed.hooks.commands import LONGEST_OUTPUT, Errand, Errands, Outcome, run
from assumed.runtime.hook_environment import inherited
from world.waiting import eventually

Done = queue.SimpleQueue[tuple[Errand, Outcome]]


def errand(script: str, key: str = "k", within: float = 60.0) -> Errand:
    return Errand(key, "after_renewal", ("sh", "-c", script), {"PATH": "/usr/bin:/bin"}, within)


@pytest.fixture
def line() -> Iterator[tuple[Errands, Done]]:
    done: Done = queue.SimpleQueue()
    errands = Errands(lambda errand, outcome: done.put((errand, outcome)))
    yield errands, done
    errands.close(0.0)


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
    outcome = run(errand(script))
    assert (outcome.code, outcome.message, outcome.output) == (code, message, output)
    assert outcome.is_well == (code == 0)


def test_a_command_that_talks_without_end_is_heard_for_as_long_as_it_may_take() -> None:
    """Its beginning is kept, and no more of it."""
    outcome = run(errand("yes a", within=2))
    assert (outcome.code, outcome.message) == (None, "killed: it took more than 2 s")
    assert len(outcome.output) == LONGEST_OUTPUT


@pytest.mark.parametrize("program", ["/no/such/program", "no-such-program", "/etc/passwd"])
def test_a_command_that_cannot_be_started_says_so(program: str) -> None:
    outcome = run(Errand("k", "when_needed", (program,), {}, 1.0))
    assert outcome.code is None
    assert outcome.message.startswith(f"{program} could not be started: ")


def test_what_is_offered_again_replaces_what_waits_and_is_not_run_twice(line: tuple[Errands, Done]) -> None:
    errands, done = line
    first, second = errand("sleep 0.1", "first"), errand("exit 0", "second")
    errands.offer([first, errand("exit 9", "never")])
    eventually(lambda: "first" in errands._in_hand, within=10)
    errands.offer([first, second])
    errands.offer([first, second])
    assert [done.get(timeout=60)[0].key for _ in range(2)] == ["first", "second"]
    errands.offer([second])
    assert done.empty()
    errands.acknowledge("second")
    errands.offer([second])
    assert done.get(timeout=60)[0] is second


def test_at_the_end_the_command_under_way_has_a_moment_and_the_others_are_not_begun(
    line: tuple[Errands, Done],
) -> None:
    errands, done = line
    errands.offer([errand("sleep 100", "long"), errand("exit 0", "next")])
    eventually(lambda: "long" in errands._in_hand, within=10)
    errands.close(0.1)
    assert done.get_nowait()[1].message == "killed: the daemon stopped"
    assert done.empty()


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
    outcome = run(Errand("k", "when_needed", argv, {"PATH": f"{tmp_path}:/usr/bin:/bin", **told}, 20.0))
    assert outcome.output.strip() == repr(
        ["-u", "critical", "assumed", 'a needs `a` $(login) "now" --x. run: aws sso login']
    )
