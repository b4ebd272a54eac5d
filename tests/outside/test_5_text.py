"""Text from servers, files and names is cut and kept on one line wherever it appears."""

from __future__ import annotations

import json
import re
import socket
import sys
from pathlib import Path

import pytest

from world.daemon import DEFAULTS, Daemon, Home, role
from world.fake_sts import FakeSts
from world.waiting import eventually

ARN = "arn:aws:iam::123456789012:role/Mine"
FORGED = "<0>kernel: all is lost"
HOSTILE = {
    "line feeds": f"denied\n{FORGED}\r\n{FORGED}\x85{FORGED}\u2028{FORGED}\u2029{FORGED}\nmine: renewed\n\n",
    "directions and invisible ones": "denied \u202edetsurt\u202c \u2066a\u2069 \u200b\u00ad\ufeff\U000e0041 end",
    "60 kB in one word": "denied " + "a:" * 30_000,
    "a megabyte of words": "denied " + f"word {FORGED}\n" * 40_000,
}
QUICK = ("line feeds", "a megabyte of words")
each_text = pytest.mark.parametrize(
    "text",
    [pytest.param(text, id=name, marks=[] if name in QUICK else pytest.mark.slow) for name, text in HOSTILE.items()],
)
LONGEST_LINE, LONGEST_OUTPUT = 40_000, 20_000
"""Bytes: journald splits lines of 48 KiB."""


def assert_clean(text: str, most: int = LONGEST_OUTPUT) -> None:
    """No foreign lines, no terminal control, limited length."""
    assert len(text.encode()) <= most
    strange = {character for character in text if not character.isprintable()} - {"\n"}
    assert strange == set()
    assert [line for line in text.split("\n") if line.startswith(("<0>", "mine: renewed"))] == []


@pytest.fixture
def refused(aws_home: Home, sts: FakeSts) -> Home:
    """A home with a role that STS refuses."""
    aws_home.configure(role("mine", ARN))
    return aws_home


ALONE = {
    "once": ["once"],
    "once for scripts": ["once", "--json"],
    "exec": ["exec", "mine", "--", "true"],
    "env": ["env", "mine"],
    "serve": ["serve", "mine", "--token-file", "token"],
}


