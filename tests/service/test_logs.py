"""The service's log as people read it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from assumed.cli.render import Terminal
from assumed.cli.service_logs import file_lines, journal_words, of_file, of_journal
from assumed.errors import AssumedError
from service.kit import site
from world.waiting import eventually

PLAIN = Terminal()
EVENT = '{"profile": "my-role", "left": 12.5, "message": "two words", "event": "role.renewed", "level": "info", %s}'
NOON = '"timestamp": "2026-01-02T12:00:00.5Z"'


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (EVENT % NOON, '01-02 12:00:00 info    role.renewed profile=my-role left=12.5 message="two words"'),
        ('{"event": "x.y", "problems": ["a", "b"]}', '        x.y problems="[\\"a\\", \\"b\\"]"'),
        ("Traceback (most recent call last):", "        Traceback (most recent call last):"),
        ('{"event": "x\\u001b[2Jy", "level": "error"}', "error   x\\x1b[2Jy"),
        ('{"no": "event"}', '        {"no": "event"}'),
    ],
)
def test_an_event_is_a_line(text: str, shown: str) -> None:
    assert of_file(text, PLAIN) == shown


@pytest.mark.parametrize(
    ("entry", "shown"),
    [
        ({"MESSAGE": EVENT % NOON, "PRIORITY": "6"}, "01-02 12:00:00 info    role.renewed profile=my-role left=12.5 "),
        ({"MESSAGE": "Started assumed.service", "PRIORITY": "5"}, "01-02 12:00:01 info    Started assumed.service"),
        ({"MESSAGE": "Main process exited", "PRIORITY": "4"}, "01-02 12:00:01 warning Main process exited"),
        ({"MESSAGE": [120, 255, 121], "PRIORITY": "3"}, "01-02 12:00:01 error   x\ufffdy"),
    ],
)
def test_an_entry_of_the_journal_is_a_line(entry: dict[str, object], shown: str) -> None:
    text = json.dumps({**entry, "__REALTIME_TIMESTAMP": "1767355201000000"})
    assert of_journal(text, PLAIN).startswith(shown)


def test_colours_are_for_terminals_that_have_them() -> None:
    assert "\x1b[31m" in of_file('{"event": "x.y", "level": "error"}', Terminal(colour=True))
    assert "\x1b" not in of_file('{"event": "x.y", "level": "error"}', PLAIN)


def test_the_journal_of_a_user_is_found_wherever_it_lies() -> None:
    assert "--user-unit=assumed.service" in journal_words(site(), follow=False, lines=5, readable=True)
    words = journal_words(site(system=True), follow=True, lines=5, readable=False)
    assert {"--unit=assumed@alice.service", "--follow", "--lines=5", "--output=cat"} < set(words)


def test_of_a_file_the_last_lines_are_shown(tmp_path: Path) -> None:
    log = tmp_path / "assumed.log"
    log.write_text("".join(f"{number}\n" for number in range(100)))
    assert list(file_lines(log, follow=False, lines=3)) == ["97", "98", "99"]
    assert list(file_lines(log, follow=False, lines=0)) == []
    assert len(list(file_lines(log, follow=False, lines=1000))) == 100


def test_a_log_that_does_not_exist_yet_is_said(tmp_path: Path) -> None:
    with pytest.raises(AssumedError, match="has the service been started yet"):
        list(file_lines(tmp_path / "assumed.log", follow=False, lines=3))


FOLLOW = """
import sys
from pathlib import Path
from assumed.cli.service_logs import file_lines
for line in file_lines(Path(sys.argv[1]), follow=True, lines=1):
    print(line, flush=True)
"""


def test_a_followed_file_may_be_rotated_and_cut(tmp_path: Path) -> None:
    """newsyslog moves it away and makes a new one; a person empties it."""
    log = tmp_path / "assumed.log"
    log.write_text("old\nlast\n")
    seen: list[str] = []
    with subprocess.Popen([sys.executable, "-c", FOLLOW, str(log)], stdout=subprocess.PIPE, text=True) as process:
        reader = threading.Thread(target=lambda: seen.extend(line.strip() for line in process.stdout or ()))
        reader.start()
        try:
            eventually(lambda: seen == ["last"], within=20)
            with log.open("a") as file:
                file.write("half")
                file.flush()
                file.write(" a line\n")
            eventually(lambda: seen[1:] == ["half a line"], within=20)
            log.rename(tmp_path / "assumed.log.0")
            log.write_text("new file\nof two lines\n")
            eventually(lambda: seen[2:] == ["new file", "of two lines"], within=20)
            log.write_text("cut\n")
            eventually(lambda: seen[4:] == ["cut"], within=20)
        finally:
            process.terminate()
            reader.join()
