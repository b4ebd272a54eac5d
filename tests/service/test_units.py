"""The unit files: single keys are set in the shipped ones, by the rules of those who read them."""

from __future__ import annotations

import difflib
import os
import plistlib
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assumed.service import texts, unit_settings, units
from assumed.service.units import Unspeakable, Wanted

ROOT = Path(__file__).parents[2]
SYSTEMD_ANALYZE = shutil.which("systemd-analyze")

needs_systemd = pytest.mark.skipif(SYSTEMD_ANALYZE is None, reason="systemd-analyze is not installed")

PLAIN = "abc/XYZ09._-+@:=,"
ODD = PLAIN + " \"'\\%$äß#;&|<>()[]{}*?~^`!"
words = st.text(ODD, min_size=1, max_size=20).map(lambda tail: f"/{tail}")
programs = st.text(ODD.replace('"', "").replace("'", "").replace("\\", ""), min_size=1, max_size=20).map(
    lambda tail: f"/{tail}"
)


def changed(before: str, after: str) -> list[str]:
    """The lines that a rendering has put in the place of others, without its own first ones."""
    lines = difflib.unified_diff(before.splitlines(), after.removeprefix(written(after)).splitlines(), n=0, lineterm="")
    return [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]


def written(text: str) -> str:
    head = "".join(text.splitlines(keepends=True)[:2])
    return head if head.startswith("# Written by") else ""


@given(programs, st.lists(words, max_size=3))
def test_systemd_reads_the_command_that_was_meant(program: str, arguments: list[str]) -> None:
    assert unit_settings.program(units.exec_line([program, *arguments]), {}) == [program, *arguments]


@given(st.lists(words, min_size=1, max_size=3))
def test_a_list_of_directories_reads_back(directories: list[str]) -> None:
    read = unit_settings.words(units.writable_list(directories), {"h": "/never"})
    assert read == [f"-{directory}" for directory in directories]


@pytest.mark.parametrize(
    ("words_", "line"),
    [
        (["/usr/bin/assumed", "run"], "/usr/bin/assumed run"),
        (["/home/a b/bin/assumed", "run"], '"/home/a b/bin/assumed" run'),
        (["/opt/100%/assumed", "run"], '"/opt/100%%/assumed" run'),
        (["/opt/$HOME/assumed", "run"], ':"/opt/$HOME/assumed" run'),
        (["/usr/bin/python3", "-m", "assumed", 'a"b\\c'], '/usr/bin/python3 -m assumed "a\\"b\\\\c"'),
        (["/opt/ü/assumed", "run"], '"/opt/ü/assumed" run'),
    ],
)
def test_a_command_is_quoted_as_systemd_wants_it(words_: list[str], line: str) -> None:
    assert units.exec_line(words_) == line


@pytest.mark.parametrize("word", ["/a\nb", "/a\x7fb", "/a\tb", "/\udcff"])
def test_what_a_unit_cannot_hold_is_refused_in_words(word: str) -> None:
    with pytest.raises(Unspeakable, match="cannot hold control characters"):
        units.exec_line([word, "run"])


@pytest.mark.parametrize("path", ["/a'b", '/a"b', "/a\\b"])
def test_a_program_that_systemd_refuses_to_start_is_refused_before(path: str) -> None:
    with pytest.raises(Unspeakable, match="quotes or a backslash"):
        units.exec_line([path, "run"])


@needs_systemd
@pytest.mark.parametrize("directory", ["plain", "a b", "100%h", "$HOME", "$$x ${Y}", "ü", "a;b", "#x", "-x", "@:+!"])
def test_systemd_itself_finds_the_program_and_the_directories(directory: str, tmp_path: Path) -> None:
    """`verify` looks for the program at the path that it understands, and complains about relative directories."""
    program = tmp_path / directory / "assumed"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    wanted = Wanted((str(program),), (str(program.parent),), str(tmp_path / directory / "service.env"))
    for present in (True, False):
        program.chmod(0o755 if present else 0o644)
        unit = tmp_path / "assumed.service"
        unit.write_text(units.unit(texts.text_of(texts.UNIT), wanted, "edit"))
        drop_in = tmp_path / "assumed.service.d" / "10-sandbox.conf"
        drop_in.parent.mkdir(exist_ok=True)
        drop_in.write_text(units.sandbox(texts.text_of(texts.SANDBOX), wanted))
        done = subprocess.run(
            [str(SYSTEMD_ANALYZE), "--user", "verify", str(unit)],
            capture_output=True,
            text=True,
            env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
            check=False,
        )
        if present:
            assert (done.returncode, done.stderr) == (0, "")
        else:
            assert str(program) in done.stderr