def free_port() -> str:
    """A port without a listener."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


@each_text
@pytest.mark.parametrize("command", ALONE)
def test_a_command_without_a_daemon_prints_the_reason_on_one_line(
    refused: Home, sts: FakeSts, command: str, text: str
) -> None:
    sts.rule("*", error="AccessDenied", message=text)
    port = ["--port", free_port()] if command == "serve" else []
    done = refused.assumed(*ALONE[command], *port, within=60, AWS_ENDPOINT_URL_STS=sts.url)
    assert done.returncode == 1
    assert "mine" in done.stderr
    assert_clean(done.stderr)
    assert_clean(done.stdout)


@each_text
def test_credential_process_prints_the_reason_on_one_line(refused: Home, sts: FakeSts, text: str) -> None:
    """After the daemon has ended."""
    sts.rule("*", error="AccessDenied", message=text)
    with Daemon(refused, AWS_ENDPOINT_URL_STS=sts.url):
        pass
    words = ["credential-process", "--state", str(refused.state), "mine"]
    done = refused.assumed(*words, within=60, AWS_ENDPOINT_URL_STS=sts.url)
    assert (done.returncode, bool(done.stderr)) == (1, True)
    assert_clean(done.stderr)


RECORDER = "import json, os, sys; print(json.dumps(dict(os.environ)), file=open(sys.argv[1], 'a'))"
BESIDE = (
    ["status"],
    ["status", "--json"],
    ["refresh"],
    ["wait", "--timeout", "0"],
    ["once"],
    ["check"],
    ["exec", "mine", "--", "true"],
)


@each_text
def test_the_daemon_and_its_clients_print_the_reason_on_one_line(refused: Home, sts: FakeSts, text: str) -> None:
    """Status on the socket, every command, the log, and the hook's environment."""
    told = refused.path / "told"
    hook = json.dumps([sys.executable, "-I", "-c", RECORDER, str(told)])
    refused.configure(role("mine", ARN), defaults=f"[hooks]\nafter_failure = {hook}\n{DEFAULTS}")
    sts.rule("*", error="AccessDenied", message=text)
    with Daemon(refused, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        status = daemon.wait_until(lambda status: status["roles"][0]["failures"], within=60)
        error = status["roles"][0]["last_error"]
        assert_clean(error["message"], 4000)
        assert len(json.dumps(status)) < LONGEST_OUTPUT
        outputs = [refused.assumed(*words, within=120) for words in BESIDE]
        environ = json.loads(eventually(lambda: told.exists() and told.read_text(), within=60))
    for done in outputs:
        assert_clean(done.stderr)
        assert_clean(done.stdout)
    assert max(len(line.encode()) for line in daemon.stderr.splitlines()) < LONGEST_LINE
    assert all(json.loads(line) for line in daemon.stderr.splitlines())
    for name in ("ASSUMED_MESSAGE", "ASSUMED_ADVICE"):
        assert environ[name].isprintable()
        assert len(environ[name]) <= 1000


@each_text
def test_a_console_log_event_is_one_line(refused: Home, sts: FakeSts, text: str) -> None:
    """log_format = "console" to a file or the journal: each line begins with its time."""
    sts.rule("*", error="AccessDenied", message=text)
    with Daemon(refused, AWS_ENDPOINT_URL_STS=sts.url, ASSUMED_LOG_FORMAT="console") as daemon:
        daemon.wait_until(lambda status: status["roles"][0]["failures"], within=60)
        eventually(lambda: "role.renewal_failed" in daemon.stderr, within=60)
    lines = daemon.stderr.splitlines()
    assert [line[:60] for line in lines if not re.match(r"20\d\d-\d\d-\d\dT", line)] == []
    assert max(len(line.encode()) for line in lines) < LONGEST_LINE


def test_megabyte_error_messages_do_not_fill_the_disk(aws_home: Home, sts: FakeSts) -> None:
    """Ten roles, each refused with a megabyte, again and again."""
    aws_home.configure(*(role(f"r{n}", f"{ARN}{n}") for n in range(10)))
    sts.rule("*", error="AccessDenied", message=HOSTILE["a megabyte of words"])
    with Daemon(aws_home, AWS_ENDPOINT_URL_STS=sts.url) as daemon:
        daemon.wait_until(lambda status: all(role["failures"] for role in status["roles"]), within=60)
        aws_home.assumed("refresh", "--no-wait", within=60)
        daemon.wait_until(lambda status: all(role["failures"] > 1 for role in status["roles"]), within=60)
        assert len(json.dumps(daemon.status())) < 10 * LONGEST_OUTPUT
    assert len(daemon.stderr.encode()) < 100_000


@pytest.mark.slow
def test_a_message_of_aws_is_printed_unchanged(refused: Home, sts: FakeSts) -> None:
    """Control."""
    words = "User: arn:aws:iam::123456789012:user/josé is not authorized to perform: sts:AssumeRole on resource: x"
    sts.rule("*", error="AccessDenied", message=words)
    done = refused.assumed("once", AWS_ENDPOINT_URL_STS=sts.url)
    assert done.returncode == 1
    assert words in done.stderr


NAMES = {
    "line feeds": f"a\n{FORGED}\n.toml",
    "directions": "a\u202etxt.lmot",
    "an escape": "a\x1b[2J\x1b]0;owned\x07.toml",
    "not UTF-8": b"a\xff.toml".decode(errors="surrogateescape"),
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("command", ["once", "check", "status", "run"])
def test_a_file_name_cannot_add_a_line(refused: Home, name: str, command: str) -> None:
    missing = refused.path / name
    done = refused.assumed(command, "--config", str(missing))
    assert done.returncode in (2, 3)
    assert "toml" in done.stderr or "lmot" in done.stderr
    assert_clean(done.stderr)


@pytest.mark.parametrize("command", ["once", "check", "run"])
@pytest.mark.parametrize(
    "value", [r"a\n<0>b\u202e", r"\u001b[2J\u0007", "x" * 5000], ids=["line feed", "escape", "long"]
)
def test_a_value_of_the_configuration_is_quoted_on_one_line(refused: Home, command: str, value: str) -> None:
    refused.configure(f'[[roles]]\nprofile = "mine"\nrole_arn = "{value}"\n"{value[:200]}" = 1\n')
    done = refused.assumed(command)
    assert done.returncode == 2
    assert Path(refused.config).name in done.stderr
    assert_clean(done.stderr)
