"""What is logged, in which form, and what never is."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assumed import logs, redact

KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjEHoaCXVzLXdlc3QtMiJHMEUCIQ" + "Da/b+c0" * 40 + "=="
WEB_TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJuYXRhbiJ9.c2lnbmF0dXJl-_c2lnbmF0dXJl"
ODD = "a-secret_of.no.known-form!"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Logging belongs to the whole process."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    hooks = threading.excepthook, sys.excepthook, sys.unraisablehook
    yield
    threading.excepthook, sys.excepthook, sys.unraisablehook = hooks
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    redact._guarded.clear()
    redact._by_length.clear()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().split("\n") if line]


def logged(stream: io.StringIO | None = None, level: str = "info", form: str = "json", **facts: Any) -> str:
    """One event, as it comes out."""
    stream = stream or io.StringIO()
    logs.configure(level, form, stream)
    structlog.get_logger().info("thing.happened", **facts)
    return stream.getvalue()


def test_an_event_is_one_line_of_json_with_its_level_and_a_time_in_utc() -> None:
    out = logged(profile="p", count=3, left=1.5, none=None, true=True)

    event = json.loads(out)
    assert out.count("\n") == 1
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "thing.happened", "level": "info", "profile": "p", "count": 3, "left": 1.5, "none": None, "true": True,
    }  # fmt: skip


def test_what_goes_nowhere_near_a_terminal_is_json_and_a_terminal_gets_words() -> None:
    assert logged(form="auto").startswith("{")
    assert not logged(Terminal(), form="auto").startswith("{")
    assert "thing.happened" in logged(io.StringIO(), form="console")


@pytest.mark.parametrize(
    ("stream", "variable", "coloured"),
    [(Terminal, None, True), (Terminal, "1", False), (Terminal, "", False), (io.StringIO, None, False)],
)
def test_colour_is_for_terminals_whose_owner_wants_it(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], variable: str | None, coloured: bool
) -> None:
    if variable is None:
        monkeypatch.delenv("NO_COLOR", raising=False)
    else:
        monkeypatch.setenv("NO_COLOR", variable)

    assert ("\x1b[" in logged(stream(), form="console")) is coloured


SECRET_FORMS: dict[str, Any] = {
    "a secret": KEY,
    "after an equals sign": f"aws_secret_access_key={KEY}",
    "in quotes": f'{{"SecretAccessKey": "{KEY}"}}',
    "a token": TOKEN,
    "a token of the other alphabet": TOKEN.replace("/", "_").replace("+", "-"),
    "a token after an equals sign": f"X-Amz-Security-Token={TOKEN}&x=1",
    "a web token": WEB_TOKEN,
    "in a list": [1, [KEY]],
    "in a tuple in a dictionary": {"a": {"b": (TOKEN,)}},
    "as a key": {KEY: 1},
    "in a set": {KEY},
    "in bytes": KEY.encode(),
    "in an exception": ValueError(KEY),
    "known": ODD,
    "known, in a query": f"http://x/?k={quote(ODD)}&token={quote(TOKEN, safe='')}",
    "known, glued to a word": f"x{ODD}y",
}


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("where", SECRET_FORMS)
def test_no_secret_is_printed_whatever_it_stands_in(where: str, form: str) -> None:
    redact.guard("role", ODD, TOKEN)

    out = logged(form=form, thing=SECRET_FORMS[where])

    for secret in (KEY, TOKEN, TOKEN[20:120], WEB_TOKEN, ODD, quote(TOKEN, safe=""), quote(ODD, safe="")):
        assert secret not in out
    assert "thing.happened" in out


@pytest.mark.parametrize("kind", ["AKIA", "ASIA"])
def test_of_a_key_id_the_end_stays(kind: str) -> None:
    out = logged(text=f"{kind}IOSFODNN7EXAMPLE refused", key_id=f"{kind}IOSFODNN7EXAMPLE")

    assert "IOSFODNN7" not in out
    assert out.count("[key …MPLE]") == 2


@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:iam::123456789012:role/MyApp/MyS3Access",
        'File "/opt/x/copy/daemon/assumed/keeper/keeper.py", line 59, in run',
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "/home/natan/a-rather-long-name-of-a-directory-for-a-file/" + "and-more/" * 8 + "config.toml",
        "https://sts.us-west-2.amazonaws.com/AssumeRole",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "User: arn:aws:iam::123456789012:user/natan is not authorized to perform: sts:AssumeRole",
    ],
)
def test_what_a_person_needs_to_read_stays(text: str) -> None:
    assert json.loads(logged(text=text))["text"] == text


def _fail(why: str) -> None:
    raise ValueError(why) from KeyError("why")


def test_a_traceback_shows_the_code_and_no_values() -> None:
    hidden = "local-value-nobody-may-see"
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    try:
        _fail(KEY)
    except ValueError:
        structlog.get_logger().error("thing.crashed", exc_info=True)
    text = lines(stream)[0]["exception"]

    assert "raise ValueError" in text
    assert "in _fail" in text
    assert "KeyError" in text
    assert KEY not in text
    assert hidden not in stream.getvalue()
    assert hidden


class Doomed:
    """Its end is an error that nobody can catch."""

    def __del__(self) -> None:
        raise RuntimeError(f"lost {KEY}")


def crash_of_a_thread() -> None:
    def work() -> None:
        secret = KEY
        raise RuntimeError(f"lost {secret}")

    thread = threading.Thread(target=work, name="worker 1")
    thread.start()
    thread.join()


def crash_of_the_process() -> None:
    sys.excepthook(RuntimeError, RuntimeError(f"lost {KEY}"), None)


def error_of_nobody() -> None:
    Doomed()


CRASHES = {
    "thread.crashed": crash_of_a_thread,
    "process.crashed": crash_of_the_process,
    "error.ignored": error_of_nobody,
}


@pytest.mark.parametrize("event", CRASHES)
def test_what_nobody_caught_is_logged_like_everything_else(event: str, capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    logs.take_crashes()

    CRASHES[event]()

    (line,) = lines(stream)
    assert (line["event"], line["level"]) == (event, "error")
    assert "RuntimeError: lost [redacted]" in line["exception"]
    assert capsys.readouterr().err == ""


def test_an_error_of_nobody_in_the_midst_of_a_line_holds_nothing_up() -> None:
    """Memory is tidied up at any time, also while this thread is writing to the log or looks for secrets."""

    class Tidying(io.StringIO):
        busy = True

        def write(self, text: str) -> int:
            if self.busy:
                self.busy = False
                Doomed()
            return super().write(text)

    stream = Tidying()
    logs.configure("info", "json", stream)
    logs.take_crashes()

    structlog.get_logger().info("thing.happened")

    assert sorted(line["event"] for line in lines(stream)) == ["error.ignored", "thing.happened"]


def test_a_thread_that_ends_itself_is_no_crash() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    logs.take_crashes()

    thread = threading.Thread(target=sys.exit)
    thread.start()
    thread.join()

    assert stream.getvalue() == ""


def test_an_exception_may_be_handed_over() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    structlog.get_logger().error("thing.crashed", exc_info=OSError("no room"))

    assert "OSError: no room" in lines(stream)[0]["exception"]


def test_only_the_newest_secrets_of_each_owner_are_kept() -> None:
    """A daemon runs for years: what it knows must not grow with the renewals."""
    for number in range(100):
        redact.guard("role", f"secret-number-{number:03}", f"token-number-{number:03}")
    redact.guard("another role", "secret-of-another-role")

    assert len(redact._guarded["role"]) == redact.GUARDED_EACH
    assert redact.clean("secret-number-099 token-number-098") == "[redacted] [redacted]"
    assert redact.clean("secret-of-another-role") == "[redacted]"


def test_a_secret_that_comes_again_does_not_push_another_out() -> None:
    redact.guard("role", "the-secret-that-stays")
    for _ in range(10):
        redact.guard("role", "the-same-secret")

    assert redact.clean("the-secret-that-stays") == "[redacted]"


def test_what_is_too_short_to_be_a_secret_blots_out_no_words() -> None:
    redact.guard("role", "", None, "is", "session")

    assert redact.clean("a session is good") == "a session is good"


@given(st.text(alphabet=st.characters(), max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_an_event_is_one_line_and_goes_through_any_stream_whatever_it_says(text: str) -> None:
    out = logged(text=text, nested={text: [text]})

    out.encode()
    assert len(out.splitlines()) == 1
    assert json.loads(out)["event"] == "thing.happened"


def test_no_escape_reaches_the_terminal() -> None:
    out = logged(form="console", text="\x1b]0;owned\x07\x1b[31mred\r\n next")

    assert "\x1b" not in out
    assert "\x07" not in out
    assert "\r" not in out


class Unshowable:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


@pytest.mark.parametrize("value", [Unshowable(), float("nan"), float("inf"), object(), {1: 2}, {(1, 2): 3}, "\udcff"])
def test_a_value_that_json_does_not_know_costs_no_line(value: object) -> None:
    event = json.loads(logged(value=value), parse_constant=lambda name: pytest.fail(name))

    assert event["event"] == "thing.happened"


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("closed", [False, True])
def test_a_stream_that_takes_nothing_more_does_not_stop_the_daemon(closed: bool) -> None:
    stream = io.StringIO() if closed else Full()
    logs.configure("info", "json", stream)
    stream.close()

    structlog.get_logger().info("thing.happened")
    structlog.get_logger().error("thing.happened")


def test_a_library_warns_in_our_form_and_without_its_traceback() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    try:
        _fail("with a message that is not ours")
    except ValueError:
        logging.getLogger("botocore.credentials").warning("refresh of %s failed", KEY, exc_info=True)

    (event,) = lines(stream)
    assert (event["event"], event["library"], event["level"]) == (
        "library.warned", "botocore.credentials", "warning",
    )  # fmt: skip
    assert event["message"] == "refresh of [redacted] failed"
    assert "not ours" not in stream.getvalue()


class Unprintable:
    """An argument of a log call that raises when it is shown."""

    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("message", "arguments"),
    [("%d", ["x"]), ("%s %s", ["one"]), ("%z", [1]), ("%s", [Unprintable()])],
    ids=["a text for a number", "too few", "no such conversion", "one that raises"],
)
def test_a_malformed_log_call_harms_nobody(message: str, arguments: list[object]) -> None:
    """`logging.raiseExceptions` or not: the library goes on with its work."""
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    logging.getLogger("urllib3").warning(message, *arguments)

    (event,) = lines(stream)
    assert (event["event"], event["library"]) == ("library.warned", "urllib3")
    assert message in event["message"]


def test_debugging_us_does_not_have_the_libraries_tell_what_sts_answered() -> None:
    stream = io.StringIO()
    logs.configure("debug", "json", stream)
    for name in ("botocore", "botocore.parsers", "boto3", "urllib3.connectionpool", "apscheduler", "watchdog", "x"):
        logging.getLogger(name).debug("Response body: %s", KEY)
        logging.getLogger(name).info("Response body: %s", KEY)
    structlog.get_logger().debug("thing.looked_at")

    assert [event["event"] for event in lines(stream)] == ["thing.looked_at"]


def test_level_and_form_change_at_run_time() -> None:
    stream = io.StringIO()
    log = structlog.get_logger()
    logs.configure("warning", "json", stream)
    log.info("one")
    logs.configure("debug", "json", stream)
    structlog.get_logger().debug("two")
    logs.configure("info", "console", stream)
    structlog.get_logger().info("three")

    assert '"one"' not in stream.getvalue()
    assert '"two"' in stream.getvalue()
    assert not stream.getvalue().split("\n")[-2].startswith("{")


def test_the_journal_gets_a_priority_and_a_file_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    with (tmp_path / "journal").open("w+") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        logs.configure("info", "json", stream)
        structlog.get_logger().error("thing.broke")
        stream.seek(0)
        assert stream.read().startswith('<3>{"')
    assert logged().startswith("{")