def test_of_the_user_unit_one_line_changes() -> None:
    shipped = texts.text_of(texts.UNIT)
    rendered = units.unit(
        shipped, Wanted(("/usr/bin/assumed",), ("/home/alice/.aws",)), "systemctl --user edit assumed"
    )
    assert changed(shipped, rendered) == [
        "-ExecStart=%h/.local/bin/assumed run",
        "+ExecStart=/usr/bin/assumed run",
    ]
    assert rendered.startswith("# Written by `assumed service install`")
    assert "systemctl --user edit assumed" in rendered.partition("[Unit]")[0]


def test_what_is_wanted_beyond_that_is_a_line_each() -> None:
    shipped = texts.text_of(texts.UNIT)
    wanted = Wanted(("/usr/bin/assumed",), (), "/home/a b/100%/service.env", compiles=True)
    assert changed(shipped, units.unit(shipped, wanted, "edit")) == [
        "-ExecStart=%h/.local/bin/assumed run",
        "+ExecStart=/usr/bin/assumed run",
        "+EnvironmentFile=/home/a b/100%%/service.env",
        "-MemoryDenyWriteExecute=yes",
        "+MemoryDenyWriteExecute=no",
    ]


def test_the_system_unit_names_the_account_and_its_real_home() -> None:
    shipped = texts.text_of(texts.TEMPLATE)
    wanted = Wanted(("/usr/bin/assumed",), ("/data/homes/alice/.aws", "/mnt/keys"), user="alice")
    assert changed(shipped, units.unit(shipped, wanted, "edit")) == [
        "-User=%i",
        "+User=alice",
        "-ExecStart=/usr/local/bin/assumed run",
        "+ExecStart=/usr/bin/assumed run",
        "-ReadWritePaths=-/home/%i/.aws",
        "+ReadWritePaths=-/data/homes/alice/.aws -/mnt/keys",
    ]


def test_a_service_without_programs_of_others_sees_no_bus_and_no_keys() -> None:
    """With a hook or a helper the list is empty; a place that holds a file to write is none to hide."""
    shipped = texts.text_of(texts.TEMPLATE)

    def hidden(**more: Any) -> str:
        wanted = Wanted(("/usr/bin/assumed",), user="alice", home="/data/al ice", **more)
        return next(line for line in units.unit(shipped, wanted, "edit").splitlines() if line.startswith("Inaccess"))

    assert "-/run/user" in hidden()
    assert '"-/data/al ice/.ssh"' in hidden()
    assert "/home/" not in hidden()
    assert hidden(compiles=True) == "InaccessiblePaths="
    assert "/run/user" not in hidden(writable=("/run/user/1000/aws",))


def test_of_the_sandbox_the_directories_change() -> None:
    shipped = texts.text_of(texts.SANDBOX)
    rendered = units.sandbox(shipped, Wanted(("/usr/bin/assumed",), ("/home/alice/.aws",)))
    assert changed(shipped, rendered) == ["-ReadWritePaths=-%h/.aws", "+ReadWritePaths=-/home/alice/.aws"]


@pytest.mark.parametrize("name", [texts.SANDBOX, texts.TEMPLATE])
def test_a_socket_in_tmp_is_left_where_everybody_can_reach_it(name: str) -> None:
    """A path of more than 100 bytes holds no socket; a private /tmp would be the service's alone."""
    wanted = Wanted(("/usr/bin/assumed",), ("/long",), user="alice", shares_tmp=True)
    shipped = texts.text_of(name)
    text = units.sandbox(shipped, wanted) if name == texts.SANDBOX else units.unit(shipped, wanted, "edit")
    said = unit_settings.settings([text])
    assert (said["PrivateTmp"], said["ReadWritePaths"]) == (["no"], ["-/long -/tmp"])


def test_a_key_that_stands_twice_is_not_guessed_at() -> None:
    with pytest.raises(ValueError, match="SystemCallFilter stands there 2 times"):
        units.with_setting(texts.text_of(texts.UNIT), "SystemCallFilter", "@default")


def test_wildcards_in_the_path_of_an_environment_file_stand_for_themselves() -> None:
    """systemd.exec(5): its value is a pattern."""
    assert units.path_pattern("/home/[a]*b?/x%h") == "/home/\\[a]\\*b\\?/x%%h"


@pytest.mark.parametrize(
    ("name", "escaped"),
    [("alice", "alice"), ("a.b-c_1", "a.b-c_1"), (".x", "\\x2ex"), ("EX\\bob", "EX\\x5cbob"), ("a@b", "a\\x40b")],
)
def test_an_account_becomes_an_instance_as_systemd_escapes_it(name: str, escaped: str) -> None:
    """But for the hyphen: systemd-escape(1) is about paths, where it stands for a slash."""
    assert units.escaped_instance(name) == escaped


PROGRAMS = ["/Users/alice/.local/bin/assumed", "/Users/a b/bin/assumed", "/Users/o'neil/<x>&/assumed", "/Users/$(id)/a"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_agents_shell_starts_the_program_that_was_meant(program: str) -> None:
    shipped = texts.text_of(texts.AGENT)
    text = units.agent(shipped, Wanted((program,)), {"HTTPS_PROXY": "http://a&b:<c>@proxy", "PATH": "/opt/x:/bin"})
    agent, before = plistlib.loads(text.encode()), plistlib.loads(shipped.encode())
    shell, option, script = agent["ProgramArguments"]
    assert (shell, option) == ("/bin/sh", "-c")
    assert shlex.split(script)[:3] == ["exec", program, "run"]
    assert script.partition(" run ")[2] == before["ProgramArguments"][2].partition(" run ")[2]
    assert agent["EnvironmentVariables"] == {"HTTPS_PROXY": "http://a&b:<c>@proxy", "PATH": "/opt/x:/bin"}
    own = ("ProgramArguments", "EnvironmentVariables")
    assert {key: value for key, value in agent.items() if key not in own} == {
        key: value for key, value in before.items() if key not in own
    }


def test_the_agent_keeps_its_own_path_where_none_is_taken_along() -> None:
    shipped = texts.text_of(texts.AGENT)
    agent = plistlib.loads(units.agent(shipped, Wanted((PROGRAMS[0],)), {}).encode())
    assert agent["EnvironmentVariables"] == plistlib.loads(shipped.encode())["EnvironmentVariables"]


@pytest.mark.parametrize(
    ("texts_", "key", "found"),
    [
        (["[Service]\nA=1\n"], "A", ["1"]),
        (["[Service]\nA=1\nA=2\n", "[Service]\nA=3\n"], "A", ["1", "2", "3"]),
        (["[Service]\nA=1\n", "[Service]\nA=\nA=3\n"], "A", ["3"]),
        (["[Unit]\nA=1\n[Service]\nB=2\n"], "A", None),
        (["[Service]\n# A=1\n;A=2\n"], "A", None),
        (["[Service]\nA=1 \\\n  2\n"], "A", ["1    2"]),
    ],
)
def test_a_unit_and_its_drop_ins_say_what_systemd_reads_in_them(
    texts_: list[str], key: str, found: list[str] | None
) -> None:
    assert unit_settings.settings(texts_).get(key) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("a b", ["a", "b"]),
        ('"a b" c', ["a b", "c"]),
        ("'a \"b' c", ['a "b', "c"]),
        ("%h/x 100%%", ["/home/alice/x", "100%"]),
        ('a"b c"d', ["ab cd"]),
        ('a "open', ["a"]),
        ("", []),
    ],
)
def test_a_value_is_taken_apart_as_systemd_does(value: str, found: list[str]) -> None:
    assert unit_settings.words(value, {"h": "/home/alice"}) == found
